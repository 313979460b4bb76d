// The convolution family with trials in the lanes by minimal filtering (kernels/winograd/winograd.h), f32. What lies between
// image and image would be too large to pass through memory: it is made a block of tiles and some channels at a time, of a
// size that stays in the second cache.
//
// The side^2 matrices of a block lie a line further apart than they need: powers of two would all fall into the same places
// of a cache.
#include <cstring>

#include "kernels/common/families.h"
#include "kernels/common/numbers.h"
#include "kernels/common/tile.h"
#include "kernels/common/winograd_transform.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels::GI_ISA {
namespace {

using V = Vector<float>;

constexpr std::int64_t kPack = sizeof(V), kLine = 64;
constexpr Tap kTap{0, 0};

// Of a second cache of 1 MiB or more:
constexpr std::int64_t kWindowBytes = 600 << 10;  // transformed windows
constexpr std::int64_t kFilterBytes = 400 << 10;  // transformed filters
constexpr std::int64_t kFilterRows = 6;           // output channels whose filters are transformed at a time, at most
// and for a weight gradient, the largest piece of it, with the tiles that are summed at a time:
constexpr std::int64_t kPieceChannels = 16, kPieceTiles = 8;

const V* packs(const std::byte* p) { return reinterpret_cast<const V*>(p); }
V* packs(std::byte* p) { return reinterpret_cast<V*>(p); }

/// Some tiles of one image, in rows and columns of tiles.
struct Tiles {
  std::int64_t row, column, rows, columns;
  std::int64_t count() const { return rows * columns; }
};

/// One image's tiles in blocks of equal shape, but for the last ones.
struct Tiling {
  std::int64_t h, w, pad_h, pad_w;  ///< of the image that windows are taken from
  std::int64_t p, q;                ///< of the one that tiles are disjoint in
  std::int64_t tile, tiles_h, tiles_w;
  std::int64_t block_h, block_w;

  /// The adjoint is the convolution with the filters turned round and the channels exchanged.
  Tiling(const Conv2dGeometry& geo, bool adjoint, std::int64_t most_tiles)
      : h(adjoint ? geo.p : geo.h),
        w(adjoint ? geo.q : geo.w),
        pad_h(adjoint ? 2 - geo.pad_h : geo.pad_h),
        pad_w(adjoint ? 2 - geo.pad_w : geo.pad_w),
        p(adjoint ? geo.h : geo.p),
        q(adjoint ? geo.w : geo.q),
        tile(geo.winograd),
        tiles_h(ceil_div(p, tile)),
        tiles_w(ceil_div(q, tile)),
        block_h(0),
        block_w(even_piece(tiles_w, most_tiles)) {
    block_h = even_piece(tiles_h, most_tiles / block_w);
  }
  std::int64_t blocks() const { return ceil_div(tiles_h, block_h) * ceil_div(tiles_w, block_w); }
  Tiles block(std::int64_t i) const {
    const std::int64_t across = ceil_div(tiles_w, block_w), row = i / across * block_h, column = i % across * block_w;
    return {row, column, at_most(block_h, tiles_h - row), at_most(block_w, tiles_w - column)};
  }
  /// The part of a plane that a block's windows cover.
  std::int64_t slab_w() const { return block_w * tile + 2; }
  std::int64_t slab_bytes() const { return aligned((block_h * tile + 2) * slab_w() * kPack); }
  std::int64_t places() const { return (tile + 2) * (tile + 2); }
  /// Bytes of one of a block's matrices of `rows` x tiles.
  std::int64_t matrix_bytes(std::int64_t rows) const { return rows * block_h * block_w * kPack + kLine; }
};

/// Where the windows of `tiles` lie in a plane, zero outside of it.
void copy_slab(const Tiling& t, const V* plane, const Tiles& tiles, V* to) {
  const std::int64_t width = t.slab_w(), left = tiles.column * t.tile - t.pad_w, top = tiles.row * t.tile - t.pad_h;
  const std::int64_t begin = at_most(at_least(-left, 0), width), end = at_least(begin, at_most(width, t.w - left));
  for (std::int64_t i = 0; i < tiles.rows * t.tile + 2; ++i, to += width) {
    const bool inside = top + i >= 0 && top + i < t.h;
    const V* const row = plane + (inside ? top + i : 0) * t.w + left;
    const std::int64_t first = inside ? begin : width, last = inside ? end : width;
    for (std::int64_t j = 0; j < first; ++j) to[j] = V{};
    for (std::int64_t j = first; j < last; ++j) to[j] = row[j];
    for (std::int64_t j = last; j < width; ++j) to[j] = V{};
  }
}

/// Products [side^2][channels][tiles] of windows that overlap.
template <int M>
void transform_windows(const Tiling& t, const V* planes, const Tiles& tiles, std::int64_t channels, std::int64_t step, V* slab,
                       std::byte* to) {
  using Side = ImageSide<M, true>;
  for (std::int64_t c = 0; c < channels; ++c) {
    copy_slab(t, planes + c * t.h * t.w, tiles, slab);
    for (std::int64_t i = 0; i < tiles.rows; ++i)
      for (std::int64_t j = 0; j < tiles.columns; ++j, to += kPack) {
        const V* const window = slab + i * M * t.slab_w() + j * M;
        transform<float, V, typename Side::ToProducts>([&](int r, int s) { return window[r * t.slab_w() + s]; },
                                                       [&](int r, int s, V v) { *packs(to + (r * Side::side + s) * step) = v; });
      }
  }
}

/// Products [side^2][channels][tiles] of tiles that are disjoint.
template <int M>
void transform_tiles(const Tiling& t, const V* planes, const Tiles& tiles, std::int64_t channels, std::int64_t step,
                     std::byte* to) {
  using Side = ImageSide<M, false>;
  for (std::int64_t k = 0; k < channels; ++k, planes += t.p * t.q)
    for (std::int64_t i = 0; i < tiles.rows; ++i)
      for (std::int64_t j = 0; j < tiles.columns; ++j, to += kPack) {
        const std::int64_t top = (tiles.row + i) * M, left = (tiles.column + j) * M, height = t.p - top, width = t.q - left;
        const V* const from = planes + top * t.q + left;
        const auto store = [&](int r, int s, V v) { *packs(to + (r * Side::side + s) * step) = v; };
        if (height >= M && width >= M)
          transform<float, V, typename Side::ToProducts>([&](int r, int s) { return from[r * t.q + s]; }, store);
        else
          transform<float, V, typename Side::ToProducts>(
              [&](int r, int s) { return r < height && s < width ? from[r * t.q + s] : V{}; }, store);
      }
}

/// Planes (+)= what products [side^2][channels][tiles] come to.
template <int M>
void transform_back(const Tiling& t, const std::byte* from, const Tiles& tiles, std::int64_t channels, std::int64_t step, bool add,
                    V* planes) {
  using Side = ImageSide<M, false>;
  for (std::int64_t k = 0; k < channels; ++k, planes += t.p * t.q)
    for (std::int64_t i = 0; i < tiles.rows; ++i)
      for (std::int64_t j = 0; j < tiles.columns; ++j, from += kPack) {
        const std::int64_t top = (tiles.row + i) * M, left = (tiles.column + j) * M, height = t.p - top, width = t.q - left;
        V* const to = planes + top * t.q + left;
        const auto load = [&](int r, int s) { return *packs(from + (r * Side::side + s) * step); };
        if (height >= M && width >= M && !add)
          transform<float, V, typename Side::FromProducts>(load, [&](int r, int s, V v) { to[r * t.q + s] = v; });
        else
          transform<float, V, typename Side::FromProducts>(load, [&](int r, int s, V v) {
            if (r < height && s < width) to[r * t.q + s] = add ? to[r * t.q + s] + v : v;
          });
      }
}

// ---- conv2d and conv2d_grad_input -------------------------------------------------------------------------------------

struct Gather : Tiling {
  bool adjoint;
  std::int64_t in, out;  ///< channels

  Gather(const Conv2dGeometry& geo, bool adjoint)
      : Tiling(geo, adjoint,
               at_least(kWindowBytes / ((geo.winograd + 2) * (geo.winograd + 2) * (adjoint ? geo.k : geo.c) * kPack), 1)),
        adjoint(adjoint),
        in(adjoint ? geo.k : geo.c),
        out(adjoint ? geo.c : geo.k) {}
  static std::int64_t number(bool shared) { return shared ? sizeof(float) : kPack; }
  /// Output channels whose filters are transformed at a time.
  std::int64_t rows(bool shared) const {
    return even_piece(out, at_least(at_most(kFilterBytes / (places() * in * number(shared)), kFilterRows), 2));
  }
  std::int64_t filter_bytes(bool shared) const { return aligned(rows(shared) * in * number(shared)) + kLine; }
};

struct GatherScratch {
  std::int64_t windows, filters, products, end;
  explicit GatherScratch(const Gather& g)
      : windows(g.slab_bytes()),
        filters(windows + g.places() * g.matrix_bytes(g.in)),
        products(filters + g.places() * at_least(g.filter_bytes(false), g.filter_bytes(true))),
        end(products + g.places() * g.matrix_bytes(at_least(g.rows(false), g.rows(true)))) {}
};

/// Matrices [side^2][count][in] of the filters of output channels [first, first + count).
template <int M, bool Shared>
void transform_filters(const Gather& g, const std::byte* bank, std::int64_t first, std::int64_t count, std::byte* to) {
  using Side = FilterSide<M>;
  constexpr std::int64_t n = kElements<float>, number = Shared ? sizeof(float) : kPack;
  const std::int64_t step = g.filter_bytes(Shared), next_in = (g.adjoint ? g.out : 1) * 9, next_out = (g.adjoint ? 1 : g.in) * 9;
  for (std::int64_t k = first; k < first + count; ++k)
    for (std::int64_t c = 0; c < g.in; c += Shared ? n : 1) {
      const std::byte* const from = bank + (k * next_out + c * next_in) * number;
      const std::int64_t there = Shared ? at_most(n, g.in - c) : 1;
      alignas(V) float many[9][n];
      if constexpr (Shared)  // as many filters as a vector has elements
        for (int tap = 0; tap < 9; ++tap)
          for (std::int64_t i = 0; i < n; ++i)
            many[tap][i] = i < there ? reinterpret_cast<const float*>(from)[i * next_in + tap] : 0;
      const V* const taps = Shared ? reinterpret_cast<const V*>(many) : packs(from);
      const auto store = [&](int r, int s, V v) {
        if constexpr (Shared) std::memcpy(to + (r * Side::side + s) * step, &v, there * number);
        else *packs(to + (r * Side::side + s) * step) = v;
      };
      if (g.adjoint) transform<float, V, typename Side::ToProducts>([&](int r, int s) { return taps[8 - r * 3 - s]; }, store);
      else transform<float, V, typename Side::ToProducts>([&](int r, int s) { return taps[r * 3 + s]; }, store);
      to += there * number;
    }
}

template <int M, bool Shared>
void gather_block(const Gather& g, const V* source, const std::byte* bank, const Tiles& tiles, bool add, std::byte* scratch,
                  V* out) {
  const GatherScratch at(g);
  std::byte *const windows = scratch + at.windows, *const filters = scratch + at.filters, *const products = scratch + at.products;
  const std::int64_t rows = g.rows(Shared);
  transform_windows<M>(g, source, tiles, g.in, g.matrix_bytes(g.in), packs(scratch), windows);
  TileJob job;
  job.taps = &kTap;
  job.channels = g.in;
  job.w_channel = Gather::number(Shared);
  job.w_k = g.in * job.w_channel;
  job.x_channel = job.out_k = tiles.count() * kPack;
  job.x_q = job.out_q = kPack;
  for (std::int64_t first = 0; first < g.out; first += rows) {
    const std::int64_t count = at_most(rows, g.out - first);
    transform_filters<M, Shared>(g, bank, first, count, filters);
    for (std::int64_t place = 0; place < g.places(); ++place) {
      job.x = windows + place * g.matrix_bytes(g.in);
      job.w = filters + place * g.filter_bytes(Shared);
      job.out = products + place * g.matrix_bytes(rows);
      multiply<float, Shared>(job, count, tiles.count());
    }
    transform_back<M>(g, products, tiles, count, g.matrix_bytes(rows), add, out + first * g.p * g.q);
  }
}

template <int M, bool Adjoint>
void gather_run(const Arguments& args) {
  const Gather g(args.attrs_as<Conv2dGeometry>(), Adjoint);
  const std::int64_t images = args.out[0].dims[1], blocks = g.blocks();
  for (const std::int64_t part : each_part(args, args.out[0].dims[0] * images * blocks)) {
    const std::int64_t image = part / blocks, t = image / images, n = image % images;
    const Tiles tiles = g.block(part % blocks);
    V* const out = static_cast<V*>(args.out[0].data) + image * g.out * g.p * g.q;
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const ConstView &x = args.in[pair], &w = args.in[pair + 1];
      const V* const source = static_cast<const V*>(x.data) + t * x.strides[0] + n * g.in * g.h * g.w;
      const bool shared = w.lanes == 1;
      const std::byte* const bank = static_cast<const std::byte*>(w.data) + t * w.strides[0] * Gather::number(shared);
      (shared ? gather_block<M, true> : gather_block<M, false>)(g, source, bank, tiles, pair > 0, args.scratch, out);
    }
  }
}

// ---- conv2d_grad_weight -----------------------------------------------------------------------------------------------

/// The gradient a piece of output by input channels at a time.
struct Correlate : Tiling {
  std::int64_t piece_k, piece_c, pieces_k, pieces_c;

  explicit Correlate(const Conv2dGeometry& geo)
      : Tiling(geo, false, kPieceTiles),
        piece_k(even_piece(geo.k, kPieceChannels)),
        piece_c(even_piece(geo.c, kPieceChannels)),
        pieces_k(ceil_div(geo.k, piece_k)),
        pieces_c(ceil_div(geo.c, piece_c)) {}
  std::int64_t pieces() const { return pieces_k * pieces_c; }
  std::int64_t sum_bytes() const { return piece_k * piece_c * kPack + kLine; }
};

struct CorrelateScratch {
  std::int64_t windows, tiles, sums, end;
  explicit CorrelateScratch(const Correlate& s)
      : windows(s.slab_bytes()),
        tiles(windows + s.places() * s.matrix_bytes(s.piece_c)),
        sums(tiles + s.places() * s.matrix_bytes(s.piece_k)),
        end(sums + s.places() * s.sum_bytes()) {}
};

/// The filters that sums [side^2][ks][cs] come to.
template <int M>
void transform_sums(const std::byte* from, std::int64_t ks, std::int64_t cs, std::int64_t step, std::int64_t next_k, V* to) {
  using Side = FilterSide<M>;
  for (std::int64_t k = 0; k < ks; ++k)
    for (std::int64_t c = 0; c < cs; ++c, from += kPack) {
      V* const filter = to + k * next_k + c * 9;
      transform<float, V, typename Side::FromProducts>([&](int r, int s) { return *packs(from + (r * Side::side + s) * step); },
                                                       [&](int r, int s, V v) { filter[r * 3 + s] = v; });
    }
}

template <int M>
void correlate_run(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const ConstView &x = args.in[0], &g = args.in[1];
  const Correlate sizes(geo);
  const CorrelateScratch at(sizes);
  std::byte *const windows = args.scratch + at.windows, *const tiles = args.scratch + at.tiles,
                   *const sums = args.scratch + at.sums;
  for (const std::int64_t part : each_part(args, args.out[0].dims[0] * sizes.pieces())) {
    const std::int64_t t = part / sizes.pieces(), piece = part % sizes.pieces();
    const std::int64_t k = piece / sizes.pieces_c * sizes.piece_k, c = piece % sizes.pieces_c * sizes.piece_c;
    const std::int64_t ks = at_most(sizes.piece_k, geo.k - k), cs = at_most(sizes.piece_c, geo.c - c);
    TileJob job;
    job.taps = &kTap;
    job.x_channel = job.w_channel = job.out_q = kPack;
    job.out_k = cs * kPack;
    for (std::int64_t n = 0; n < x.dims[1]; ++n) {
      const V* const x_planes = static_cast<const V*>(x.data) + t * x.strides[0] + (n * geo.c + c) * geo.h * geo.w;
      const V* const g_planes = static_cast<const V*>(g.data) + t * g.strides[0] + (n * geo.k + k) * geo.p * geo.q;
      for (std::int64_t block = 0; block < sizes.blocks(); ++block) {
        const Tiles some = sizes.block(block);
        transform_windows<M>(sizes, x_planes, some, cs, sizes.matrix_bytes(sizes.piece_c), packs(args.scratch), windows);
        transform_tiles<M>(sizes, g_planes, some, ks, sizes.matrix_bytes(sizes.piece_k), tiles);
        job.channels = some.count();
        job.x_q = job.w_k = some.count() * kPack;
        for (std::int64_t place = 0; place < sizes.places(); ++place) {
          job.x = windows + place * sizes.matrix_bytes(sizes.piece_c);
          job.w = tiles + place * sizes.matrix_bytes(sizes.piece_k);
          job.out = sums + place * sizes.sum_bytes();
          multiply<float, false>(job, ks, cs);
        }
        job.accumulate = true;
      }
    }
    V* const dw = static_cast<V*>(args.out[0].data) + ((t * geo.k + k) * geo.c + c) * 9;
    transform_sums<M>(sums, ks, cs, sizes.sum_bytes(), geo.c * 9, dw);
  }
}

// ---- the table --------------------------------------------------------------------------------------------------------

const char* declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  if (geo.winograd != 2 && geo.winograd != 4) return "not asked for";
  if (geo.r != 3 || geo.s != 3 || geo.stride_h != 1 || geo.stride_w != 1 || geo.groups != 1) return "not 3x3 filters of stride 1";
  if (geo.pad_h > 2 || geo.pad_w > 2) return "more padding than the adjoint can take away";
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in[i];
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != kLanes && (i % 2 == 0 || !v.shared())) return "an image is not in packs";
  }
  return nullptr;
}
const char* correlate_declined(const Problem& problem) {
  if (const char* reason = declined(problem)) return reason;
  if (problem.in[1].lanes != kLanes) return "an image is not in packs";
  const Tiling tiling(problem.attrs_as<Conv2dGeometry>(), false, kPieceTiles);
  const bool few = problem.in[0].dims[1] * tiling.tiles_h * tiling.tiles_w < kPieceTiles;
  return few ? "too few tiles to pay for the filters' transforms" : nullptr;
}

template <bool Adjoint>
std::size_t gather_scratch(const Problem& problem) {
  return GatherScratch(Gather(problem.attrs_as<Conv2dGeometry>(), Adjoint)).end;
}
std::size_t correlate_scratch(const Problem& problem) {
  return CorrelateScratch(Correlate(problem.attrs_as<Conv2dGeometry>())).end;
}
template <bool Adjoint>
std::int64_t gather_parts(const Problem& problem) {
  return problem.out[0].dims[0] * problem.out[0].dims[1] * Gather(problem.attrs_as<Conv2dGeometry>(), Adjoint).blocks();
}
std::int64_t correlate_parts(const Problem& problem) {
  return problem.out[0].dims[0] * Correlate(problem.attrs_as<Conv2dGeometry>()).pieces();
}
template <bool Adjoint>
void gather(const Arguments& args) {
  (args.attrs_as<Conv2dGeometry>().winograd == 2 ? gather_run<2, Adjoint> : gather_run<4, Adjoint>)(args);
}
void correlate(const Arguments& args) {
  (args.attrs_as<Conv2dGeometry>().winograd == 2 ? correlate_run<2> : correlate_run<4>)(args);
}

constexpr Kernel entry(const char* op, const char* (*declines)(const Problem&), std::size_t (*scratch)(const Problem&),
                       void (*run)(const Arguments&), std::int64_t (*parts)(const Problem&)) {
  return {op, "trial_lanes_winograd", kIsa, DType::f32, kLanes, declines, scratch, run, parts};
}

constexpr Kernel kKernels[] = {
    entry("conv2d", declined, gather_scratch<false>, gather<false>, gather_parts<false>),
    entry("conv2d_grad_input", declined, gather_scratch<true>, gather<true>, gather_parts<true>),
    entry("conv2d_grad_weight", correlate_declined, correlate_scratch, correlate, correlate_parts),
};

}  // namespace

std::span<const Kernel> conv2d_winograd_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
