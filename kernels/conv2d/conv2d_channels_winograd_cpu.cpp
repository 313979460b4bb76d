// conv2d and conv2d_grad_input of single trials by minimal filtering (kernels/winograd/winograd.h), with output channels in the
// lanes, all within one convolution.
//
// Few tiles meet many filters in deep layers, and transforms are up to four times as large as the filters. So those to one or two
// vectors of output channels are transformed a chunk of input channels and a row of places at a time, and multiplied before they
// leave the first cache; the next chunk is fetched meanwhile. Everything has channels in the lanes: windows [group of input
// channels] [place][tile][channel], which give the products' scalars, filters [place][input channel][output channel], their
// vectors, and sums [place][tile][output channel].
//
// The adjoint is the convolution with the filters turned round and the channels exchanged.
#include "kernels/common/families.h"
#include "kernels/conv2d/conv2d_channel_tiles.h"
#include "kernels/conv2d/conv2d_channels.h"

namespace gi::kernels::GI_ISA {
namespace {

constexpr std::int64_t kChunkBytes = 32 << 10;  // of a first cache: a chunk's filters, and a row of their transforms
// Transformed windows: of a second cache of 1 MiB or more, or, where products are half as fast, from the third: that is less than
// transforming filters anew for every block.
constexpr std::int64_t kWindowBytes = (kVectorRegisters == 32 ? 600 : 2400) << 10;
constexpr std::int64_t kHeldBytes = 640 << 10;  // transformed filters that stay for all blocks
constexpr std::int64_t kTaps = 9;
constexpr std::int64_t kMaxPairs = 2;
constexpr int kMostVectors = 2;  // of output channels at a time

struct Sizes : FilterOrder {
  std::int64_t elements, images;
  ChannelTiles tiles;
  std::int64_t p, q;     ///< of the result
  bool held;             ///< whether all transformed filters stay
  std::int64_t chunk;    ///< input channels whose filters are transformed at a time
  std::int64_t windows;  ///< numbers from place to place of a group's windows
  std::int64_t filters;  ///< of a chunk's filters
  std::int64_t sums;     ///< of sums

  Sizes(const Conv2dGeometry& geo, bool adjoint, std::int64_t elements, std::int64_t images, std::int64_t number)
      : FilterOrder(adjoint ? geo.k : geo.c, adjoint ? geo.c : geo.k, kTaps, elements, at_once(geo, adjoint)),
        elements(elements),
        images(images),
        tiles(adjoint ? ChannelTiles(geo.p, geo.q, 2 - geo.pad_h, 2 - geo.pad_w, geo.h, geo.w, geo.winograd, true)
                      : ChannelTiles(geo.h, geo.w, geo.pad_h, geo.pad_w, geo.p, geo.q, geo.winograd, true)),
        p(adjoint ? geo.h : geo.p),
        q(adjoint ? geo.w : geo.q) {
    const std::int64_t vector = elements * number, groups = ceil_div(in, elements);  // bytes; of input channels
    tiles.rows = even_piece(tiles.tiles_h, kWindowBytes / (tiles.places() * groups * tiles.tiles_w * vector));
    held = images * tiles.blocks() > 1 && parts() * tile * tiles.places() * in * vector <= kHeldBytes;
    chunk = held ? in : even_piece(groups, kChunkBytes / ((kTaps + tiles.side()) * elements * tile * vector)) * elements;
    windows = tiles.place(elements);
    filters = (chunk * tile + 1) * elements;
    sums = (tiles.tiles() * tile + 1) * elements;
  }
  std::int64_t width() const { return tile * elements; }  ///< output channels at a time
  std::int64_t parts() const { return ceil_div(vectors, tile); }

 private:
  /// Vectors of output channels at a time: few tiles alone do not keep the multipliers busy, and where there are few registers
  /// loads are what takes the time.
  static std::int64_t at_once(const Conv2dGeometry& geo, bool adjoint) {
    const std::int64_t tiles = ceil_div(adjoint ? geo.h : geo.p, geo.winograd) * ceil_div(adjoint ? geo.w : geo.q, geo.winograd);
    return kVectorRegisters < 32 || tiles <= max_pixels(kMostVectors) ? kMostVectors : 1;
  }
};

/// Scratch: places of taps; a slab; of both pairs the windows and, where they stay, the filters; sums; and the result by pixels.
template <class Scalar>
struct Scratch {
  std::int64_t slab, windows, windows_pair, copy, filters, filters_pair, sums, pixels, end;
  Scratch(const Sizes& s, std::int64_t pairs)
      : slab(aligned(kTaps * sizeof(TapPlace))),
        windows(slab + bytes(s.tiles.slab_h() * s.tiles.slab_w() * s.elements)),
        windows_pair(bytes(ceil_div(s.in, s.elements) * s.tiles.group(s.elements))),
        copy(windows + pairs * windows_pair),
        filters(copy + bytes(s.chunk * kTaps * s.width())),
        filters_pair(bytes((s.held ? s.parts() * s.tiles.places() : s.tiles.side()) * s.filters)),
        sums(filters + (s.held ? pairs : 1) * filters_pair),
        pixels(sums + bytes(s.tiles.places() * s.sums)),
        end(pixels + bytes(s.tiles.rows * s.tiles.size * s.q * s.width())) {}
  static std::int64_t bytes(std::int64_t numbers) { return aligned(numbers * sizeof(Scalar)); }
};

/// Row A of places of the first `vectors` of filters [channel][tap][s.tile vectors] as [place][channel][s.tile vectors].
template <class Scalar, int M, int A>
void transform_filters(const Sizes& s, const Scalar* from, std::int64_t channels, std::int64_t vectors, Scalar* to) {
  using V = Vector<Scalar>;
  using L = typename FilterSide<M>::ToProducts;
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t width = s.width();
  for (std::int64_t c = 0; c < channels; ++c, from += kTaps * width, to += width)
    for (std::int64_t q = 0; q < vectors * n; q += n) {
      V half[3];
#pragma GCC unroll 3
      for (int b = 0; b < 3; ++b) {
        V column[3];
#pragma GCC unroll 3
        for (int a = 0; a < 3; ++a) column[a] = *reinterpret_cast<const V*>(from + (a * 3 + b) * width + q);
        half[b] = row_product<Scalar, L, A, 0, false>(column, V{});
      }
      rows_product<Scalar, L>(half, [&](int b, V v) { *reinterpret_cast<V*>(to + b * s.filters + q) = v; });
    }
}

/// Sums [place][tile][vectors] (+)= windows times filters, of a row of places and `channels` input channels.
template <class Scalar>
void add_products(const Sizes& s, const Scalar* windows, const Scalar* filters, std::int64_t channels, std::int64_t vectors,
                  std::int64_t tiles, bool accumulate, Fetch& fetch, Scalar* sums) {
  constexpr std::int64_t n = kElements<Scalar>;
  RowsJob<Scalar> job{};
  job.rows = 1;  // taps are the channels of a group
  job.width = s.width();
  job.filter_channel = n * job.width;
  job.channel = s.tiles.group(n);
  job.fetch = &fetch;
  const std::int64_t whole = channels / n, rest = channels % n;
  const Split split(tiles, max_pixels(static_cast<int>(vectors)));
  for (std::int64_t place = 0; place < s.tiles.side(); ++place, windows += s.windows, filters += s.filters, sums += s.sums)
    for (std::int64_t piece = 0, j = 0, count; piece < split.pieces; ++piece, j += count) {
      count = split[piece];
      Scalar* const to = sums + j * vectors * n;
      job.accumulate = accumulate;
      if (whole > 0) {
        job.channels = whole;
        job.filters = filters;
        kTiles<OfRows<Scalar, n, n>, kMostVectors>.entries[vectors - 1][count - 1](job, windows + j * n, to);
        job.accumulate = true;
      }
      if (rest > 0) {
        job.channels = 1;
        job.taps = rest;
        job.filters = filters + whole * job.filter_channel;
        kTiles<OfRows<Scalar, 0, n>, kMostVectors>.entries[vectors - 1][count - 1](job, windows + whole * job.channel + j * n, to);
      }
    }
}

/// Pixels [row][column][vectors] of what sums come to.
template <class Scalar, int M>
void transform_back(const Sizes& s, const Scalar* sums, std::int64_t vectors, std::int64_t i0, Scalar* to) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, false>;
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t width = vectors * n, row = s.tiles.tiles_w * width;
  for (std::int64_t i = i0; i < at_most(i0 + s.tiles.rows, s.tiles.tiles_h); ++i, to += M * s.q * width)
    for (std::int64_t jq = 0; jq < row; jq += n, sums += n) {
      const std::int64_t j = jq / width, q = jq % width, there_h = s.p - i * M, there_w = s.q - j * M;
      const auto load = [&](int a, int b) { return *reinterpret_cast<const V*>(sums + (a * Side::side + b) * s.sums); };
      const auto place = [&](int a, int b) { return reinterpret_cast<V*>(to + (a * s.q + j * M + b) * width + q); };
      if (there_h >= M && there_w >= M)
        transform<Scalar, V, typename Side::FromProducts>(load, [&](int a, int b, V x) { *place(a, b) = x; });
      else
        transform<Scalar, V, typename Side::FromProducts>(load, [&](int a, int b, V x) {
          if (a < there_h && b < there_w) *place(a, b) = x;
        });
    }
}

template <class Scalar>
Sizes sizes_of(const Problem& problem, bool adjoint) {
  return Sizes(problem.attrs_as<Conv2dGeometry>(), adjoint, kElements<Scalar>, problem.out[0].dims[1], sizeof(Scalar));
}

inline void place_taps(bool adjoint, TapPlace* places) {
  for (std::int64_t tap = 0; tap < kTaps; ++tap) places[tap] = {0, kTaps, adjoint ? kTaps - 1 - tap : tap};
}

/// Sums of one chunk of input channels, from filters [channel][tap][s.tile vectors], or those that are transformed already.
template <class Scalar, int M, int... A>
void add_chunk(const Sizes& s, const Scalar* windows, const Scalar* from, Scalar* filters, std::int64_t channels,
               std::int64_t vectors, std::int64_t tiles, bool there, bool accumulate, Fetch fetch, Scalar* sums,
               std::integer_sequence<int, A...>) {
  const auto row = [&]<int I>(std::integral_constant<int, I>) {
    const std::int64_t place = I * s.tiles.side();
    Scalar* const to = filters + (s.held ? place * s.filters : 0);
    if (!there) transform_filters<Scalar, M, I>(s, from, channels, vectors, to);
    add_products(s, windows + place * s.windows, to, channels, vectors, tiles, accumulate, fetch, sums + place * s.sums);
  };
  (row(std::integral_constant<int, A>{}), ...);
}

template <class Scalar, bool Adjoint, int M>
void run_tiles(const Arguments& args) {
  constexpr std::int64_t n = kElements<Scalar>;
  const Sizes s = sizes_of<Scalar>(args, Adjoint);
  const std::int64_t pairs = static_cast<std::int64_t>(args.in.size()) / 2, plane = s.p * s.q, blocks = s.tiles.blocks();
  const Scratch<Scalar> scratch(s, pairs);
  const auto at = [&args](std::int64_t offset) { return reinterpret_cast<Scalar*>(args.scratch + offset); };
  TapPlace* const places = reinterpret_cast<TapPlace*>(args.scratch);
  Scalar *const copy = at(scratch.copy), *const sums = at(scratch.sums), *const pixels = at(scratch.pixels);
  const std::int64_t all_blocks = args.out[0].dims[0] * s.images * blocks;
  place_taps(Adjoint, places);
  // Windows of one block stay for all parts, and are for all threads; of several each thread makes its own.
  const bool one_block = all_blocks == 1;
  const auto windows = [&](std::int64_t pair) {
    return reinterpret_cast<Scalar*>((one_block ? args.common() : args.scratch) + scratch.windows + pair * scratch.windows_pair);
  };
  const auto transform_some = [&](std::int64_t block, std::int64_t pair, Range channels) {
    const ConstView& source = args.in[2 * pair];
    const std::int64_t image = block / blocks % s.images, t = block / blocks / s.images, plane_in = s.tiles.h * s.tiles.w;
    const Scalar* const from = source.as<Scalar>() + t * source.strides[0] + (image * s.in + channels.first) * plane_in;
    transform_channels<Scalar, M, true>(s.tiles, from, channels.last - channels.first, block % blocks * s.tiles.rows,
                                        at(scratch.slab), windows(pair) + channels.first / n * s.tiles.group(n));
  };
  if (one_block) {
    const ChannelPieces pieces(s.in, n);
    beforehand(args, pairs * pieces.count, [&](std::int64_t i) { transform_some(0, i / pieces.count, pieces[i % pieces.count]); });
  }
  for (PartRuns runs(args, s.parts(), one_block ? Taking::runs : Taking::one_share); runs.next();)
    for (std::int64_t block = 0; block < all_blocks; ++block) {
      const std::int64_t i0 = block % blocks * s.tiles.rows, image = block / blocks % s.images, t = block / blocks / s.images;
      const std::int64_t tiles = s.tiles.tiles(i0);
      const bool there = s.held && block % (blocks * s.images) > 0;
      for (std::int64_t pair = 0; pair < pairs && !one_block; ++pair) transform_some(block, pair, {0, s.in});
      for (std::int64_t part = runs.first; part < runs.last; ++part) {
        const std::int64_t first = part * s.width(), count = at_most(s.width(), s.out - first), vectors = ceil_div(count, n);
        const std::int64_t times = s.tiles.places() * ceil_div(s.chunk, n) * ceil_div(tiles, max_pixels(static_cast<int>(vectors)));
        const auto bank = [&](std::int64_t pair) { return Bank<Scalar, Adjoint>(args.in[2 * pair + 1], t, s); };
        const auto piece = [&](std::int64_t c) { return Piece{c, at_most(s.chunk, s.in - c), first, count}; };
        for (std::int64_t pair = 0; pair < pairs; ++pair)
          for (std::int64_t c = 0; c < s.in; c += s.chunk) {
            const Scalar* from = copy;
            Fetch next;
            if (!there) {
              if (bank(pair).prepared()) from = bank(pair).at(c, first);
              else bank(pair).copy(piece(c), places, copy);
              if (c + s.chunk < s.in) next = bank(pair).fetch(piece(c + s.chunk), times);
              else if (pair + 1 < pairs) next = bank(pair + 1).fetch(piece(0), times);
            }
            Scalar* const filters = at(scratch.filters + (s.held ? pair * scratch.filters_pair : 0));
            add_chunk<Scalar, M>(s, windows(pair) + c / n * s.tiles.group(n), from,
                                 filters + (s.held ? part * s.tiles.places() * s.filters : 0), piece(c).channels, vectors, tiles,
                                 there, pair > 0 || c > 0, next, sums, std::make_integer_sequence<int, M + 2>{});
          }
        transform_back<Scalar, M>(s, sums, vectors, i0, pixels);
        const std::int64_t done = at_most(s.tiles.rows * M, s.p - i0 * M) * s.q;
        Scalar* const out = args.out[0].as<Scalar>() + ((t * s.images + image) * s.out + first) * plane + i0 * M * s.q;
        transpose<Scalar, false>({pixels, vectors * n, vectors * n}, done, count, {out, plane, done});
      }
    }
}

template <class Scalar, bool Adjoint>
void run(const Arguments& args) {
  (args.attrs_as<Conv2dGeometry>().winograd == 2 ? run_tiles<Scalar, Adjoint, 2> : run_tiles<Scalar, Adjoint, 4>)(args);
}

const char* declined(const Problem& problem) {
  if (problem.in.size() > 2 * kMaxPairs) return "more products than two are added";
  return channel_tiles_declined(problem);
}

template <class Scalar, bool Adjoint>
std::size_t scratch_bytes(const Problem& problem) {
  return Scratch<Scalar>(sizes_of<Scalar>(problem, Adjoint), problem.in.size() / 2).end;
}

template <class Scalar, bool Adjoint>
std::int64_t parts(const Problem& problem) {
  return sizes_of<Scalar>(problem, Adjoint).parts();
}

template <class Scalar, bool Adjoint>
void prepare(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  TapPlace* const places = reinterpret_cast<TapPlace*>(args.scratch);
  place_taps(Adjoint, places);
  prepare_filters<Scalar, Adjoint>(args, Sizes(geo, Adjoint, kElements<Scalar>, 1, sizeof(Scalar)), places);
}

inline std::size_t preparing_scratch(const Problem&) { return kTaps * sizeof(TapPlace); }

constexpr const char* kName = "channel_lanes_winograd";

template <class Scalar, bool Adjoint>
constexpr Kernel kPreparing = preparing_kernel<Scalar, Adjoint>(kName, preparing_scratch, prepare<Scalar, Adjoint>);

template <class Scalar, bool Adjoint>
Prepared prepared(const Problem& problem, std::size_t operand) {
  const Sizes s = sizes_of<Scalar>(problem, Adjoint);
  return operand % 2 == 1 && !s.held ? Prepared{&kPreparing<Scalar, Adjoint>, s.bank(s.elements)} : Prepared{};
}

template <class Scalar, bool Adjoint>
constexpr Kernel entry() {
  return channels_kernel<Scalar, Adjoint>(kName, declined, scratch_bytes<Scalar, Adjoint>, run<Scalar, Adjoint>,
                                          parts<Scalar, Adjoint>, prepared<Scalar, Adjoint>);
}

constexpr Kernel kKernels[] = {entry<float, false>(), entry<double, false>(), entry<float, true>(), entry<double, true>()};

}  // namespace

std::span<const Kernel> conv2d_channels_winograd_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
