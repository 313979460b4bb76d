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
constexpr std::int64_t kPixels = 1024;           // whose weight gradient is summed before it is written
constexpr std::int64_t kColumns = 64;            // of a filter that are transposed at a time, or a tile's where that has more

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

template <class Scalar, bool Adjoint>
std::size_t gather_scratch(const Problem& problem) {
  return GatherScratch<Scalar>(Gather(problem.attrs_as<Conv2dGeometry>(), Adjoint, sizeof(Scalar))).end;
}

template <bool Adjoint>
std::int64_t gather_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return ceil_div(Adjoint ? geo.c : geo.k, kPartChannels);
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
  const Gather gather(args.attrs_as<Conv2dGeometry>(), Adjoint, sizeof(Scalar));
  const GatherScratch<Scalar> scratch(gather);
  Tap* const taps = reinterpret_cast<Tap*>(args.scratch);
  Scalar* const slab = reinterpret_cast<Scalar*>(args.scratch + scratch.slab);
  Scalar* const sums = reinterpret_cast<Scalar*>(args.scratch + scratch.sums);
  const std::int64_t trials = args.out[0].dims[0], images = args.out[0].dims[1];
  write_taps<Scalar>(gather, taps);
  const Range wanted = share_of(args, gather.groups * gather.out, kPartChannels);
  const std::int64_t source_image = gather.groups * gather.in * gather.h.source * gather.w.source;
  const std::int64_t dest_image = gather.groups * gather.out * gather.h.dest * gather.w.dest;
  for (std::int64_t t = 0; t < trials; ++t) {
    for (std::int64_t n = 0; n < images; ++n) {
      Scalar* const out = args.out[0].as<Scalar>() + (t * images + n) * dest_image;
      for (std::int64_t i = 0; i < gather.h.count(0); i += gather.block_rows) {
        const std::int64_t rows = at_most(gather.block_rows, gather.h.count(0) - i);
        const bool in_place = gather.writes_in_place(rows, kElements<Scalar>);
        const Channels<Scalar> to = in_place ? Channels<Scalar>{out + i * gather.w.dest, gather.h.dest * gather.w.dest}
                                             : Channels<Scalar>{sums, gather.sums_channel};
        for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
          const ConstView &source = args.in[pair], &filters = args.in[pair + 1];
          const Scalar* const image = source.as<Scalar>() + t * source.strides[0] + n * source_image;
          Channels<const Scalar> from{slab, gather.slab_channel};
          if (gather.reads_in_place(rows, kElements<Scalar>))
            from = {image + i * gather.w.source, gather.h.source * gather.w.source};
          else copy_source(gather, image, gather.groups * gather.in, i, slab);
          gather_block(gather, from, filters.as<Scalar>() + t * filters.strides[0], taps, rows, wanted, pair > 0, to);
        }
        if (!in_place) write_rows(gather, sums, i, wanted, out);
      }
    }
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
        along_s(geo.s > tile_c) {}
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

/// Groups, or tiles of input channels where there is but one.
template <class Scalar>
std::int64_t correlate_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return geo.groups > 1 ? geo.groups : ceil_div(geo.c, Correlate(geo, problem.in[0].dims[1], kElements<Scalar>).tile_c);
}

/// g [K][P Q] of one image to [groups][P Q][padded_k].
template <class Scalar>
void transpose_g(const Conv2dGeometry& geo, const Correlate& sizes, const Scalar* g, Scalar* to) {
  const std::int64_t area = geo.p * geo.q, k = geo.k_per_group();
  for (std::int64_t group = 0; group < geo.groups; ++group, g += k * area, to += area * sizes.padded_k)
    transpose<Scalar, false>({g, area, area}, k, area, {to, sizes.padded_k, sizes.padded_k});
}

/// sums[c][r][s][k] (+)= one image's x and g, for `channels` input channels and tile_k output channels.
template <class Scalar>
void correlate_tile(const Conv2dGeometry& geo, const Correlate& sizes, const Scalar* x, const Scalar* g, const Tap* taps,
                    std::int64_t channels, std::int64_t tile_k, bool accumulate, Scalar* sums) {
  constexpr std::int64_t scalar = sizeof(Scalar);
  const std::int64_t area = geo.r * geo.s;
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
        const std::int64_t row = p * geo.stride_h + tap / geo.s;
        job.w = reinterpret_cast<const std::byte*>(x + c * sizes.channel + row * sizes.pitch + tap % geo.s);
        job.out = reinterpret_cast<std::byte*>(sums + (c * area + tap) * tile_k);
        multiply<Scalar, true>(job, rows, columns);
      }
    }
  }
}

template <class Scalar>
void correlate_run(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const std::int64_t batch = args.in[0].dims[1], filter = geo.c_per_group() * geo.r * geo.s, pixels = geo.p * geo.q;
  const Correlate sizes(geo, batch, kElements<Scalar>);
  const CorrelateScratch<Scalar> scratch(geo, sizes);
  Tap* const taps = reinterpret_cast<Tap*>(args.scratch);
  Scalar* const x = reinterpret_cast<Scalar*>(args.scratch + scratch.x);
  Scalar* const g = reinterpret_cast<Scalar*>(args.scratch + scratch.g);
  Scalar* const sums = reinterpret_cast<Scalar*>(args.scratch + scratch.sums);
  const std::int64_t scalar = sizeof(Scalar), x_image = geo.c * sizes.channel, g_image = pixels * geo.groups * sizes.padded_k;
  for (std::int64_t q = 0; q < geo.q; ++q) taps[q] = {q * sizes.padded_k * scalar, q * geo.stride_w * scalar};
  const bool grouped = geo.groups > 1;
  const Range groups = grouped ? share_of(args, geo.groups, 1) : Range{0, 1};
  const Range inputs = grouped ? Range{0, geo.c_per_group()} : share_of(args, geo.c, sizes.tile_c);
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t) {
    const Scalar* const x_trial = args.in[0].as<Scalar>() + t * args.in[0].strides[0];
    const Scalar* const g_trial = args.in[1].as<Scalar>() + t * args.in[1].strides[0];
    Scalar* const dw = args.out[0].as<Scalar>() + t * geo.k * filter;
    for (std::int64_t n0 = 0; n0 < batch; n0 += sizes.images) {
      const std::int64_t images = at_most(sizes.images, batch - n0);
      for (std::int64_t n = 0; n < images; ++n) {
        copy_padded(geo, x_trial + (n0 + n) * geo.c * geo.h * geo.w, geo.c, sizes.rows, sizes.pitch, x + n * x_image);
        transpose_g(geo, sizes, g_trial + (n0 + n) * geo.k * pixels, g + n * g_image);
      }
      for (std::int64_t group = groups.first; group < groups.last; ++group) {
        for (std::int64_t k = 0; k < geo.k_per_group(); k += sizes.tile_k) {
          const std::int64_t k_count = at_most(sizes.tile_k, geo.k_per_group() - k);
          const std::int64_t tile_k = at_most(sizes.tile_k, sizes.padded_k - k);
          for (std::int64_t c = inputs.first; c < inputs.last; c += sizes.block_c) {
            const std::int64_t channels = at_most(sizes.block_c, inputs.last - c);
            for (std::int64_t i = 0; i < channels; i += sizes.tile_c)
              for (std::int64_t n = 0; n < images; ++n)
                correlate_tile(geo, sizes, x + n * x_image + (group * geo.c_per_group() + c + i) * sizes.channel,
                               g + n * g_image + group * pixels * sizes.padded_k + k, taps, at_most(sizes.tile_c, channels - i),
                               tile_k, n > 0, sums + i * geo.r * geo.s * tile_k);
            const Rows<const Scalar> from{sums, tile_k, tile_k};
            const std::int64_t columns = channels * geo.r * geo.s;
            const Rows<Scalar> to{dw + (group * geo.k_per_group() + k) * filter + c * geo.r * geo.s, filter, columns};
            if (n0 > 0) transpose<Scalar, true>(from, columns, k_count, to);
            else transpose<Scalar, false>(from, columns, k_count, to);
          }
        }
      }
    }
  }
}

template <class Scalar>
constexpr Kernel entry(const char* op, const char* name, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&)) {
  return {op, name, kIsa, sizeof(Scalar) == 4 ? DType::f32 : DType::f64, 1, declined, scratch, run, parts};
}

constexpr Kernel kKernels[] = {
    entry<float>("conv2d", "pixel_lanes_direct", gather_scratch<float, false>, gather_run<float, false>, gather_parts<false>),
    entry<double>("conv2d", "pixel_lanes_direct", gather_scratch<double, false>, gather_run<double, false>, gather_parts<false>),
    entry<float>("conv2d_grad_input", "pixel_lanes_direct", gather_scratch<float, true>, gather_run<float, true>,
                 gather_parts<true>),
    entry<double>("conv2d_grad_input", "pixel_lanes_direct", gather_scratch<double, true>, gather_run<double, true>,
                  gather_parts<true>),
    entry<float>("conv2d_grad_weight", "channel_lanes_direct", correlate_scratch<float>, correlate_run<float>,
                 correlate_parts<float>),
    entry<double>("conv2d_grad_weight", "channel_lanes_direct", correlate_scratch<double>, correlate_run<double>,
                  correlate_parts<double>),
};

}  // namespace

std::span<const Kernel> conv2d_pixels_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
