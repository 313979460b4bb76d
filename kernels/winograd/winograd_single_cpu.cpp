// Winograd's transforms of single trials: as many tiles as a vector has elements, or filters, in its lanes.
//
// A block of some rows of tiles of one channel passes through scratch as `cells`: for every place (r, s) of a window, the
// numbers of all tiles at that place, side by side in the order of the columns. Rows of the image are laid one after the
// other in a line, from which every tile-th number is taken, or into which such numbers are put.
#include <cstring>

#include "kernels/common/numbers.h"
#include "kernels/common/transpose.h"
#include "kernels/common/variants.h"
#include "kernels/common/winograd_transform.h"
#include "kernels/winograd/winograd.h"

namespace gi::kernels::GI_ISA {
namespace {

constexpr std::int64_t kBlockTiles = 64;    ///< or one row of tiles: cells stay in a first cache of 32 KiB
constexpr std::int64_t kPartFilters = 256;  ///< that are one part of the work

/// The image that a transform meets, and the blocks it is taken in.
template <class Scalar>
struct Blocks {
  std::int64_t h, w, pad_h, pad_w;
  std::int64_t tile, window, tiles_h, tiles_w;
  std::int64_t rows;       ///< of tiles in a block
  std::int64_t cell;       ///< numbers from one place's to the next's, with an overrun
  std::int64_t line;       ///< numbers, likewise
  std::int64_t pitch;      ///< of the plane that overlapping windows are summed in
  std::int64_t plane = 0;  ///< its numbers

  Blocks(const WinogradGeometry& geo, bool input)
      : h(input ? geo.h : geo.p),
        w(input ? geo.w : geo.q),
        pad_h(input ? geo.pad_h : 0),
        pad_w(input ? geo.pad_w : 0),
        tile(geo.tile),
        window(input ? geo.side() : geo.tile),
        tiles_h(geo.tiles_h()),
        tiles_w(geo.tiles_w()),
        rows(even_piece(tiles_h, kBlockTiles / tiles_w)),
        cell(ceil_div(rows * tiles_w, kElements<Scalar>) * kElements<Scalar> + kElements<Scalar>),
        line(tile * (cell + kElements<Scalar>)),
        pitch(tiles_w * tile + 2) {
    if (input) plane = (tiles_h * tile + 2) * pitch;
  }
  std::int64_t cells() const { return window * window * cell; }
  std::size_t scratch_bytes() const { return (cells() + 2 * line + plane) * sizeof(Scalar); }
};

/// to[i] = from[M * i]; whole vectors are read and written.
template <class Scalar, int M>
void take(const Scalar* from, std::int64_t count, Scalar* to) {
  constexpr std::int64_t n = kElements<Scalar>;
  for (std::int64_t i = 0; i < count; i += n) {
    if constexpr (M == 2) {
      *reinterpret_cast<Vector<Scalar>*>(to + i) = every_other(from + 2 * i);
    } else {
      static_assert(M == 4);
      const Vector<Scalar> low = every_other(from + 4 * i), high = every_other(from + 4 * i + 2 * n);
      *reinterpret_cast<Vector<Scalar>*>(to + i) = pick<Scalar>(low, high, [](std::size_t e) { return 2 * e; });
    }
  }
}

/// to[M * i + k] = from[k * cell + i] for k < M, zero where k >= there.
template <class Scalar, int M>
void put(const Scalar* from, std::int64_t cell, int there, std::int64_t count, Scalar* to) {
  constexpr std::int64_t n = kElements<Scalar>;
  using V = Vector<Scalar>;
  for (std::int64_t i = 0; i < count; i += n) {
    V cells[M], both[M];
#pragma GCC unroll 4
    for (int k = 0; k < M; ++k) cells[k] = k < there ? *reinterpret_cast<const V*>(from + k * cell + i) : V{};
    if constexpr (M == 2) {
      interleave<Scalar>(cells[0], cells[1], both);
    } else {
      static_assert(M == 4);
      V even[2], odd[2];
      interleave<Scalar>(cells[0], cells[2], even);
      interleave<Scalar>(cells[1], cells[3], odd);
      interleave<Scalar>(even[0], odd[0], both);
      interleave<Scalar>(even[1], odd[1], both + 2);
    }
#pragma GCC unroll 4
    for (int k = 0; k < M; ++k) *reinterpret_cast<V*>(to + M * i + k * n) = both[k];
  }
}

/// `count` numbers of a row of the image from place `first` on, zero outside of it.
template <class Scalar>
void copy_row(const Scalar* row, std::int64_t width, std::int64_t first, std::int64_t count, Scalar* to) {
  const std::int64_t begin = at_most(at_least(0, -first), count), end = at_least(begin, at_most(count, width - first));
  for (std::int64_t i = 0; i < begin; ++i) to[i] = Scalar(0);
  std::memcpy(to + begin, row + first + begin, (end - begin) * sizeof(Scalar));
  for (std::int64_t i = end; i < count; ++i) to[i] = Scalar(0);
}

/// The cells of tile rows [i0, i0 + rows) of one plane of an image.
template <class Scalar, int M, bool Input>
void gather_cells(const Blocks<Scalar>& b, const Scalar* plane, std::int64_t i0, std::int64_t rows, Scalar* lines, Scalar* cells) {
  constexpr int kWindow = ImageSide<M, Input>::window;
  const std::int64_t row_numbers = M * b.tiles_w;
  for (int r = 0; r < kWindow; ++r, cells += kWindow * b.cell) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t from = (i0 + i) * M + r - b.pad_h;
      const bool inside = from >= 0 && from < b.h;
      const Scalar* const row = plane + (inside ? from : 0) * b.w;
      copy_row(row, inside ? b.w : 0, -b.pad_w, row_numbers, lines + i * row_numbers);
      if (kWindow > M) copy_row(row, inside ? b.w : 0, M - b.pad_w, row_numbers, lines + b.line + i * row_numbers);
    }
    for (int s = 0; s < kWindow; ++s) take<Scalar, M>(lines + (s < M ? s : b.line + s - M), rows * b.tiles_w, cells + s * b.cell);
  }
}

template <class Scalar, int M, bool Input>
void to_products(const Arguments& args) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Input>;
  constexpr std::int64_t n = kElements<Scalar>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Blocks<Scalar> b(geo, Input);
  Scalar* const cells = reinterpret_cast<Scalar*>(args.scratch);
  const std::int64_t channels = args.out[0].dims[2], xi = channels * geo.columns, image_tiles = b.tiles_h * b.tiles_w;
  const Range range = parts_of(args, args.out[0].dims[0] * channels);
  for (std::int64_t part = range.first; part < range.last; ++part) {
    const std::int64_t t = part / channels, c = part % channels;
    Scalar* const to = block_of<Scalar>(args.out[0], t) + c * geo.columns;
    for (std::int64_t image = 0; image < geo.n; ++image) {
      const Scalar* const plane = block_of<Scalar>(args.in[0], t) + (image * channels + c) * b.h * b.w;
      for (std::int64_t i0 = 0; i0 < b.tiles_h; i0 += b.rows) {
        const std::int64_t rows = at_most(b.rows, b.tiles_h - i0), tiles = rows * b.tiles_w;
        gather_cells<Scalar, M, Input>(b, plane, i0, rows, cells + b.cells(), cells);
        for (std::int64_t j = 0; j < tiles; j += n) {
          Scalar* const first = to + image * image_tiles + i0 * b.tiles_w + j;
          const std::int64_t there = at_most(n, tiles - j);
          transform<Scalar, V, typename Side::ToProducts>(
              [&](int r, int s) { return *reinterpret_cast<const V*>(cells + (r * Side::window + s) * b.cell + j); },
              [&](int r, int s, V v) {
                Scalar* const place = first + (r * Side::side + s) * xi;
                if (there == n) *reinterpret_cast<V*>(place) = v;
                else std::memcpy(place, &v, there * sizeof(Scalar));
              });
        }
      }
    }
    for (int p = 0; p < Side::side * Side::side; ++p)
      std::memset(to + p * xi + geo.tiles(), 0, (geo.columns - geo.tiles()) * sizeof(Scalar));
  }
}

/// The rows of one plane from the cells of tile rows [i0, i0 + rows): disjoint windows.
template <class Scalar, int M>
void write_cells(const Blocks<Scalar>& b, const Scalar* cells, std::int64_t i0, std::int64_t rows, Scalar* line, Scalar* plane) {
  for (int r = 0; r < M; ++r) {
    put<Scalar, M>(cells + r * M * b.cell, b.cell, M, rows * b.tiles_w, line);
    for (std::int64_t i = 0; i < rows && (i0 + i) * M + r < b.h; ++i)
      std::memcpy(plane + ((i0 + i) * M + r) * b.w, line + i * M * b.tiles_w, b.w * sizeof(Scalar));
  }
}

/// The same where windows overlap: added to the padded plane of `pitch`.
template <class Scalar, int M>
void add_cells(const Blocks<Scalar>& b, const Scalar* cells, std::int64_t i0, std::int64_t rows, Scalar* line, Scalar* padded) {
  const std::int64_t row_numbers = M * b.tiles_w;
  for (int r = 0; r < M + 2; ++r, cells += (M + 2) * b.cell) {
    put<Scalar, M>(cells, b.cell, M, rows * b.tiles_w, line);
    put<Scalar, M>(cells + M * b.cell, b.cell, 2, rows * b.tiles_w, line + b.line);
    for (std::int64_t i = 0; i < rows; ++i) {
      Scalar* const to = padded + ((i0 + i) * M + r) * b.pitch;
      const Scalar* const first = line + i * row_numbers;
      for (std::int64_t x = 0; x < row_numbers; ++x) to[x] += first[x];
      const Scalar* const second = first + b.line;
      for (std::int64_t x = 0; x + M < row_numbers + 2; ++x) to[M + x] += second[x];
    }
  }
}

template <class Scalar, int M, bool Input>
void from_products(const Arguments& args) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Input>;
  constexpr std::int64_t n = kElements<Scalar>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Blocks<Scalar> b(geo, Input);
  Scalar* const cells = reinterpret_cast<Scalar*>(args.scratch);
  Scalar* const lines = cells + b.cells();
  Scalar* const padded = lines + 2 * b.line;
  const std::int64_t channels = args.out[0].dims[2], xi = channels * geo.columns, image_tiles = b.tiles_h * b.tiles_w;
  const Range range = parts_of(args, args.out[0].dims[0] * channels);
  for (std::int64_t part = range.first; part < range.last; ++part) {
    const std::int64_t t = part / channels, c = part % channels;
    const Scalar* const from = block_of<Scalar>(args.in[0], t) + c * geo.columns;
    for (std::int64_t image = 0; image < geo.n; ++image) {
      Scalar* const plane = block_of<Scalar>(args.out[0], t) + (image * channels + c) * b.h * b.w;
      if (Input) std::memset(padded, 0, b.plane * sizeof(Scalar));
      for (std::int64_t i0 = 0; i0 < b.tiles_h; i0 += b.rows) {
        const std::int64_t rows = at_most(b.rows, b.tiles_h - i0), tiles = rows * b.tiles_w;
        for (std::int64_t j = 0; j < tiles; j += n) {
          const Scalar* const first = from + image * image_tiles + i0 * b.tiles_w + j;
          const std::int64_t there = at_most(n, tiles - j);
          transform<Scalar, V, typename Side::FromProducts>(
              [&](int r, int s) {
                const Scalar* const place = first + (r * Side::side + s) * xi;
                return there == n ? *reinterpret_cast<const V*>(place) : load_first(place, there);
              },
              [&](int r, int s, V v) { *reinterpret_cast<V*>(cells + (r * Side::window + s) * b.cell + j) = v; });
        }
        if constexpr (Input) add_cells<Scalar, M>(b, cells, i0, rows, lines, padded);
        else write_cells<Scalar, M>(b, cells, i0, rows, lines, plane);
      }
      if (Input)
        for (std::int64_t row = 0; row < b.h; ++row)
          std::memcpy(plane + row * b.w, padded + (row + b.pad_h) * b.pitch + b.pad_w, b.w * sizeof(Scalar));
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
  const Range range = parts_of(args, args.out[0].dims[0] * parts);
  for (std::int64_t part = range.first; part < range.last; ++part) {
    const Scalar* const from = block_of<Scalar>(args.in[0], part / parts);
    Scalar* const to = block_of<Scalar>(args.out[0], part / parts);
    const std::int64_t begin = part % parts * kPartFilters, end = at_most(begin + kPartFilters, count);
    for (std::int64_t f = begin; f < end; f += n) {
      const std::int64_t there = at_most(n, end - f);
      alignas(V) Scalar taps[9][n] = {};
      if constexpr (ToProducts) {
        for (std::int64_t i = 0; i < there; ++i)
          for (int tap = 0; tap < 9; ++tap) taps[tap][i] = from[(f + i) * 9 + tap];
        transform<Scalar, V, typename Side::ToProducts>([&](int r, int s) { return *reinterpret_cast<const V*>(taps[r * 3 + s]); },
                                                        [&](int a, int b, V v) {
                                                          Scalar* const place = to + (a * Side::side + b) * count + f;
                                                          if (there == n) *reinterpret_cast<V*>(place) = v;
                                                          else std::memcpy(place, &v, there * sizeof(Scalar));
                                                        });
      } else {
        transform<Scalar, V, typename Side::FromProducts>(
            [&](int a, int b) {
              const Scalar* const place = from + (a * Side::side + b) * count + f;
              return there == n ? *reinterpret_cast<const V*>(place) : load_first(place, there);
            },
            [&](int r, int s, V v) { *reinterpret_cast<V*>(taps[r * 3 + s]) = v; });
        for (std::int64_t i = 0; i < there; ++i)
          for (int tap = 0; tap < 9; ++tap) to[(f + i) * 9 + tap] = taps[tap][i];
      }
    }
  }
}

template <class Scalar, bool Input>
std::size_t scratch(const Problem& problem) {
  return Blocks<Scalar>(problem.attrs_as<WinogradGeometry>(), Input).scratch_bytes();
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
      entry<float>("winograd_input", scratch<float, true>, run_to<float, true>, channel_parts),
      entry<double>("winograd_input", scratch<double, true>, run_to<double, true>, channel_parts),
      entry<float>("winograd_output_grad", scratch<float, false>, run_to<float, false>, channel_parts),
      entry<double>("winograd_output_grad", scratch<double, false>, run_to<double, false>, channel_parts),
      entry<float>("winograd_output", scratch<float, false>, run_from<float, false>, channel_parts),
      entry<double>("winograd_output", scratch<double, false>, run_from<double, false>, channel_parts),
      entry<float>("winograd_input_grad", scratch<float, true>, run_from<float, true>, channel_parts),
      entry<double>("winograd_input_grad", scratch<double, true>, run_from<double, true>, channel_parts),
      entry<float>("winograd_filter", nullptr, run_filters<float, true>, filter_parts<true>),
      entry<double>("winograd_filter", nullptr, run_filters<double, true>, filter_parts<true>),
      entry<float>("winograd_filter_grad", nullptr, run_filters<float, false>, filter_parts<false>),
      entry<double>("winograd_filter_grad", nullptr, run_filters<double, false>, filter_parts<false>),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
