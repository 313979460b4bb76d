// The convolution family for single trials.
//
// conv2d, conv2d_grad_input: pixels in the lanes (conv2d_gather.h). Without a halo and where rows are whole vectors, sources are
// read and outputs written where they lie.
//
// conv2d_grad_weight: output channels in the lanes. g is transposed to [pixel][channel], x gives the scalars.
#include "kernels/common/families.h"
#include "kernels/common/tile.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_gather.h"
#include "kernels/conv2d/conv2d_padded.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kNearBytes = 96 << 10;    // of a source, or a filter bank, that is found in or near a first cache
constexpr std::int64_t kFilterBytes = 16 << 10;  // of a first cache of 32 KiB or more
constexpr std::int64_t kTileBytes = 24 << 10;    // of g, likewise
constexpr std::int64_t kPartChannels = 12;       // of the output that are one part of the work: whole register tiles
constexpr std::int64_t kLeastBlocks = 8;         // of rows, that are parts where there are so few channels,
constexpr double kWorthBlocks = 1e6;             // from as many multiply-adds on
constexpr std::int64_t kPixels = 1024;           // whose weight gradient is summed before it is written
constexpr std::int64_t kColumns = 64;            // of a filter that are transposed at a time, or a tile's where that has more
constexpr std::int64_t kFewBlocks = 8;           // of channels, below which rows of filters are parts, too
constexpr std::int64_t kPieces = 8;              // of an image, that threads put in order side by side

const char* declined(const Problem& problem) {
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  return nullptr;
}

// ---- conv2d and conv2d_grad_input -------------------------------------------------------------------------------------

/// Scratch: taps, slab and sums by phase, each with a vector's overrun.
template <class Scalar>
struct GatherScratch {
  std::int64_t slab, sums, end;
  explicit GatherScratch(const Gather& gather)
      : slab(aligned(gather.tap_count() * sizeof(Tap))),
        sums(slab + aligned(gather.groups * gather.in * gather.slab_channel * sizeof(Scalar) + gather.overrun)),
        end(sums + gather.phases() * gather.groups * gather.out * gather.sums_channel * sizeof(Scalar) + kVectorBytes) {}
};

/// How a convolution is cut into parts: blocks of rows, or channels where there are more than a few.
template <class Scalar>
struct GatherParts : Gather {
  bool by_rows;

  GatherParts(const Conv2dGeometry& geo, bool adjoint)
      : Gather(geo, adjoint, sizeof(Scalar), kBlockBytes, worth_blocks(geo, adjoint) ? kLeastBlocks : 1),
        by_rows(few(geo, adjoint)) {}
  std::int64_t blocks() const { return ceil_div(h.count(0), block_rows); }
  std::int64_t count(const Problem& problem) const {
    return by_rows ? problem.out[0].dims[0] * problem.out[0].dims[1] * blocks() : ceil_div(groups * out, kPartChannels);
  }

 private:
  static bool few(const Conv2dGeometry& geo, bool adjoint) { return (adjoint ? geo.c : geo.k) <= kPartChannels; }
  static bool worth_blocks(const Conv2dGeometry& geo, bool adjoint) {
    const auto filters = static_cast<double>(geo.k * geo.c_per_group() * geo.r * geo.s);
    return few(geo, adjoint) && filters * static_cast<double>(geo.p * geo.q) >= kWorthBlocks;
  }
};

template <class Scalar, bool Adjoint>
std::size_t gather_scratch(const Problem& problem) {
  return GatherScratch<Scalar>(GatherParts<Scalar>(problem.attrs_as<Conv2dGeometry>(), Adjoint)).end;
}

template <class Scalar, bool Adjoint>
std::int64_t gather_parts(const Problem& problem) {
  return GatherParts<Scalar>(problem.attrs_as<Conv2dGeometry>(), Adjoint).count(problem);
}

/// The taps of all phases, one phase after the other: in the order of the filter where it comes from far away, being read by one
/// row of register tiles, else of the source.
template <class Scalar>
void write_taps(const Gather& gather, Tap* taps) {
  constexpr std::int64_t scalar = sizeof(Scalar);
  const bool backwards = gather.h.adjoint && gather.vectors(gather.block_rows, kElements<Scalar>) > kMaxTileColumns;
  for (std::int64_t phase = 0; phase < gather.phases(); ++phase)
    for (std::int64_t i = 0; i < gather.tap_count(); ++i) {
      const std::int64_t tap = backwards ? gather.tap_count() - 1 - i : i, r = tap / gather.w.filter, s = tap % gather.w.filter;
      if (gather.phase(r, s) != phase) continue;
      *taps++ = {gather.tap_offset(r, s) * scalar, tap * scalar};
    }
}

/// Channels in memory.
template <class Scalar>
struct Channels {
  Scalar* data;
  std::int64_t step;
};

/// One source and filter bank to the sums of all phases, for `rows` rows of the wanted output channels. `taps` are those of all
/// phases, one after the other.
template <class Scalar>
void gather_block(const Gather& gather, Channels<const Scalar> source, const Scalar* filters, const Tap* taps, std::int64_t rows,
                  Range wanted, bool accumulate, Channels<Scalar> sums) {
  constexpr std::int64_t scalar = sizeof(Scalar);
  const std::int64_t columns = gather.vectors(rows, kElements<Scalar>), phase_sums = gather.groups * gather.out * sums.step;
  TileJob job;
  job.x_channel = source.step * scalar;
  job.w_channel = gather.filter_in * scalar;
  job.w_k = gather.filter_out * scalar;
  job.out_k = sums.step * scalar;
  job.x_q = job.out_q = kVectorBytes;
  job.far_channels = gather.in * gather.slab_channel * scalar > kNearBytes;
  const bool far_filters = gather.out * gather.in * gather.tap_count() * scalar > kNearBytes;
  for (std::int64_t group = wanted.first / gather.out; group * gather.out < wanted.last; ++group) {
    const std::int64_t end = at_most(gather.out, wanted.last - group * gather.out);
    for (std::int64_t k = at_least(0, wanted.first - group * gather.out), tile; k < end; k += tile) {
      tile = tile_rows(end - k, columns);
      Scalar* out = sums.data + (group * gather.out + k) * sums.step;
      job.taps = taps;
      // Filters that all phases read, one after the other, come from far away once.
      for (std::int64_t phase = 0; phase < gather.phases(); ++phase, job.taps += job.tap_count, out += phase_sums) {
        job.tap_count = gather.tap_count(phase);
        if (job.tap_count == 0) {
          if (!accumulate) std::memset(out, 0, tile * sums.step * scalar);
          continue;
        }
        // Filters that more than one register tile reads are to stay in the first cache.
        const std::int64_t channel_bytes = tile * job.tap_count * scalar;
        const std::int64_t chunk = columns <= kMaxTileColumns ? gather.in : even_piece(gather.in, kFilterBytes / channel_bytes);
        for (std::int64_t c = 0; c < gather.in; c += chunk) {
          job.channels = at_most(chunk, gather.in - c);
          job.x = reinterpret_cast<const std::byte*>(source.data + (group * gather.in + c) * source.step);
          job.w = reinterpret_cast<const std::byte*>(filters + group * gather.filter_group + k * gather.filter_out +
                                                     c * gather.filter_in);
          job.out = reinterpret_cast<std::byte*>(out);
          job.accumulate = accumulate || c > 0;
          // The next tile's filters lie beside those of each channel, or behind all of them.
          if (far_filters) job.ahead = job.w + tile * job.w_k + (job.taps - taps) * tile * scalar;
          job.ahead_channel = job.w_channel > job.w_k ? job.w_channel : 0;
          multiply<Scalar, true>(job, tile, columns);
        }
      }
    }
  }
}

template <class Scalar, bool Adjoint>
void gather_run(const Arguments& args) {
  const GatherParts<Scalar> gather(args.attrs_as<Conv2dGeometry>(), Adjoint);
  const GatherScratch<Scalar> scratch(gather);
  Tap* const taps = reinterpret_cast<Tap*>(args.scratch);
  Scalar* const slab = reinterpret_cast<Scalar*>(args.scratch + scratch.slab);
  Scalar* const sums = reinterpret_cast<Scalar*>(args.scratch + scratch.sums);
  const std::int64_t images = args.out[0].dims[1], all_blocks = args.out[0].dims[0] * images * gather.blocks();
  const std::int64_t channels = gather.groups * gather.out;
  write_taps<Scalar>(gather, taps);
  const std::int64_t source_image = gather.groups * gather.in * gather.h.source * gather.w.source;
  const std::int64_t dest_image = channels * gather.h.dest * gather.w.dest;
  const auto run_block = [&](std::int64_t block, Range wanted) {
    const std::int64_t i = block % gather.blocks() * gather.block_rows, image = block / gather.blocks(), t = image / images;
    Scalar* const out = args.out[0].as<Scalar>() + image * dest_image;
    const std::int64_t rows = at_most(gather.block_rows, gather.h.count(0) - i);
    const bool in_place = gather.writes_in_place(rows, kElements<Scalar>);
    const Channels<Scalar> to = in_place ? Channels<Scalar>{out + i * gather.w.dest, gather.h.dest * gather.w.dest}
                                         : Channels<Scalar>{sums, gather.sums_channel};
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
      const ConstView &source = args.in[pair], &filters = args.in[pair + 1];
      const Scalar* const numbers = source.as<Scalar>() + t * source.strides[0] + image % images * source_image;
      Channels<const Scalar> from{slab, gather.slab_channel};
      if (gather.reads_in_place(rows, kElements<Scalar>)) from = {numbers + i * gather.w.source, gather.h.source * gather.w.source};
      else copy_source(gather, numbers, gather.groups * gather.in, i, slab);
      gather_block(gather, from, filters.as<Scalar>() + t * filters.strides[0], taps, rows, wanted, pair > 0, to);
    }
    if (!in_place) write_rows(gather, sums, i, wanted, out);
  };
  if (gather.by_rows) {
    for (const std::int64_t block : each_part(args, all_blocks)) run_block(block, {0, channels});
  } else {
    const Range wanted = share_of(args, channels, kPartChannels);
    for (std::int64_t block = 0; block < all_blocks; ++block) run_block(block, wanted);
  }
}

// ---- conv2d_grad_weight -----------------------------------------------------------------------------------------------

struct Correlate {
  ConvAxis h, w;
  std::int64_t images;                ///< at a time in scratch
  std::int64_t rows, pitch, channel;  ///< of x with its halo
  std::int64_t padded_k;              ///< output channels of a group, whole vectors
  std::int64_t tile_k, tile_c;        ///< output and input channels summed at a time
  std::int64_t block_c;               ///< input channels transposed at a time, whole tiles
  std::int64_t block_rows;            ///< of g, whose tile stays in the first cache
  bool along_s;                       ///< a register tile spans a filter's row, else input channels
  std::int64_t blocks_k, blocks_c;    ///< of a group's channels
  std::int64_t filter_rows;           ///< of a part of the work

  Correlate(const Conv2dGeometry& geo, std::int64_t batch, std::int64_t elements)
      : h{geo.h, geo.p, geo.r, geo.stride_h, geo.pad_h, false},
        w{geo.w, geo.q, geo.s, geo.stride_w, geo.pad_w, false},
        images(even_piece(batch, kPixels / (geo.p * geo.q))),
        rows(h.window(geo.p)),
        pitch(w.window(geo.q)),
        channel(rows * pitch),
        padded_k(ceil_div(geo.k_per_group(), elements) * elements),
        tile_k(at_most(padded_k, kMaxTileColumns * elements)),
        tile_c(tile_rows(geo.c_per_group(), tile_k / elements)),
        block_c(tile_c * at_least(kColumns / (tile_c * geo.r * geo.s), 1)),
        block_rows(even_piece(geo.p, kTileBytes / (tile_k * geo.q * (kVectorBytes / elements)))),
        along_s(geo.s > tile_c),
        blocks_k(ceil_div(geo.k_per_group(), tile_k)),
        blocks_c(ceil_div(geo.c_per_group(), block_c)),
        filter_rows(geo.groups * blocks_k * blocks_c < kFewBlocks ? 1 : geo.r) {}
  std::int64_t parts(const Conv2dGeometry& geo) const { return geo.groups * blocks_k * blocks_c * (geo.r / filter_rows); }
};

/// Scratch: taps, slab of x, transposed g, sums of one tile.
template <class Scalar>
struct CorrelateScratch {
  std::int64_t x, g, sums, end;
  CorrelateScratch(const Conv2dGeometry& geo, const Correlate& sizes)
      : x(aligned(geo.q * sizeof(Tap))),
        g(x + aligned(sizes.images * geo.c * sizes.channel * sizeof(Scalar))),
        sums(g + aligned(sizes.images * geo.p * geo.q * geo.groups * sizes.padded_k * sizeof(Scalar))),
        end(sums + sizes.block_c * geo.r * geo.s * sizes.tile_k * sizeof(Scalar)) {}
};

template <class Scalar>
std::size_t correlate_scratch(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return CorrelateScratch<Scalar>(geo, Correlate(geo, problem.in[0].dims[1], kElements<Scalar>)).end;
}

/// Blocks of channels and, where those are few, rows of filters.
template <class Scalar>
std::int64_t correlate_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return Correlate(geo, problem.in[0].dims[1], kElements<Scalar>).parts(geo);
}

/// A piece of kPieces of an image: channels of x with their halo, and rows of g [K][P Q] as [groups][P Q][padded_k].
template <class Scalar>
void put_in_order(const Conv2dGeometry& geo, const Correlate& sizes, std::int64_t piece, const Scalar* x, const Scalar* g,
                  Scalar* x_to, Scalar* g_to) {
  const auto share = [piece](std::int64_t extent) { return Range{extent * piece / kPieces, extent * (piece + 1) / kPieces}; };
  const Range channels = share(geo.c), pixels{share(geo.p).first * geo.q, share(geo.p).last * geo.q};
  const std::int64_t area = geo.p * geo.q, k = geo.k_per_group();
  copy_padded(geo, x + channels.first * geo.h * geo.w, channels.last - channels.first, sizes.rows, sizes.pitch,
              x_to + channels.first * sizes.channel);
  for (std::int64_t group = 0; group < geo.groups; ++group, g += k * area, g_to += area * sizes.padded_k)
    transpose<Scalar, false>({g + pixels.first, area, area - pixels.first}, k, pixels.last - pixels.first,
                             {g_to + pixels.first * sizes.padded_k, sizes.padded_k, sizes.padded_k});
}

/// sums[c][r][s][k] (+)= one image's x and g, for `channels` input channels, filter_rows rows of filters from `row` on and tile_k
/// output channels.
template <class Scalar>
void correlate_tile(const Conv2dGeometry& geo, const Correlate& sizes, const Scalar* x, const Scalar* g, const Tap* taps,
                    std::int64_t channels, std::int64_t row, std::int64_t tile_k, bool accumulate, Scalar* sums) {
  constexpr std::int64_t scalar = sizeof(Scalar);
  const std::int64_t area = sizes.filter_rows * geo.s;
  TileJob job;
  job.taps = taps;
  job.tap_count = geo.q;
  job.x_channel = geo.q * sizes.padded_k * scalar;
  job.w_channel = geo.stride_h * sizes.pitch * scalar;
  job.w_k = (sizes.along_s ? 1 : sizes.channel) * scalar;
  job.out_k = (sizes.along_s ? 1 : area) * tile_k * scalar;
  job.x_q = job.out_q = kVectorBytes;
  const std::int64_t rows = sizes.along_s ? geo.s : channels, columns = tile_k / kElements<Scalar>;
  for (std::int64_t p = 0; p < geo.p; p += sizes.block_rows) {
    job.channels = at_most(sizes.block_rows, geo.p - p);
    job.accumulate = accumulate || p > 0;
    job.x = reinterpret_cast<const std::byte*>(g + p * geo.q * sizes.padded_k);
    for (std::int64_t c = 0; c < (sizes.along_s ? channels : 1); ++c) {
      for (std::int64_t tap = 0; tap < area; tap += sizes.along_s ? geo.s : 1) {
        const std::int64_t x_row = p * geo.stride_h + row + tap / geo.s;
        job.w = reinterpret_cast<const std::byte*>(x + c * sizes.channel + x_row * sizes.pitch + tap % geo.s);
        job.out = reinterpret_cast<std::byte*>(sums + (c * area + tap) * tile_k);
        multiply<Scalar, true>(job, rows, columns);
      }
    }
  }
}

template <class Scalar>
void correlate_run(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const std::int64_t trials = args.out[0].dims[0], batch = args.in[0].dims[1], pixels = geo.p * geo.q;
  const std::int64_t filter = geo.c_per_group() * geo.r * geo.s;
  const Correlate sizes(geo, batch, kElements<Scalar>);
  const CorrelateScratch<Scalar> scratch(geo, sizes);
  // Where all images are in scratch at once, they are for all threads.
  const bool all_there = trials == 1 && batch == sizes.images;
  std::byte* const images_at = all_there ? args.common() : args.scratch;
  Tap* const taps = reinterpret_cast<Tap*>(args.scratch);
  Scalar* const x = reinterpret_cast<Scalar*>(images_at + scratch.x);
  Scalar* const g = reinterpret_cast<Scalar*>(images_at + scratch.g);
  Scalar* const sums = reinterpret_cast<Scalar*>(args.scratch + scratch.sums);
  const std::int64_t scalar = sizeof(Scalar), x_image = geo.c * sizes.channel, g_image = pixels * geo.groups * sizes.padded_k;
  for (std::int64_t q = 0; q < geo.q; ++q) taps[q] = {q * sizes.padded_k * scalar, q * geo.stride_w * scalar};
  const auto put = [&](std::int64_t t, std::int64_t n0, std::int64_t i) {
    const std::int64_t n = i / kPieces;
    put_in_order(geo, sizes, i % kPieces, args.in[0].as<Scalar>() + t * args.in[0].strides[0] + (n0 + n) * geo.c * geo.h * geo.w,
                 args.in[1].as<Scalar>() + t * args.in[1].strides[0] + (n0 + n) * geo.k * pixels, x + n * x_image, g + n * g_image);
  };
  const auto run_part = [&](std::int64_t t, std::int64_t n0, std::int64_t part) {
    const std::int64_t images = at_most(sizes.images, batch - n0), row = part % (geo.r / sizes.filter_rows) * sizes.filter_rows;
    const std::int64_t block = part / (geo.r / sizes.filter_rows), c = block % sizes.blocks_c * sizes.block_c;
    const std::int64_t k = block / sizes.blocks_c % sizes.blocks_k * sizes.tile_k, group = block / sizes.blocks_c / sizes.blocks_k;
    const std::int64_t k_count = at_most(sizes.tile_k, geo.k_per_group() - k), tile_k = at_most(sizes.tile_k, sizes.padded_k - k);
    const std::int64_t channels = at_most(sizes.block_c, geo.c_per_group() - c), area = sizes.filter_rows * geo.s;
    for (std::int64_t i = 0; i < channels; i += sizes.tile_c)
      for (std::int64_t n = 0; n < images; ++n)
        correlate_tile(geo, sizes, x + n * x_image + (group * geo.c_per_group() + c + i) * sizes.channel,
                       g + n * g_image + group * pixels * sizes.padded_k + k, taps, at_most(sizes.tile_c, channels - i), row,
                       tile_k, n > 0, sums + i * area * tile_k);
    // Filters are written as they lie side by side: those of all channels, or some rows of each.
    Scalar* to = args.out[0].as<Scalar>() + (t * geo.k + group * geo.k_per_group() + k) * filter + (c * geo.r + row) * geo.s;
    const std::int64_t columns = sizes.filter_rows == geo.r ? channels * area : area;
    for (std::int64_t i = 0; i < channels * area; i += columns, to += geo.r * geo.s) {
      const Rows<const Scalar> from{sums + i * tile_k, tile_k, tile_k};
      if (n0 > 0) transpose<Scalar, true>(from, columns, k_count, {to, filter, columns});
      else transpose<Scalar, false>(from, columns, k_count, {to, filter, columns});
    }
  };
  if (all_there) {
    beforehand(args, batch * kPieces, [&](std::int64_t i) { put(0, 0, i); });
    for (const std::int64_t part : each_part(args, sizes.parts(geo))) run_part(0, 0, part);
    return;
  }
  const Range own = share_of(args, sizes.parts(geo), 1);
  for (std::int64_t t = 0; t < trials; ++t)
    for (std::int64_t n0 = 0; n0 < batch; n0 += sizes.images) {
      for (std::int64_t i = 0; i < at_most(sizes.images, batch - n0) * kPieces; ++i) put(t, n0, i);
      for (std::int64_t part = own.first; part < own.last; ++part) run_part(t, n0, part);
    }
}

template <class Scalar>
constexpr Kernel entry(const char* op, const char* name, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&)) {
  return {op, name, kIsa, sizeof(Scalar) == 4 ? DType::f32 : DType::f64, 1, declined, scratch, run, parts};
}

constexpr Kernel kKernels[] = {
    entry<float>("conv2d", "pixel_lanes_direct", gather_scratch<float, false>, gather_run<float, false>,
                 gather_parts<float, false>),
    entry<double>("conv2d", "pixel_lanes_direct", gather_scratch<double, false>, gather_run<double, false>,
                  gather_parts<double, false>),
    entry<float>("conv2d_grad_input", "pixel_lanes_direct", gather_scratch<float, true>, gather_run<float, true>,
                 gather_parts<float, true>),
    entry<double>("conv2d_grad_input", "pixel_lanes_direct", gather_scratch<double, true>, gather_run<double, true>,
                  gather_parts<double, true>),
    entry<float>("conv2d_grad_weight", "channel_lanes_direct", correlate_scratch<float>, correlate_run<float>,
                 correlate_parts<float>),
    entry<double>("conv2d_grad_weight", "channel_lanes_direct", correlate_scratch<double>, correlate_run<double>,
                  correlate_parts<double>),
};

}  // namespace

std::span<const Kernel> conv2d_pixels_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
