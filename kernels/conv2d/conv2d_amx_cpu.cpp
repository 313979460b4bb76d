// The convolution family for single trials on Intel's AMX, f32 as three products of bf16 (kernels/common/amx.h).
//
// conv2d, conv2d_grad_input: the slabs of conv2d_gather.h, of two channels at a time as pairs. For a tap a tile of the source is 16
// pairs of channels at 16 neighbouring positions, and a tile of filters those of 16 output channels.
//
// conv2d_grad_weight: sums over positions. g is put into the slab's positions, zero between rows, and turned to pairs of positions
// by output channels; a tile of x is 32 neighbouring positions of 16 input channels, where the tap says.
//
// Splitting filters is the most of the time for images of few positions: those that stay as they are in all iterations are split
// once.
#include "kernels/common/amx.h"
#include "kernels/common/families.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_gather.h"

namespace gi::kernels::GI_ISA {

#if defined(GI_AVX512)

namespace {

constexpr std::int64_t kBytes = 1 << 20;        // source and sums of a block of rows, of a second cache of 2 MiB
constexpr std::int64_t kRows = 2 * kAmxRows;    // output channels whose filters are there at a time, and a part of the work
constexpr std::int64_t kPairs = kAmxTerms / 2;  // of channels, or positions, that a step sums up
constexpr std::int64_t kLane = sizeof(float);

const char* declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  for (const ConstView& v : problem.in) {
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != 1) return "an input is in packs";
  }
  if (geo.groups > 1) return "groups";
  if (geo.c < kAmxRows || geo.k < kAmxRows) return "too few channels to fill tiles";
  return nullptr;
}

// ---- conv2d and conv2d_grad_input -------------------------------------------------------------------------------------

struct AmxGather : Gather {
  std::int64_t chunks, plane, tap_bytes;  ///< of 32 source channels; bytes of a pair of channels; of a filter row's taps
  std::int64_t images;                    ///< at a time

  AmxGather(const Conv2dGeometry& geo, bool adjoint, std::int64_t batch)
      : Gather(geo, adjoint, kLane, kBytes),
        chunks(ceil_div(in, kAmxTerms)),
        plane(slab_channel * kLane),
        tap_bytes(tap_count() * kAmxRowBytes),
        images(1) {
    phase_sums = ceil_div(out, kAmxRows) * kAmxRows * sums_channel;
    if (block_rows == h.count(0)) images = even_piece(batch, kBytes / (image_bytes() + sums_bytes()));
  }
  /// Of the halves of a part's filters for 32 source channels, and how many of them a bank has.
  std::int64_t filter_bytes() const { return 2 * kRows * tap_bytes; }
  std::int64_t filter_pieces() const { return ceil_div(out, kRows) * chunks; }
  std::int64_t image_bytes() const { return chunks * kPairs * plane; }
  std::int64_t sums_bytes() const { return phases() * phase_sums * kLane; }
};

/// Scratch: steps, two channels of the source, slabs, filters, sums with a vector's overrun.
struct GatherPlaces {
  std::int64_t two, slab, filters, sums, end;
  explicit GatherPlaces(const AmxGather& g)
      : two(aligned(g.tap_count() * sizeof(AmxStep))),
        slab(two + aligned(2 * g.plane + g.overrun)),
        filters(slab + 2 * aligned(g.images * g.image_bytes() + g.overrun)),
        sums(filters + g.filter_bytes()),
        end(sums + g.images * g.sums_bytes() + kVectorBytes) {}
};

template <bool Adjoint>
std::size_t gather_scratch(const Problem& problem) {
  return GatherPlaces(AmxGather(problem.attrs_as<Conv2dGeometry>(), Adjoint, problem.out[0].dims[1])).end;
}

template <bool Adjoint>
std::int64_t gather_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return ceil_div(Adjoint ? geo.c : geo.k, kRows);
}

bool is_split(const ConstView& filters) { return filters.rank == 2; }

/// The steps of all phases, one phase after the other.
void write_steps(const AmxGather& g, AmxStep* steps) {
  for (std::int64_t phase = 0; phase < g.phases(); ++phase)
    for (std::int64_t tap = 0; tap < g.tap_count(); ++tap)
      if (const std::int64_t r = tap / g.w.filter, s = tap % g.w.filter; g.phase(r, s) == phase)
        *steps++ = {tap * kAmxRowBytes, g.tap_offset(r, s) * kLane};
}

/// All channels of an image in pairs, [pair][position].
void split_source(const AmxGather& g, const float* image, std::int64_t i0, float* two, Halves slab) {
  for (std::int64_t pair = 0; pair < g.chunks * kPairs; ++pair, slab = slab + g.plane) {
    const std::int64_t channels = at_most(2, g.in - 2 * pair);
    if (channels <= 0) {
      std::memset(slab.hi, 0, g.plane);
      std::memset(slab.lo, 0, g.plane);
      continue;
    }
    copy_source(g, image + 2 * pair * g.h.source * g.w.source, channels, i0, two);
    const float* const second = two + g.slab_channel;
    for (std::int64_t i = 0; i < g.slab_channel; i += 16) {
      const std::int64_t there = g.slab_channel - i;
      slab.put(i * kLane, split_pairs(load_some(two + i, there), load_some(second + i, channels == 2 ? there : 0)));
    }  // what is too much the next pair overwrites
  }
}

/// Filters of output channels [k, k + rows) and source channels [c, c + 32), [row][tap][32 channels]; rows that are not there are
/// 0.
void split_filters(const AmxGather& g, const float* filters, std::int64_t k, std::int64_t rows, std::int64_t c, Halves to) {
  const std::int64_t taps = g.tap_count(), count = at_most(kAmxTerms, g.in - c);
  const float* const from = filters + k * g.filter_out + c * g.filter_in;
  if (g.filter_out == taps) {  // rows lie one behind the other
    split_columns(from, g.filter_in, count, rows * taps, to, kAmxRowBytes);
  } else if (taps == 1 && g.filter_in == 1) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* const row = from + i * g.filter_out;
      to.put(i * kAmxRowBytes, split_row(load_some(row, count), load_some(row + 16, count - 16)));
    }
  } else {
    for (std::int64_t i = 0; i < rows; ++i)
      split_columns(from + i * g.filter_out, g.filter_in, count, taps, to + i * g.tap_bytes, kAmxRowBytes);
  }
  const std::int64_t missing = (ceil_div(rows, kAmxRows) * kAmxRows - rows) * g.tap_bytes;
  std::memset(to.hi + rows * g.tap_bytes, 0, missing);
  std::memset(to.lo + rows * g.tap_bytes, 0, missing);
}

/// Into the second cache.
void fetch(const std::byte* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

/// A bank's halves, [part][32 source channels]: what split_filters gives for each.
template <bool Adjoint>
void split_bank(const Arguments& args) {
  const AmxGather g(args.attrs_as<Conv2dGeometry>(), Adjoint, 1);
  std::byte* to = reinterpret_cast<std::byte*>(args.out[0].as<float>());
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
    for (std::int64_t k = 0; k < g.out; k += kRows)
      for (std::int64_t chunk = 0; chunk < g.chunks; ++chunk, to += g.filter_bytes())
        split_filters(g, args.in[0].as<float>() + t * args.in[0].strides[0], k, at_most(kRows, g.out - k), chunk * kAmxTerms,
                      {to, to + kRows * g.tap_bytes});
}

template <bool Adjoint>
constexpr Kernel kSplitBank{.op = Adjoint ? "conv2d_grad_input_filters" : "conv2d_filters",
                            .name = "amx_bf16x3",
                            .isa = kIsa,
                            .dtype = DType::f32,
                            .lanes = 1,
                            .declines = nullptr,
                            .scratch_bytes = nullptr,
                            .run = split_bank<Adjoint>};

template <bool Adjoint>
Prepared prepared(const Problem& problem, std::size_t operand) {
  const AmxGather g(problem.attrs_as<Conv2dGeometry>(), Adjoint, 1);
  return operand % 2 == 0 ? Prepared{} : Prepared{&kSplitBank<Adjoint>, g.filter_pieces() * g.filter_bytes() / kLane};
}

template <bool Adjoint>
void gather_run(const Arguments& args) {
  const std::int64_t trials = args.out[0].dims[0], batch = args.out[0].dims[1];
  const AmxGather g(args.attrs_as<Conv2dGeometry>(), Adjoint, batch);
  const GatherPlaces places(g);
  AmxStep* const steps = reinterpret_cast<AmxStep*>(args.scratch);
  float* const two = reinterpret_cast<float*>(args.scratch + places.two);
  float* const sums = reinterpret_cast<float*>(args.scratch + places.sums);
  const std::int64_t slab_bytes = (places.filters - places.slab) / 2;
  const Halves slab{args.scratch + places.slab, args.scratch + places.slab + slab_bytes};
  std::byte* const bank = args.scratch + places.filters;
  const std::int64_t behind = g.images * g.image_bytes();
  std::memset(slab.hi + behind, 0, slab_bytes - behind);
  std::memset(slab.lo + behind, 0, slab_bytes - behind);
  write_steps(g, steps);
  const AmxTiles tiles;
  AmxJob job;
  job.a_row = g.tap_bytes;
  job.a_tile = kAmxRows * g.tap_bytes;
  job.b_row = g.plane;
  job.b_tile = kAmxRowBytes;
  job.out_row = g.sums_channel;
  job.out_tile = kAmxRows * g.sums_channel;
  const Range wanted = share_of(args, g.out, kRows);
  const std::int64_t source_image = g.in * g.h.source * g.w.source, dest_image = g.out * g.h.dest * g.w.dest;
  for (std::int64_t t = 0; t < trials; ++t)
    for (std::int64_t n = 0; n < batch; n += g.images)
      for (std::int64_t i = 0; i < g.h.count(0); i += g.block_rows) {
        const std::int64_t images = at_most(g.images, batch - n), rows = at_most(g.block_rows, g.h.count(0) - i);
        for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
          const ConstView &source = args.in[pair], &filters = args.in[pair + 1];
          const float* const first = source.as<float>() + t * source.strides[0] + n * source_image;
          for (std::int64_t m = 0; m < images; ++m) split_source(g, first + m * source_image, i, two, slab + m * g.image_bytes());
          for (std::int64_t k = wanted.first; k < wanted.last; k += kRows) {
            const std::int64_t channels = at_most(kRows, wanted.last - k);
            for (std::int64_t chunk = 0; chunk < g.chunks; ++chunk) {
              const float* const first_filter = filters.as<float>() + t * filters.strides[0];
              const std::byte* halves = bank;
              if (is_split(filters)) {
                halves = reinterpret_cast<const std::byte*>(first_filter) + (k / kRows * g.chunks + chunk) * g.filter_bytes();
                fetch(halves + g.filter_bytes(), g.filter_bytes());  // what is read next, mostly
              } else {
                split_filters(g, first_filter, k, channels, chunk * kAmxTerms, {bank, bank + kRows * g.tap_bytes});
              }
              job.a_hi = halves, job.a_lo = halves + kRows * g.tap_bytes;
              job.accumulate = pair > 0 || chunk > 0;
              for (std::int64_t m = 0; m < images; ++m) {
                const Halves from = slab + m * g.image_bytes() + chunk * kPairs * g.plane;
                job.b_hi = from.hi, job.b_lo = from.lo;
                job.steps = steps;
                job.out = sums + m * g.phases() * g.phase_sums + k * g.sums_channel;
                for (std::int64_t phase = 0; phase < g.phases(); ++phase, job.steps += job.step_count, job.out += g.phase_sums) {
                  job.step_count = g.tap_count(phase);
                  tiles.multiply(job, ceil_div(channels, kAmxRows), g.vectors(rows, kAmxRows));
                }
              }
            }
          }
        }
        for (std::int64_t m = 0; m < images; ++m)
          write_rows(g, sums + m * g.phases() * g.phase_sums, i, wanted,
                     args.out[0].as<float>() + (t * batch + n + m) * dest_image);
      }
}

// ---- conv2d_grad_weight -----------------------------------------------------------------------------------------------

struct AmxCorrelate : Gather {
  std::int64_t steps;            ///< of 32 positions, of an image's block of rows
  std::int64_t row, g_tile;      ///< bytes of a channel of x; of 16 output channels of g
  std::int64_t k_tiles, images;  ///< images at a time

  AmxCorrelate(const Conv2dGeometry& geo, std::int64_t batch)
      : Gather(geo, false, kLane, kBytes),
        steps(ceil_div(vectors(block_rows, 16), 2)),
        row(aligned(slab_channel * 2)),
        g_tile(steps * kPairs * kAmxRowBytes),
        k_tiles(ceil_div(out, kAmxRows)),
        images(block_rows == h.count(0) ? even_piece(batch, kBytes / (2 * k_tiles * g_tile)) : 1) {}
  std::int64_t columns() const { return kRows * tap_count(); }  ///< of a filter that are summed at a time
};

/// Scratch: steps, 16 channels in f32, x and g in halves, sums.
struct CorrelatePlaces {
  std::int64_t some, x, g, sums, end;
  explicit CorrelatePlaces(const AmxCorrelate& c)
      : some(aligned(c.images * c.steps * sizeof(AmxStep))),
        x(some + at_least(aligned(c.slab_channel * kLane + c.overrun), 16 * c.steps * 2 * kAmxRowBytes)),
        g(aligned(x + 2 * (c.images * kRows * c.row + c.overrun))),
        sums(g + 2 * c.images * c.k_tiles * c.g_tile),
        end(sums + 2 * c.columns() * kAmxRowBytes) {}
};

std::size_t correlate_scratch(const Problem& problem) {
  return CorrelatePlaces(AmxCorrelate(problem.attrs_as<Conv2dGeometry>(), problem.in[0].dims[1])).end;
}

std::int64_t correlate_parts(const Problem& problem) { return ceil_div(problem.attrs_as<Conv2dGeometry>().c, kRows); }

/// Channels of an image as bf16, [channel][position].
void split_x(const AmxCorrelate& c, const float* image, std::int64_t channels, std::int64_t i0, float* some, Halves to) {
  for (std::int64_t i = 0; i < channels; ++i, to = to + c.row) {
    copy_source(c, image + i * c.h.source * c.w.source, 1, i0, some);
    for (std::int64_t at = 0; at < c.slab_channel; at += 32)
      to.put(2 * at, split_row(load_some(some + at, c.slab_channel - at), load_some(some + at + 16, c.slab_channel - at - 16)));
  }
}

/// At most 16 channels of g, rows [i0, i0 + rows), as [pair of positions][channel]: zero where no output is.
void split_g(const AmxCorrelate& c, const float* g, std::int64_t channels, std::int64_t i0, std::int64_t rows, float* some,
             Halves to) {
  const std::int64_t step = c.steps * kAmxTerms;
  std::memset(some, 0, 16 * step * kLane);
  for (std::int64_t k = 0; k < channels; ++k)
    for (std::int64_t i = 0; i < rows; ++i)
      copy_row<1>(g + (k * c.h.dest + i0 + i) * c.w.dest, c.w.dest, some + k * step + i * c.pitch);
  for (std::int64_t at = 0; at < step; at += kAmxTerms) {
    split_rows_turned(some + at, step, 16, kAmxTerms, to + at / 2 * kAmxRowBytes, kAmxRowBytes);
  }
}

void correlate_run(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const std::int64_t batch = args.in[0].dims[1], taps = geo.r * geo.s, filter = geo.c * taps;
  const AmxCorrelate c(geo, batch);
  const CorrelatePlaces places(c);
  AmxStep* const steps = reinterpret_cast<AmxStep*>(args.scratch);
  float* const some = reinterpret_cast<float*>(args.scratch + places.some);
  float* const sums = reinterpret_cast<float*>(args.scratch + places.sums);
  const std::int64_t x_bytes = c.images * kRows * c.row + c.overrun, g_bytes = c.images * c.k_tiles * c.g_tile;
  const Halves x{args.scratch + places.x, args.scratch + places.x + x_bytes};
  const Halves g{args.scratch + places.g, args.scratch + places.g + g_bytes};
  // What tiles reach beyond is the zeros behind a row or multiplied by zero, and must not be infinite.
  std::memset(x.hi, 0, 2 * x_bytes);
  for (std::int64_t m = 0; m < c.images; ++m)
    for (std::int64_t i = 0; i < c.steps; ++i)
      steps[m * c.steps + i] = {m * kRows * c.row + i * kAmxTerms * 2, m * c.k_tiles * c.g_tile + i * kPairs * kAmxRowBytes};
  const AmxTiles tiles;
  AmxJob job;
  job.a_row = c.row;
  job.a_tile = kAmxRows * c.row;
  job.b_row = kAmxRowBytes;
  job.b_tile = c.g_tile;
  job.steps = steps;
  job.out_row = taps * 16;
  job.out_tile = kAmxRows * taps * 16;
  job.out_column = c.columns() * 16;
  const Range inputs = share_of(args, geo.c, kRows);
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t) {
    const float* const x_trial = args.in[0].as<float>() + t * args.in[0].strides[0];
    const float* const g_trial = args.in[1].as<float>() + t * args.in[1].strides[0];
    float* const dw = args.out[0].as<float>() + t * geo.k * filter;
    for (std::int64_t n = 0; n < batch; n += c.images)
      for (std::int64_t i = 0; i < geo.p; i += c.block_rows) {
        const std::int64_t images = at_most(c.images, batch - n), rows = at_most(c.block_rows, geo.p - i);
        for (std::int64_t m = 0; m < images; ++m)
          for (std::int64_t tile = 0; tile < c.k_tiles; ++tile)
            split_g(c, g_trial + ((n + m) * geo.k + tile * kAmxRows) * geo.p * geo.q, at_most(kAmxRows, geo.k - tile * kAmxRows), i,
                    rows, some, g + (m * c.k_tiles + tile) * c.g_tile);
        for (std::int64_t first = inputs.first; first < inputs.last; first += kRows) {
          const std::int64_t channels = at_most(kRows, inputs.last - first);
          for (std::int64_t m = 0; m < images; ++m)
            split_x(c, x_trial + ((n + m) * geo.c + first) * geo.h * geo.w, channels, i, some, x + m * kRows * c.row);
          for (std::int64_t k = 0; k < c.k_tiles; k += 2) {
            job.b_hi = g.hi + k * c.g_tile, job.b_lo = g.lo + k * c.g_tile;
            job.step_count = images * c.steps;
            for (std::int64_t tap = 0; tap < taps; ++tap) {
              const std::int64_t offset = 2 * c.tap_offset(tap / geo.s, tap % geo.s);
              job.a_hi = x.hi + offset, job.a_lo = x.lo + offset;
              job.out = sums + tap * 16;
              tiles.multiply(job, ceil_div(channels, kAmxRows), at_most(2, c.k_tiles - k));
            }
            for (std::int64_t tile = k; tile < at_most(k + 2, c.k_tiles); ++tile) {
              const std::int64_t columns = channels * taps;
              const Rows<const float> from{sums + (tile - k) * job.out_column, 16, 16};
              const Rows<float> to{dw + tile * kAmxRows * filter + first * taps, filter, columns};
              const std::int64_t outputs = at_most(kAmxRows, geo.k - tile * kAmxRows);
              if (n > 0 || i > 0) transpose<float, true>(from, columns, outputs, to);
              else transpose<float, false>(from, columns, outputs, to);
            }
          }
        }
      }
  }
}

constexpr Kernel entry(const char* op, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&), Prepared (*prepared)(const Problem&, std::size_t)) {
  return {op, "amx_bf16x3", kIsa, DType::f32, 1, declined, scratch, run, parts, true, prepared};
}

constexpr Kernel kKernels[] = {
    entry("conv2d", gather_scratch<false>, gather_run<false>, gather_parts<false>, prepared<false>),
    entry("conv2d_grad_input", gather_scratch<true>, gather_run<true>, gather_parts<true>, prepared<true>),
    entry("conv2d_grad_weight", correlate_scratch, correlate_run, correlate_parts, nullptr),
};

}  // namespace

#endif

std::span<const Kernel> conv2d_amx_kernels() {
#if defined(GI_AVX512)
  if (has_amx()) return {kKernels, sizeof kKernels / sizeof kKernels[0]};
#endif
  return {};
}

}  // namespace gi::kernels::GI_ISA
