// conv2d_grad_weight of single trials by minimal filtering (kernels/winograd/winograd.h), with input channels in the lanes.
//
// At every place the tiles of the gradient, channels by tiles, meet the windows of the image, tiles by channels. A square of as
// many output as input channels at a time, as a vector has elements, is summed over all tiles and transformed back where it is: a
// whole bank of transformed filters would pass through memory. Where an image's tiles are too many for the caches they come a block
// after the other, and the sums of some squares stay.
#include "kernels/common/families.h"
#include "kernels/conv2d/conv2d_channel_tiles.h"
#include "kernels/conv2d/conv2d_channels.h"

namespace gi::kernels::GI_ISA {
namespace {

// Of a second cache of 1 MiB or more, or, where products are half as fast, of the third: the windows of an image, so that all
// squares may come one by one.
constexpr std::int64_t kImageBytes = (kVectorRegisters == 32 ? 1024 : 2400) << 10;
// Of a second cache:
constexpr std::int64_t kBlockBytes = 520 << 10;  // the windows of a block, with the gradient's
constexpr std::int64_t kGroups = 4;              // of output and of input channels whose squares come one after the other
constexpr std::int64_t kStreamBytes = 1 << 20;   // or what would only pass through it
constexpr std::int64_t kTaps = 9;

struct Sizes {
  std::int64_t c, k, images, elements;
  std::int64_t groups_c, groups_k;  ///< of as many channels as a vector has elements
  ChannelTiles windows, tiles;      ///< of the image, of the gradient
  bool whole;                       ///< whether all tiles come at once
  bool streams;                     ///< whether the filters go past the caches
  std::int64_t some_c, some_k;      ///< groups that are transformed at a time
  std::int64_t sum;                 ///< numbers of a place's sums

  Sizes(const Conv2dGeometry& geo, std::int64_t elements, std::int64_t images, std::int64_t number)
      : c(geo.c),
        k(geo.k),
        images(images),
        elements(elements),
        groups_c(ceil_div(c, elements)),
        groups_k(ceil_div(k, elements)),
        windows(geo.h, geo.w, geo.pad_h, geo.pad_w, geo.p, geo.q, geo.winograd, true),
        tiles(geo.p, geo.q, 0, 0, geo.p, geo.q, geo.winograd, false) {
    const std::int64_t row = windows.places() * windows.tiles_w * elements * number;  // bytes of a row of tiles, for a group
    whole = images == 1 && groups_c * windows.tiles_h * row <= kImageBytes;
    streams = c % elements == 0 && k * c * kTaps * number >= kStreamBytes;
    some_c = whole ? groups_c : even_piece(groups_c, kGroups);
    some_k = even_piece(groups_k, kGroups);
    if (!whole) windows.rows = tiles.rows = even_piece(windows.tiles_h, kBlockBytes / ((some_c + some_k) * row));
    sum = (elements + 1) * elements;
  }
  std::int64_t places() const { return windows.places(); }
  /// Numbers of a square of channels.
  std::int64_t square() const { return places() * sum; }
};

template <class Scalar>
struct Scratch {
  std::int64_t windows, tiles, sums, end;
  explicit Scratch(const Sizes& s)
      : windows(bytes(s.windows.slab_h() * s.windows.slab_w() * s.elements)),  // behind a slab
        tiles(windows + bytes(s.some_c * s.windows.group(s.elements))),
        sums(tiles + bytes(s.some_k * s.tiles.group(s.elements))),
        end(sums + bytes((s.whole ? 1 : s.some_c * s.some_k) * s.square())) {}
  static std::int64_t bytes(std::int64_t numbers) { return aligned(numbers * sizeof(Scalar)); }
};

/// Sums [place][output channel][input channels] (+)= tiles times windows.
template <class Scalar>
void add_square(const Sizes& s, const Scalar* windows, const Scalar* tiles, std::int64_t count, std::int64_t outputs,
                bool accumulate, Scalar* sums) {
  constexpr std::int64_t n = kElements<Scalar>;
  Fetch none;
  RowsJob<Scalar> job{};
  job.channels = job.taps = 1;  // rows are the tiles
  job.rows = count;
  job.row = job.width = n;
  job.accumulate = accumulate;
  job.fetch = &none;
  const std::int64_t step = s.windows.place(n);
  const Split split(outputs, max_pixels(1));
  for (std::int64_t place = 0; place < s.places(); ++place, windows += step, tiles += step, sums += s.sum) {
    job.filters = windows;
    for (std::int64_t piece = 0, k = 0, some; piece < split.pieces; ++piece, k += some) {
      some = split[piece];
      kTiles<OfRows<Scalar, 1, 1>, 1>.entries[0][some - 1](job, tiles + k, sums + k * n);
    }
  }
}

/// The filters that a square's sums come to.
template <class Scalar, int M>
void transform_square(const Sizes& s, const Scalar* sums, std::int64_t outputs, std::int64_t inputs, Scalar* to) {
  using V = Vector<Scalar>;
  using Side = FilterSide<M>;
  constexpr std::int64_t n = kElements<Scalar>;
  for (std::int64_t k = 0; k < outputs; ++k, sums += n, to += s.c * kTaps) {
    alignas(V) Scalar taps[kTaps][n], filters[n * (kTaps + 1)];
    transform<Scalar, V, typename Side::FromProducts>(
        [&](int a, int b) { return *reinterpret_cast<const V*>(sums + (a * Side::side + b) * s.sum); },
        [&](int a, int b, V v) { *reinterpret_cast<V*>(taps[a * 3 + b]) = v; });
    // Where a vector holds a whole filter, it may be written over what becomes the next one.
    transpose<Scalar, false>({taps[0], n, n}, kTaps, n, {filters, kTaps, at_least(kTaps, n)});
    if (s.streams) {
#pragma GCC unroll 9
      for (std::int64_t v = 0; v < kTaps; ++v) stream<Scalar>(to + v * n, *reinterpret_cast<const V*>(filters + v * n));
    } else {
      std::memcpy(to, filters, inputs * kTaps * sizeof(Scalar));
    }
  }
}

template <class Scalar, int M>
void run_tiles(const Arguments& args) {
  constexpr std::int64_t n = kElements<Scalar>;
  const ConstView &x = args.in[0], &g = args.in[1];
  const Sizes s(args.attrs_as<Conv2dGeometry>(), n, x.dims[1], sizeof(Scalar));
  const Scratch<Scalar> scratch(s);
  Scalar* const slab = reinterpret_cast<Scalar*>(args.scratch);
  const auto at = [&args](std::int64_t offset) { return reinterpret_cast<Scalar*>(args.scratch + offset); };
  // The windows of the only image, where they are there as a whole, are for all threads.
  const bool for_all = s.whole && args.out[0].dims[0] == 1;
  Scalar* const windows = for_all ? reinterpret_cast<Scalar*>(args.common() + scratch.windows) : at(scratch.windows);
  Scalar* const tiles = at(scratch.tiles);
  const std::int64_t blocks = s.images * s.windows.blocks(), plane = s.windows.h * s.windows.w;
  if (for_all) {
    const ChannelPieces pieces(s.c, n);
    beforehand(args, pieces.count, [&](std::int64_t i) {
      const Range channels = pieces[i];
      transform_channels<Scalar, M, true>(s.windows, x.as<Scalar>() + channels.first * plane, channels.last - channels.first, 0,
                                          slab, windows + channels.first / n * s.windows.group(n));
    });
  }
  std::int64_t transformed = for_all ? 0 : -1;  // the trial whose windows are there, where all are
  // Windows that come in blocks are transformed again for every run.
  for (PartRuns runs(args, s.groups_k, s.whole ? Taking::runs : Taking::one_share); runs.next();)
    for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
      for (std::int64_t k = runs.first; k < runs.last; k += s.some_k)
        for (std::int64_t c = 0; c < s.groups_c; c += s.some_c) {
          const std::int64_t first_k = k * n, first_c = c * n;
          const std::int64_t channels_k = at_most(at_most(s.some_k, runs.last - k) * n, s.k - first_k);
          const std::int64_t channels_c = at_most(s.some_c * n, s.c - first_c);
          for (std::int64_t block = 0; block < blocks; ++block) {
            const std::int64_t image = block / s.windows.blocks(), i0 = block % s.windows.blocks() * s.windows.rows;
            const std::int64_t count = s.windows.tiles(i0);
            if (!s.whole || transformed != t)
              transform_channels<Scalar, M, true>(s.windows, x.as<Scalar>() + t * x.strides[0] + (image * s.c + first_c) * plane,
                                                  channels_c, i0, slab, windows);
            transform_channels<Scalar, M, false>(
                s.tiles, g.as<Scalar>() + t * g.strides[0] + (image * s.k + first_k) * s.tiles.h * s.tiles.w, channels_k, i0, slab,
                tiles);
            Scalar* sums = at(scratch.sums);
            for (std::int64_t j = 0; j < channels_c; j += n)
              for (std::int64_t i = 0; i < channels_k; i += n) {
                const std::int64_t outputs = at_most(n, channels_k - i), inputs = at_most(n, channels_c - j);
                add_square(s, windows + j / n * s.windows.group(n), tiles + i / n * s.tiles.group(n), count, outputs, block > 0,
                           sums);
                if (block == blocks - 1)
                  transform_square<Scalar, M>(s, sums, outputs, inputs,
                                              args.out[0].as<Scalar>() + ((t * s.k + first_k + i) * s.c + first_c + j) * kTaps);
                if (!s.whole) sums += s.square();
              }
            transformed = t;
          }
        }
  if (s.streams) stream_end();
}

template <class Scalar>
void run(const Arguments& args) {
  (args.attrs_as<Conv2dGeometry>().winograd == 2 ? run_tiles<Scalar, 2> : run_tiles<Scalar, 4>)(args);
}

template <class Scalar>
Sizes sizes_of(const Problem& problem) {
  return Sizes(problem.attrs_as<Conv2dGeometry>(), kElements<Scalar>, problem.in[0].dims[1], sizeof(Scalar));
}
template <class Scalar>
std::size_t scratch_bytes(const Problem& problem) {
  return Scratch<Scalar>(sizes_of<Scalar>(problem)).end;
}
template <class Scalar>
std::int64_t parts(const Problem& problem) {
  return sizes_of<Scalar>(problem).groups_k;
}

template <class Scalar>
constexpr Kernel entry() {
  return {"conv2d_grad_weight",
          "channel_lanes_winograd",
          kIsa,
          sizeof(Scalar) == 4 ? DType::f32 : DType::f64,
          1,
          channel_tiles_declined,
          scratch_bytes<Scalar>,
          run<Scalar>,
          parts<Scalar>};
}

constexpr Kernel kKernels[] = {entry<float>(), entry<double>()};

}  // namespace

std::span<const Kernel> conv2d_correlate_winograd_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
