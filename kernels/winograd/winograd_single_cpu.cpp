// Winograd's transforms of single trials: as many tiles as a vector has elements, or filters, in its lanes.
//
// A block of some rows of tiles of one channel at a time. Down an image neighbouring pixels are in the lanes, across it
// neighbouring tiles, in the order of the columns; in between lie lines, on which the rows of an image are laid one after the
// other, so that a vector of tiles runs on over the ends of rows.
#include <cstring>

#include "kernels/common/copy_row.h"
#include "kernels/common/numbers.h"
#include "kernels/common/transpose.h"
#include "kernels/common/variants.h"
#include "kernels/common/winograd_transform.h"
#include "kernels/winograd/winograd.h"

namespace gi::kernels::GI_ISA {
namespace {

constexpr std::int64_t kBlockTiles = 64;        ///< or one row of tiles: lines stay in a first cache of 32 KiB
constexpr std::int64_t kPartFilters = 256;      ///< that are one part of the work
constexpr std::int64_t kStreamBytes = 1 << 20;  ///< of transformed filters, from which on they would pass through the second cache

/// The image that a transform meets, and the blocks it is taken in.
template <class Scalar>
struct Blocks {
  std::int64_t h, w, pad_h, pad_w;
  std::int64_t tile, tiles_h, tiles_w;
  std::int64_t rows;   ///< of tiles in a block
  std::int64_t row;    ///< numbers of a row of the tiles
  std::int64_t pitch;  ///< numbers of a row with its halo, with an overrun
  std::int64_t line;   ///< numbers of the rows of a block, with an overrun
  std::int64_t lines;  ///< one for every row of a window, two where windows overlap

  Blocks(const WinogradGeometry& geo, bool input)
      : h(input ? geo.h : geo.p),
        w(input ? geo.w : geo.q),
        pad_h(input ? geo.pad_h : 0),
        pad_w(input ? geo.pad_w : 0),
        tile(geo.tile),
        tiles_h(geo.tiles_h()),
        tiles_w(geo.tiles_w()),
        rows(even_piece(tiles_h, kBlockTiles / tiles_w)),
        row(tile * tiles_w),
        pitch(row + tile + kElements<Scalar>),
        line(tile * (ceil_div(rows * tiles_w, kElements<Scalar>) + 1) * kElements<Scalar>),
        lines(geo.side() * (input ? 2 : 1)) {}
  /// Numbers of `count` rows of tiles with their halo.
  std::int64_t slab(std::int64_t count) const { return (count * tile + 2) * pitch + tile; }
  std::size_t bytes_to_products() const { return (lines * line + slab(rows)) * sizeof(Scalar); }
  std::size_t bytes_from_products() const { return (lines * line + (tile + 2) * pitch + slab(tiles_h)) * sizeof(Scalar); }
};

/// to[k][i] = from[M * i + k] for k < M.
template <class Scalar, int M>
[[gnu::always_inline]] inline void split(const Scalar* from, Vector<Scalar>* to) {
  constexpr std::int64_t n = kElements<Scalar>;
  const auto at = [from](int i) { return *reinterpret_cast<const Vector<Scalar>*>(from + i * n); };
  if constexpr (M == 2) {
    separate<Scalar>(at(0), at(1), to[0], to[1]);
  } else {
    static_assert(M == 4);
    Vector<Scalar> even[2], odd[2];
    separate<Scalar>(at(0), at(1), even[0], odd[0]);
    separate<Scalar>(at(2), at(3), even[1], odd[1]);
    separate<Scalar>(even[0], even[1], to[0], to[2]);
    separate<Scalar>(odd[0], odd[1], to[1], to[3]);
  }
}

/// to[M * i + k] = from[k][i] for k < M.
template <class Scalar, int M>
[[gnu::always_inline]] inline void merge(const Vector<Scalar>* from, Scalar* to) {
  using V = Vector<Scalar>;
  V all[M];
  if constexpr (M == 2) {
    interleave<Scalar>(from[0], from[1], all);
  } else {
    static_assert(M == 4);
    V even[2], odd[2];
    interleave<Scalar>(from[0], from[2], even);
    interleave<Scalar>(from[1], from[3], odd);
    interleave<Scalar>(even[0], odd[0], all);
    interleave<Scalar>(even[1], odd[1], all + 2);
  }
#pragma GCC unroll 4
  for (int k = 0; k < M; ++k) *reinterpret_cast<V*>(to + k * kElements<Scalar>) = all[k];
}

/// Tile rows [i0, i0 + rows) of one plane, multiplied by L from the left: row r of all windows on a line, and once more from M
/// numbers on, where the last numbers of overlapping windows are.
template <class Scalar, int M, bool Input>
void gather_lines(const Blocks<Scalar>& b, const Scalar* plane, std::int64_t i0, std::int64_t rows, Scalar* slab, Scalar* lines) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Input>;
  constexpr std::int64_t n = kElements<Scalar>;
  V zero{};
  hide(zero);  // else gcc makes a call to memset of every short row
  for (std::int64_t y = 0; y < rows * M + Side::window - M; ++y) {
    const std::int64_t from = i0 * M + y - b.pad_h;
    Scalar* const to = slab + y * b.pitch;
    for (std::int64_t x = 0; x <= b.pitch - n; x += n) *reinterpret_cast<V*>(to + x) = zero;
    if (from >= 0 && from < b.h) copy_row<1>(plane + from * b.w, b.w, to + b.pad_w);
  }
  for (std::int64_t i = 0; i < rows; ++i)
    for (int half = 0; half < (Input ? 2 : 1); ++half)
      for (std::int64_t x = 0; x < b.row; x += n) {
        V in[Side::window];
#pragma GCC unroll 8
        for (int r = 0; r < Side::window; ++r) in[r] = *reinterpret_cast<const V*>(slab + (i * M + r) * b.pitch + half * M + x);
        // What reaches beyond the row is overwritten by the next one's.
        rows_product<Scalar, typename Side::ToProducts>(
            in, [&](int r, V v) { *reinterpret_cast<V*>(lines + (half * Side::side + r) * b.line + i * b.row + x) = v; });
      }
}

template <class Scalar, int M, bool Input>
void to_products(const Arguments& args) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Input>;
  constexpr std::int64_t n = kElements<Scalar>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Blocks<Scalar> b(geo, Input);
  Scalar* const lines = reinterpret_cast<Scalar*>(args.scratch);
  Scalar* const slab = lines + b.lines * b.line;
  const std::int64_t channels = args.out[0].dims[2], xi = channels * geo.columns, image_tiles = b.tiles_h * b.tiles_w;
  for (const std::int64_t part : each_part(args, args.out[0].dims[0] * channels)) {
    const std::int64_t t = part / channels, c = part % channels;
    Scalar* const to = block_of<Scalar>(args.out[0], t) + c * geo.columns;
    for (std::int64_t image = 0; image < geo.n; ++image) {
      const Scalar* const plane = block_of<Scalar>(args.in[0], t) + (image * channels + c) * b.h * b.w;
      for (std::int64_t i0 = 0; i0 < b.tiles_h; i0 += b.rows) {
        const std::int64_t rows = at_most(b.rows, b.tiles_h - i0), tiles = rows * b.tiles_w;
        gather_lines<Scalar, M, Input>(b, plane, i0, rows, slab, lines);
        for (std::int64_t j = 0; j < tiles; j += n) {
          Scalar* const first = to + image * image_tiles + i0 * b.tiles_w + j;
          const std::int64_t there = at_most(n, tiles - j);
          for (int r = 0; r < Side::side; ++r) {
            V x[2 * M];
            split<Scalar, M>(lines + r * b.line + M * j, x);
            if constexpr (Input) split<Scalar, M>(lines + (Side::side + r) * b.line + M * j, x + M);
            rows_product<Scalar, typename Side::ToProducts>(x, [&](int s, V v) {
              Scalar* const place = first + (r * Side::side + s) * xi;
              if (there == n) *reinterpret_cast<V*>(place) = v;
              else std::memcpy(place, &v, there * sizeof(Scalar));
            });
          }
        }
      }
    }
    for (int p = 0; geo.tiles() < geo.columns && p < Side::side * Side::side; ++p)
      std::memset(to + p * xi + geo.tiles(), 0, (geo.columns - geo.tiles()) * sizeof(Scalar));
  }
}

/// Row i of a block's tiles from the lines, where windows overlap by two numbers: to[r][x] for x < b.row + 2.
template <class Scalar, int M>
void join_lines(const Blocks<Scalar>& b, const Scalar* lines, std::int64_t i, Scalar* to) {
  using V = Vector<Scalar>;
  constexpr std::int64_t n = kElements<Scalar>;
  for (int r = 0; r < M + 2; ++r, to += b.pitch) {
    const Scalar *const first = lines + r * b.line + i * b.row, *const second = first + (M + 2) * b.line;
    for (std::int64_t x = 0; x < b.row; x += n) *reinterpret_cast<V*>(to + x) = *reinterpret_cast<const V*>(first + x);
#pragma GCC unroll 4
    for (int x = 0; x < M; ++x) to[b.row + x] = 0;
    for (std::int64_t x = 0; x < b.row; x += n) {
      V& place = *reinterpret_cast<V*>(to + M + x);
      place = place + *reinterpret_cast<const V*>(second + x);
    }
  }
}

template <class Scalar, int M, bool Input>
void from_products(const Arguments& args) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Input>;
  using L = typename Side::FromProducts;
  constexpr std::int64_t n = kElements<Scalar>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Blocks<Scalar> b(geo, Input);
  Scalar* const lines = reinterpret_cast<Scalar*>(args.scratch);
  Scalar* const joined = lines + b.lines * b.line;
  Scalar* const padded = joined + Side::side * b.pitch;  // the image with its halo, where windows overlap
  const std::int64_t channels = args.out[0].dims[2], xi = channels * geo.columns, image_tiles = b.tiles_h * b.tiles_w;
  for (const std::int64_t part : each_part(args, args.out[0].dims[0] * channels)) {
    const std::int64_t t = part / channels, c = part % channels;
    const Scalar* const from = block_of<Scalar>(args.in[0], t) + c * geo.columns;
    for (std::int64_t image = 0; image < geo.n; ++image) {
      Scalar* const plane = block_of<Scalar>(args.out[0], t) + (image * channels + c) * b.h * b.w;
      for (std::int64_t i0 = 0; i0 < b.tiles_h; i0 += b.rows) {
        const std::int64_t rows = at_most(b.rows, b.tiles_h - i0), tiles = rows * b.tiles_w;
        for (std::int64_t j = 0; j < tiles; j += n) {
          const Scalar* const first = from + image * image_tiles + i0 * b.tiles_w + j;
          const std::int64_t there = at_most(n, tiles - j);
          for (int r = 0; r < Side::side; ++r) {
            V q[Side::side], x[2 * M] = {};
#pragma GCC unroll 8
            for (int s = 0; s < Side::side; ++s) {
              const Scalar* const place = first + (r * Side::side + s) * xi;
              q[s] = there == n ? *reinterpret_cast<const V*>(place) : load_first(place, there);
            }
            rows_product<Scalar, L>(q, [&](int s, V v) { x[s] = v; });
            merge<Scalar, M>(x, lines + r * b.line + M * j);
            if constexpr (Input) merge<Scalar, M>(x + M, lines + (Side::side + r) * b.line + M * j);
          }
        }
        for (std::int64_t i = 0; i < rows; ++i) {
          if constexpr (Input) join_lines<Scalar, M>(b, lines, i, joined);
          const Scalar* const read = Input ? joined : lines + i * b.row;
          const std::int64_t step = Input ? b.pitch : b.line, width = b.row + Side::window - M, top = (i0 + i) * M;
          for (std::int64_t x = 0; x < width; x += n) {
            V q[Side::side];
#pragma GCC unroll 8
            for (int r = 0; r < Side::side; ++r) q[r] = *reinterpret_cast<const V*>(read + r * step + x);
            rows_product<Scalar, L>(q, [&](int r, V v) {
              if constexpr (Input) {  // two rows are also the last ones of the tiles above
                V& place = *reinterpret_cast<V*>(padded + (top + r) * b.pitch + x);
                place = r < 2 && top > 0 ? place + v : v;
              } else if (top + r < b.h && x < b.w) {
                Scalar* const place = plane + (top + r) * b.w + x;
                if (x + n <= b.w) *reinterpret_cast<V*>(place) = v;
                else std::memcpy(place, &v, (b.w - x) * sizeof(Scalar));
              }
            });
          }
        }
      }
      if constexpr (Input)
        for (std::int64_t row = 0; row < b.h; ++row)
          copy_row<1>(padded + (row + b.pad_h) * b.pitch + b.pad_w, b.w, plane + row * b.w);
    }
  }
}

template <class Scalar, int M, bool ToProducts>
void filters(const Arguments& args) {
  using V = Vector<Scalar>;
  using Side = FilterSide<M>;
  constexpr std::int64_t n = kElements<Scalar>;
  const Layout& products = ToProducts ? static_cast<const Layout&>(args.out[0]) : args.in[0];
  const std::int64_t count = products.dims[2] * products.dims[3], parts = ceil_div(count, kPartFilters);
  const bool streams = products.count_per_block() * static_cast<std::int64_t>(sizeof(Scalar)) >= kStreamBytes && count % n == 0;
  for (const std::int64_t part : each_part(args, args.out[0].dims[0] * parts)) {
    const Scalar* const from = block_of<Scalar>(args.in[0], part / parts);
    Scalar* const to = block_of<Scalar>(args.out[0], part / parts);
    const std::int64_t begin = part % parts * kPartFilters, end = at_most(begin + kPartFilters, count);
    for (std::int64_t f = begin; f < end; f += n) {
      const std::int64_t there = at_most(n, end - f);
      alignas(V) Scalar taps[9][n];
      if constexpr (ToProducts) {
        // Where a filter follows, rows may be read beyond their nine numbers.
        transpose<Scalar, false>({from + f * 9, 9, f + n < count ? 16 : 9}, there, 9, {taps[0], n, n});
        transform<Scalar, V, typename Side::ToProducts>([&](int r, int s) { return *reinterpret_cast<const V*>(taps[r * 3 + s]); },
                                                        [&](int a, int b, V v) {
                                                          Scalar* const place = to + (a * Side::side + b) * count + f;
                                                          if (there < n) std::memcpy(place, &v, there * sizeof(Scalar));
                                                          else if (streams) stream<Scalar>(place, v);
                                                          else *reinterpret_cast<V*>(place) = v;
                                                        });
      } else {
        transform<Scalar, V, typename Side::FromProducts>(
            [&](int a, int b) {
              const Scalar* const place = from + (a * Side::side + b) * count + f;
              return there == n ? *reinterpret_cast<const V*>(place) : load_first(place, there);
            },
            [&](int r, int s, V v) { *reinterpret_cast<V*>(taps[r * 3 + s]) = v; });
        transpose<Scalar, false>({taps[0], n, n}, 9, there, {to + f * 9, 9, 9});
      }
    }
  }
  if (streams) stream_end();
}

template <class Scalar, bool Input>
std::size_t scratch_to(const Problem& problem) {
  return Blocks<Scalar>(problem.attrs_as<WinogradGeometry>(), Input).bytes_to_products();
}
template <class Scalar, bool Input>
std::size_t scratch_from(const Problem& problem) {
  return Blocks<Scalar>(problem.attrs_as<WinogradGeometry>(), Input).bytes_from_products();
}
template <class Scalar, bool Input>
void run_to(const Arguments& args) {
  if (args.attrs_as<WinogradGeometry>().tile == 2) to_products<Scalar, 2, Input>(args);
  else to_products<Scalar, 4, Input>(args);
}
template <class Scalar, bool Input>
void run_from(const Arguments& args) {
  if (args.attrs_as<WinogradGeometry>().tile == 2) from_products<Scalar, 2, Input>(args);
  else from_products<Scalar, 4, Input>(args);
}
template <class Scalar, bool ToProducts>
void run_filters(const Arguments& args) {
  if (args.attrs_as<WinogradFilter>().tile == 2) filters<Scalar, 2, ToProducts>(args);
  else filters<Scalar, 4, ToProducts>(args);
}

std::int64_t channel_parts(const Problem& problem) { return problem.out[0].dims[0] * problem.out[0].dims[2]; }
template <bool ToProducts>
std::int64_t filter_parts(const Problem& problem) {
  const Layout& products = ToProducts ? static_cast<const Layout&>(problem.out[0]) : problem.in[0];
  return products.dims[0] * ceil_div(products.dims[2] * products.dims[3], kPartFilters);
}

template <class Scalar>
constexpr Kernel entry(const char* op, std::size_t (*bytes)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&)) {
  return {op, "tile_lanes", kIsa, kDTypeOf<Scalar>, 1, declines_unless_plain<Scalar>, bytes, run, parts};
}

}  // namespace

std::span<const Kernel> winograd_single_kernels() {
  static constexpr Kernel kTable[] = {
      entry<float>("winograd_input", scratch_to<float, true>, run_to<float, true>, channel_parts),
      entry<double>("winograd_input", scratch_to<double, true>, run_to<double, true>, channel_parts),
      entry<float>("winograd_output_grad", scratch_to<float, false>, run_to<float, false>, channel_parts),
      entry<double>("winograd_output_grad", scratch_to<double, false>, run_to<double, false>, channel_parts),
      entry<float>("winograd_output", scratch_from<float, false>, run_from<float, false>, channel_parts),
      entry<double>("winograd_output", scratch_from<double, false>, run_from<double, false>, channel_parts),
      entry<float>("winograd_input_grad", scratch_from<float, true>, run_from<float, true>, channel_parts),
      entry<double>("winograd_input_grad", scratch_from<double, true>, run_from<double, true>, channel_parts),
      entry<float>("winograd_filter", nullptr, run_filters<float, true>, filter_parts<true>),
      entry<double>("winograd_filter", nullptr, run_filters<double, true>, filter_parts<true>),
      entry<float>("winograd_filter_grad", nullptr, run_filters<float, false>, filter_parts<false>),
      entry<double>("winograd_filter_grad", nullptr, run_filters<double, false>, filter_parts<false>),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
