// conv2d and conv2d_grad_input with trials in the lanes: a number is a pack, filters are packs or scalars all trials share.
//
// A slab of the source is copied to scratch with its halo of zeros written out, as much as stays in the second cache;
// then everything is the register tile of kernels/common/tile.h.
#include "kernels/common/families.h"
#include "kernels/common/tile.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_axis.h"
#include "kernels/conv2d/conv2d_slab.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kSlabBytes = (kVectorRegisters == 32 ? 384 : 192) << 10;  // of a second cache of 1 MiB; 512 KiB
constexpr std::int64_t kFilterBytes = 24 << 10;                                  // of a first cache of 32 KiB or more

/// Sizes of one gathering convolution; everything but the operands' memory.
struct Gather {
  ConvAxis h, w;
  std::int64_t groups, in, out;                      ///< channels of a group on either side
  std::int64_t filter_in, filter_out, filter_group;  ///< steps of the filter bank, in numbers
  std::int64_t pitch, block_rows, slab_channel;      ///< of the slab, in numbers

  Gather(const Conv2dGeometry& geo, bool adjoint, std::int64_t bytes_of_number)
      : h{adjoint ? geo.p : geo.h, adjoint ? geo.h : geo.p, geo.r, geo.stride_h, geo.pad_h, adjoint},
        w{adjoint ? geo.q : geo.w, adjoint ? geo.w : geo.q, geo.s, geo.stride_w, geo.pad_w, adjoint},
        groups(geo.groups),
        in(adjoint ? geo.k_per_group() : geo.c_per_group()),
        out(adjoint ? geo.c_per_group() : geo.k_per_group()),
        filter_in((adjoint ? geo.c_per_group() : 1) * geo.r * geo.s),
        filter_out((adjoint ? 1 : geo.c_per_group()) * geo.r * geo.s),
        filter_group(geo.k_per_group() * geo.c_per_group() * geo.r * geo.s),
        pitch(w.window(w.count(0))) {
    const std::int64_t row_bytes = groups * in * pitch * bytes_of_number;
    block_rows = even_piece(h.count(0), (kSlabBytes / row_bytes - h.window(1)) / h.step() + 1);
    slab_channel = h.window(block_rows) * pitch;
  }
  std::int64_t tap_count() const { return h.filter * w.filter; }
  std::int64_t phases() const { return h.phases() * w.phases(); }
};

/// tap(r, s) for the taps of a phase.
template <class Body>
void for_each_tap(const Gather& gather, std::int64_t phase, Body tap) {
  const std::int64_t first_r = gather.h.first_tap(phase / gather.w.phases()), down = gather.h.phases();
  const std::int64_t first_s = gather.w.first_tap(phase % gather.w.phases()), right = gather.w.phases();
  for (std::int64_t r = first_r; r < gather.h.filter; r += down)
    for (std::int64_t s = first_s; s < gather.w.filter; s += right) tap(r, s);
}

/// Whether filters of the trials' own are copied before they are read: where a phase has some of the taps only, those lie in as
/// many lines as all, which must not be more than the first cache holds beside a row of the slab.
bool packs_filters(const Gather& gather, std::int64_t number) {
  constexpr std::int64_t kFirstCache = 32 << 10;
  const std::int64_t bank = tile_rows(gather.out, gather.w.count(0)) * gather.h.filter * gather.w.filter;
  return gather.phases() > 1 && gather.in * (bank + gather.pitch) * number > kFirstCache;
}

/// All taps as offsets into slab and filter bank, or, of `packed` filters, into a channel's taps of the phase.
void write_taps(const Gather& gather, std::int64_t x_bytes, std::int64_t w_bytes, bool packed, Tap* taps) {
  const std::int64_t top = gather.h.lowest(), left = gather.w.lowest();
  for (std::int64_t phase = 0; phase < gather.phases(); ++phase) {
    std::int64_t index = 0;
    for_each_tap(gather, phase, [&](std::int64_t r, std::int64_t s) {
      const std::int64_t x = (gather.h.offset(r) - top) * gather.pitch + gather.w.offset(s) - left;
      *taps++ = {x * x_bytes, (packed ? index : r * gather.w.filter + s) * w_bytes};
      ++index;
    });
  }
}

/// The filters from `channels` channels to `rows` others, of one phase's taps: [channel][row][tap].
template <class Scalar>
void pack_filters(const Gather& gather, std::int64_t phase, std::int64_t channels, std::int64_t rows, const std::byte* filters,
                  std::byte* to) {
  auto* vectors = reinterpret_cast<Vector<Scalar>*>(to);
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t k = 0; k < rows; ++k) {
      const std::byte* const filter = filters + (c * gather.filter_in + k * gather.filter_out) * kNumberBytes<Scalar>;
      for_each_tap(gather, phase, [&](std::int64_t r, std::int64_t s) {
        const auto* number = reinterpret_cast<const Vector<Scalar>*>(filter + (r * gather.w.filter + s) * kNumberBytes<Scalar>);
        for (int part = 0; part < kParts<Scalar>; ++part) *vectors++ = number[part];
      });
    }
}

/// Where things lie in scratch: taps, packed filters, the slab.
struct GatherScratch {
  std::int64_t filters, slab, bytes;
  GatherScratch(const Gather& gather, std::int64_t number)
      : filters(aligned(gather.tap_count() * static_cast<std::int64_t>(sizeof(Tap)))),
        slab(filters +
             (packs_filters(gather, number) ? aligned(at_least(kFilterBytes, kMaxTileRows * gather.tap_count() * number)) : 0)),
        bytes(slab + gather.groups * gather.in * gather.slab_channel * number) {}
};

template <class Scalar, bool Adjoint>
std::size_t gather_scratch(const Problem& problem) {
  const Gather gather(problem.attrs_as<Conv2dGeometry>(), Adjoint, kNumberBytes<Scalar>);
  return static_cast<std::size_t>(GatherScratch(gather, kNumberBytes<Scalar>).bytes);
}

/// One source and filter bank added to rows [i0, i1) (of phase 0) of the outputs of one image.
template <class Scalar>
void gather_block(const Gather& gather, const std::byte* slab, const std::byte* filters, bool shared, std::byte* scratch,
                  std::int64_t i0, std::int64_t i1, bool accumulate, std::byte* out) {
  const std::int64_t number = kNumberBytes<Scalar>, filter_number = shared ? sizeof(Scalar) : number;
  const bool packs = !shared && packs_filters(gather, number);
  Tap* const taps = reinterpret_cast<Tap*>(scratch);
  std::byte* const packed = scratch + GatherScratch(gather, number).filters;
  write_taps(gather, number, filter_number, packs, taps);
  TileJob job;
  job.x_channel = gather.slab_channel * number;
  job.w_channel = gather.filter_in * filter_number;
  job.w_k = gather.filter_out * filter_number;
  job.out_k = gather.h.dest * gather.w.dest * number;
  job.x_q = gather.w.step() * number;
  job.out_q = gather.w.phases() * number;
  job.x_line = gather.h.step() * gather.pitch * number;
  job.out_line = gather.h.phases() * gather.w.dest * number;
  job.parts = kParts<Scalar>;
  // Phases write beside each other: those of few channels one after the other, while their lines are in a cache.
  const std::int64_t columns = gather.w.count(0);
  for (std::int64_t channel = 0, rows; channel < gather.groups * gather.out; channel += rows) {
    const std::int64_t group = channel / gather.out, k = channel % gather.out;
    rows = tile_rows(gather.out - k, columns);
    job.taps = taps;
    for (std::int64_t phase = 0; phase < gather.phases(); ++phase, job.taps += job.tap_count) {
      const std::int64_t phase_h = phase / gather.w.phases(), phase_w = phase % gather.w.phases();
      job.tap_count = gather.h.taps(phase_h) * gather.w.taps(phase_w);
      job.lines = at_most(i1, gather.h.count(phase_h)) - i0;
      if (job.lines <= 0 || gather.w.count(phase_w) <= 0) continue;
      if (job.tap_count == 0 && accumulate) continue;
      const std::int64_t channel_bytes = rows * at_least(job.tap_count, 1) * filter_number;
      const std::int64_t channels = job.tap_count == 0 ? 0 : gather.in;  // without taps: zeros
      const std::int64_t chunk = even_piece(gather.in, kFilterBytes / channel_bytes);
      job.out = out + channel * job.out_k + ((i0 * gather.h.phases() + phase_h) * gather.w.dest + phase_w) * number;
      for (std::int64_t c = 0; c == 0 || c < channels; c += chunk) {
        job.channels = at_most(chunk, channels - c);
        job.x = slab + (group * gather.in + c) * job.x_channel;
        job.w = filters + (group * gather.filter_group + k * gather.filter_out + c * gather.filter_in) * filter_number;
        if (packs) {
          pack_filters<Scalar>(gather, phase, job.channels, rows, job.w, packed);
          job.w = packed;
          job.w_k = job.tap_count * number;
          job.w_channel = rows * job.w_k;
        }
        job.accumulate = accumulate || c > 0;
        if (shared) multiply<Scalar, true>(job, rows, gather.w.count(phase_w));
        else multiply<Scalar, false>(job, rows, gather.w.count(phase_w));
      }
    }
  }
}

/// Rows of phase 0, of all images.
template <bool Adjoint>
std::int64_t gather_parts(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  const View& out = problem.out[0];
  return out.dims[0] * out.dims[1] * (Adjoint ? ceil_div(geo.h, geo.stride_h) : geo.p);
}

template <class Scalar, bool Adjoint>
void gather_run(const Arguments& args) {
  const Gather gather(args.attrs_as<Conv2dGeometry>(), Adjoint, kNumberBytes<Scalar>);
  std::byte* const slab = args.scratch + GatherScratch(gather, kNumberBytes<Scalar>).slab;
  const std::int64_t images = args.out[0].dims[1], rows = gather.h.count(0);
  const std::int64_t source_image = gather.groups * gather.in * gather.h.source * gather.w.source;
  const std::int64_t dest_image = gather.groups * gather.out * gather.h.dest * gather.w.dest;
  Window window{gather.groups * gather.in, gather.h.source, gather.w.source, 0, 0, gather.w.lowest(), gather.pitch};
  PartRuns share(args, gather_parts<Adjoint>(args), Taking::one_share);
  while (share.next()) {
    for (std::int64_t part = share.first, last; part < share.last; part = last) {
      const std::int64_t image = part / rows, block = image / images, n = image % images,
                         end = at_most(rows, share.last - image * rows);
      last = image * rows + end;
      std::byte* const out = static_cast<std::byte*>(args.out[0].data) + image * dest_image * kNumberBytes<Scalar>;
      for (std::int64_t i = part % rows; i < end; i += gather.block_rows) {
        window.row = i * gather.h.step() + gather.h.lowest();
        window.rows = gather.h.window(gather.block_rows);
        for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
          const ConstView &source = args.in[pair], &filters = args.in[pair + 1];
          copy_window<Scalar>(window, trial_block<Scalar>(source, block) + n * source_image * number_bytes<Scalar>(source),
                              source.shared(), slab);
          gather_block<Scalar>(gather, slab, trial_block<Scalar>(filters, block), filters.shared(), args.scratch, i,
                               at_most(i + gather.block_rows, end), pair > 0, out);
        }
      }
    }
  }
}

template <class Scalar>
constexpr Kernel entry(const char* op, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&)) {
  return {op,   "trial_lanes_direct", kIsa, sizeof(Scalar) == 4 ? DType::f32 : DType::f64, kLanes, factors_declined, scratch, run,
          parts};
}

constexpr Kernel kKernels[] = {
    entry<float>("conv2d", gather_scratch<float, false>, gather_run<float, false>, gather_parts<false>),
    entry<double>("conv2d", gather_scratch<double, false>, gather_run<double, false>, gather_parts<false>),
    entry<float>("conv2d_grad_input", gather_scratch<float, true>, gather_run<float, true>, gather_parts<true>),
    entry<double>("conv2d_grad_input", gather_scratch<double, true>, gather_run<double, true>, gather_parts<true>),
};

}  // namespace

std::span<const Kernel> conv2d_lanes_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
