// conv2d_grad_weight with trials in the lanes, of each trial or summed over them.
//
// A slab of the images that a few rows of g meet is copied to scratch with its halo of zeros written out; then everything is the
// register tile of kernels/common/tile.h.
#include "kernels/common/families.h"
#include "kernels/common/tile.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_axis.h"
#include "kernels/conv2d/conv2d_slab.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kPixels = 64;            // of g that stay in the first cache, a row of register tiles wide
constexpr std::int64_t kSumsBytes = 256 << 10;  // of filters whose lanes are added at the end, in the second cache

/// Sizes of the slab of x that meets `block_rows` rows of g.
struct Correlate {
  ConvAxis h, w;
  std::int64_t pitch, block_rows, slab_channel;

  explicit Correlate(const Conv2dGeometry& geo)
      : h{geo.h, geo.p, geo.r, geo.stride_h, geo.pad_h, false},
        w{geo.w, geo.q, geo.s, geo.stride_w, geo.pad_w, false},
        pitch(w.window(geo.q)),
        block_rows(even_piece(geo.p, kPixels / geo.q)),
        slab_channel(h.window(block_rows) * pitch) {}
};

/// The filter bank in pieces that are computed by themselves: a row of every filter of a register tile's output channels.
class BankPieces {
 public:
  explicit BankPieces(const Conv2dGeometry& geo)
      : along_s(geo.s >= 3 || geo.c_per_group() == 1),
        columns(along_s ? geo.s : geo.c_per_group()),
        groups_(geo.groups),
        channels_(geo.k_per_group()),
        tiles_(channels_, tile_rows(channels_, columns)),
        filter_rows_(geo.r) {}

  struct Piece {
    std::int64_t group, channel, rows, r;  ///< `rows` output channels from `channel` on, counted over all groups
  };
  std::int64_t count() const { return groups_ * tiles_.pieces * filter_rows_; }
  /// The largest number of rows comes first.
  Piece operator[](std::int64_t i) const {
    const std::int64_t group = i / (tiles_.pieces * filter_rows_), tile = i / filter_rows_ % tiles_.pieces;
    const std::int64_t shorter = at_least(tile - tiles_.large, 0);
    return {group, group * channels_ + tile * tiles_.size - shorter, tiles_[tile], i % filter_rows_};
  }

  const bool along_s;          ///< a register tile spans a filter's row, which is wide enough, or else input channels
  const std::int64_t columns;  ///< of a register tile

 private:
  std::int64_t groups_, channels_;
  Split tiles_;
  std::int64_t filter_rows_;
};

std::int64_t correlate_parts(const Problem& problem) { return BankPieces(problem.attrs_as<Conv2dGeometry>()).count(); }

/// Bytes of a piece's sums where they are kept apart: [output channel][input channel][s].
template <class Scalar>
std::int64_t sums_bytes(const Conv2dGeometry& geo, std::int64_t rows) {
  return rows * geo.c_per_group() * geo.s * kNumberBytes<Scalar>;
}

/// Where things lie in scratch: taps, the slab, and in a sum over the lanes the sums of as many pieces as stay in a second cache.
template <class Scalar, bool Sum>
struct CorrelateScratch {
  std::int64_t slab, sums, bytes;
  CorrelateScratch(const Conv2dGeometry& geo, const Correlate& sizes)
      : slab(aligned(geo.q * static_cast<std::int64_t>(sizeof(Tap)))),
        sums(slab + geo.c * sizes.slab_channel * kNumberBytes<Scalar>),
        bytes(sums + (Sum ? at_least(kSumsBytes, sums_bytes<Scalar>(geo, kMaxTileRows)) : 0)) {}
};

template <class Scalar, bool Sum>
std::size_t correlate_scratch(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  return static_cast<std::size_t>(CorrelateScratch<Scalar, Sum>(geo, Correlate(geo)).bytes);
}

/// Numbers from one output channel to the next, and from one input channel to the next.
struct BankSteps {
  std::int64_t out, in;
};

/// A piece (+)= the rows [p0, p1) of one image. `g` points at row 0 of channel 0.
template <class Scalar>
void correlate_piece(const Conv2dGeometry& geo, const Correlate& sizes, const BankPieces& pieces, const BankPieces::Piece& piece,
                     const std::byte* slab, const std::byte* g, bool g_shared, const Tap* taps, std::int64_t p0, std::int64_t p1,
                     bool accumulate, std::byte* dw, BankSteps steps) {
  const std::int64_t number = kNumberBytes<Scalar>, g_number = g_shared ? sizeof(Scalar) : number;
  const std::int64_t tap_step = number, row_step = sizes.pitch * number, channel_step = sizes.slab_channel * number;
  const bool along_s = pieces.along_s;
  TileJob job;
  job.taps = taps;
  job.tap_count = geo.q;
  job.channels = p1 - p0;
  job.x_channel = geo.stride_h * row_step;
  job.w_channel = geo.q * g_number;
  job.w_k = geo.p * geo.q * g_number;
  job.out_k = steps.out * number;
  job.parts = kParts<Scalar>;
  job.accumulate = accumulate;
  job.x_q = along_s ? tap_step : channel_step;
  job.out_q = (along_s ? 1 : steps.in) * number;
  job.x_line = along_s ? channel_step : tap_step;
  job.out_line = (along_s ? steps.in : 1) * number;
  job.lines = along_s ? geo.c_per_group() : geo.s;
  job.w = g + piece.channel * job.w_k + p0 * job.w_channel;
  job.x = slab + piece.group * geo.c_per_group() * channel_step + piece.r * row_step;
  job.out = dw;
  if (g_shared) multiply<Scalar, true>(job, piece.rows, pieces.columns);
  else multiply<Scalar, false>(job, piece.rows, pieces.columns);
}

/// dw's scalars of a piece from its sums.
template <class Scalar>
void fold_piece(const Conv2dGeometry& geo, const BankPieces::Piece& piece, const std::byte* sums, Scalar* dw) {
  const auto* number = reinterpret_cast<const Vector<Scalar>*>(sums);
  for (std::int64_t k = 0; k < piece.rows; ++k)
    for (std::int64_t c = 0; c < geo.c_per_group(); ++c) {
      Scalar* const row = dw + (((piece.channel + k) * geo.c_per_group() + c) * geo.r + piece.r) * geo.s;
      for (std::int64_t s = 0; s < geo.s; ++s, number += kParts<Scalar>) {
        Vector<Scalar> sum = number[0];
        for (int part = 1; part < kParts<Scalar>; ++part) sum += number[part];
        row[s] = sum_of<Scalar>(sum);
      }
    }
}

/// With `Sum`, the sum over the trials, in scalars.
template <class Scalar, bool Sum>
void correlate_run(const Arguments& args) {
  const auto& geo = args.attrs_as<Conv2dGeometry>();
  const Correlate sizes(geo);
  const BankPieces pieces(geo);
  const CorrelateScratch<Scalar, Sum> places(geo, sizes);
  const ConstView &x = args.in[0], &g = args.in[1];
  Tap* const taps = reinterpret_cast<Tap*>(args.scratch);
  std::byte *const slab = args.scratch + places.slab, *const sums = args.scratch + places.sums;
  for (std::int64_t q = 0; q < geo.q; ++q) taps[q] = {q * geo.stride_w * kNumberBytes<Scalar>, q * number_bytes<Scalar>(g)};
  const std::int64_t filter = geo.c_per_group() * geo.r * geo.s;
  Window window{geo.c, geo.h, geo.w, 0, 0, -geo.pad_w, sizes.pitch};

  /// Pieces [first, last) (+)= one trial block; where(i, piece) is the memory of piece i.
  const auto add_block = [&](std::int64_t block, bool accumulate, std::int64_t first, std::int64_t last, auto where,
                             BankSteps steps) {
    for (std::int64_t n = 0; n < x.dims[1]; ++n) {
      const std::byte* const x_image = trial_block<Scalar>(x, block) + n * geo.c * geo.h * geo.w * number_bytes<Scalar>(x);
      const std::byte* const g_image = trial_block<Scalar>(g, block) + n * geo.k * geo.p * geo.q * number_bytes<Scalar>(g);
      for (std::int64_t p = 0; p < geo.p; p += sizes.block_rows) {
        window.row = p * geo.stride_h - geo.pad_h;
        window.rows = sizes.h.window(sizes.block_rows);
        copy_window<Scalar>(window, x_image, x.shared(), slab);
        const std::int64_t end = at_most(p + sizes.block_rows, geo.p);
        for (std::int64_t i = first; i < last; ++i) {
          const BankPieces::Piece piece = pieces[i];
          correlate_piece<Scalar>(geo, sizes, pieces, piece, slab, g_image, g.shared(), taps, p, end, accumulate || n > 0 || p > 0,
                                  where(i, piece), steps);
        }
      }
    }
  };

  const std::int64_t blocks = x.dims[0];
  for (PartRuns share(args, pieces.count(), Taking::one_share); share.next();) {
    if constexpr (Sum) {
      const std::int64_t most = sums_bytes<Scalar>(geo, pieces[0].rows);
      const std::int64_t at_once = at_least(kSumsBytes / most, 1);
      for (std::int64_t first = share.first, last; first < share.last; first = last) {
        last = at_most(first + at_once, share.last);
        const auto sums_of = [&](std::int64_t i) { return sums + (i - first) * most; };
        const auto where = [&](std::int64_t i, const BankPieces::Piece&) { return sums_of(i); };
        for (std::int64_t block = 0; block < blocks; ++block)
          add_block(block, block > 0, first, last, where, {geo.c_per_group() * geo.s, geo.s});
        for (std::int64_t i = first; i < last; ++i) fold_piece(geo, pieces[i], sums_of(i), args.out[0].as<Scalar>());
      }
    } else {
      for (std::int64_t block = 0; block < blocks; ++block) {
        std::byte* const dw = static_cast<std::byte*>(args.out[0].data) + block * geo.k * filter * kNumberBytes<Scalar>;
        const auto where = [&](std::int64_t, const BankPieces::Piece& piece) {
          return dw + (piece.channel * filter + piece.r * geo.s) * kNumberBytes<Scalar>;
        };
        add_block(block, false, share.first, share.last, where, {filter, geo.r * geo.s});
      }
    }
  }
}

template <class Scalar>
constexpr Kernel entry(const char* op, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&)) {
  return {op,  "trial_lanes_direct", kIsa, sizeof(Scalar) == 4 ? DType::f32 : DType::f64, kLanes, factors_declined, scratch,
          run, correlate_parts};
}

constexpr Kernel kKernels[] = {
    entry<float>("conv2d_grad_weight", correlate_scratch<float, false>, correlate_run<float, false>),
    entry<double>("conv2d_grad_weight", correlate_scratch<double, false>, correlate_run<double, false>),
    entry<float>("conv2d_grad_weight_sum", correlate_scratch<float, true>, correlate_run<float, true>),
    entry<double>("conv2d_grad_weight_sum", correlate_scratch<double, true>, correlate_run<double, true>),
};

}  // namespace

std::span<const Kernel> conv2d_correlate_lanes_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
