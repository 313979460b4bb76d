// The convolution family with trials in the lanes: a number is a pack, filters are packs or scalars all trials share.
//
// A slab of the source is copied to scratch with its halo of zeros written out, as much as stays in the second cache;
// then everything is the register tile of kernels/common/tile.h.
#include "kernels/common/copy_row.h"
#include "kernels/common/families.h"
#include "kernels/common/tile.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/conv2d_axis.h"

namespace gi::kernels::GI_ISA {

namespace {

constexpr std::int64_t kSlabBytes = (kVectorRegisters == 32 ? 384 : 192) << 10;  // of a second cache of 1 MiB; 512 KiB
constexpr std::int64_t kFilterBytes = 24 << 10;                                  // of a first cache of 32 KiB or more
constexpr std::int64_t kPixels = 64;  // of g that stay in the first cache, a row of register tiles wide

template <class Scalar>
constexpr std::int64_t kNumberBytes = kLanes* static_cast<std::int64_t>(sizeof(Scalar));

/// Bytes of one number of an operand: a pack, or a scalar that is shared.
template <class Scalar>
std::int64_t number_bytes(const Layout& v) {
  return v.lanes * static_cast<std::int64_t>(sizeof(Scalar));
}

/// The operand's numbers of one trial block.
template <class Scalar>
const std::byte* block_of(const ConstView& v, std::int64_t block) {
  return static_cast<const std::byte*>(v.data) + block * v.strides[0] * number_bytes<Scalar>(v);
}

const char* operand_declined(const Problem& problem) {
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in[i];
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != kLanes && !v.shared()) return "an input is neither in packs nor shared";
    if (i % 2 == 1 && v.shared() && problem.in[i - 1].shared()) return "both factors are shared by the trials";
  }
  return nullptr;
}

/// Rows and columns of a source [channels][height][width], zero outside of it; a shared source is splatted.
struct Window {
  std::int64_t channels, height, width;
  std::int64_t row, rows, column, columns;
};

template <class Scalar>
void copy_window(const Window& win, const std::byte* source, bool shared, std::byte* slab) {
  constexpr std::int64_t parts = kParts<Scalar>, number = kLanes;  // vectors, scalars of a number
  const std::int64_t left = at_most(at_least(-win.column, 0), win.columns);
  const std::int64_t right = at_least(left, at_most(win.columns, win.width - win.column));
  Scalar* to = reinterpret_cast<Scalar*>(slab);
  for (std::int64_t c = 0; c < win.channels; ++c) {
    for (std::int64_t i = 0; i < win.rows; ++i, to += win.columns * number) {
      const std::int64_t row = win.row + i;
      if (row < 0 || row >= win.height) {
        zero_vectors(win.columns * parts, to);
        continue;
      }
      zero_vectors(left * parts, to);
      const std::int64_t first = (c * win.height + row) * win.width + win.column + left;
      if (shared) {
        const Scalar* from = reinterpret_cast<const Scalar*>(source) + first;
        auto* packs = reinterpret_cast<Vector<Scalar>*>(to);
        for (std::int64_t j = left; j < right; ++j)
          for (std::int64_t part = 0; part < parts; ++part) packs[j * parts + part] = broadcast(from[j - left]);
      } else {
        copy_row<1>(reinterpret_cast<const Scalar*>(source) + first * number, (right - left) * number, to + left * number);
      }
      zero_vectors((win.columns - right) * parts, to + right * number);
    }
  }
}

// ---- conv2d and conv2d_grad_input -------------------------------------------------------------------------------------

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
          copy_window<Scalar>(window, block_of<Scalar>(source, block) + n * source_image * number_bytes<Scalar>(source),
                              source.shared(), slab);
          gather_block<Scalar>(gather, slab, block_of<Scalar>(filters, block), filters.shared(), args.scratch, i,
                               at_most(i + gather.block_rows, end), pair > 0, out);
        }
      }
    }
  }
}

// ---- conv2d_grad_weight -----------------------------------------------------------------------------------------------

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
      : geo_(geo), along_s_(geo.s >= 3 || geo.c_per_group() == 1), columns_(along_s_ ? geo.s : geo.c_per_group()), tiles_(0) {
    for (std::int64_t k = 0; k < geo.k_per_group(); k += rows_at(k)) ++tiles_;
  }
  /// Whether a register tile spans a filter's row, which is wide enough, or else input channels.
  bool along_s() const { return along_s_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t count() const { return geo_.groups * tiles_ * geo_.r; }

  struct Piece {
    std::int64_t group, channel, rows, r;  ///< `rows` output channels from `channel` on, counted over all groups
  };
  Piece operator[](std::int64_t i) const {
    const std::int64_t group = i / (tiles_ * geo_.r);
    std::int64_t k = 0;
    for (std::int64_t tile = i / geo_.r % tiles_; tile > 0; --tile) k += rows_at(k);
    return {group, group * geo_.k_per_group() + k, rows_at(k), i % geo_.r};
  }

 private:
  std::int64_t rows_at(std::int64_t k) const { return tile_rows(geo_.k_per_group() - k, columns_); }

  const Conv2dGeometry& geo_;
  bool along_s_;
  std::int64_t columns_, tiles_;
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
  static constexpr std::int64_t kSumsBytes = 256 << 10;
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
  const bool along_s = pieces.along_s();
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
  if (g_shared) multiply<Scalar, true>(job, piece.rows, pieces.columns());
  else multiply<Scalar, false>(job, piece.rows, pieces.columns());
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

  /// Pieces [first, last) (+)= one trial block; where(piece) is the piece's memory.
  const auto add_block = [&](std::int64_t block, bool accumulate, std::int64_t first, std::int64_t last, auto where,
                             BankSteps steps) {
    for (std::int64_t n = 0; n < x.dims[1]; ++n) {
      const std::byte* const x_image = block_of<Scalar>(x, block) + n * geo.c * geo.h * geo.w * number_bytes<Scalar>(x);
      const std::byte* const g_image = block_of<Scalar>(g, block) + n * geo.k * geo.p * geo.q * number_bytes<Scalar>(g);
      for (std::int64_t p = 0; p < geo.p; p += sizes.block_rows) {
        window.row = p * geo.stride_h - geo.pad_h;
        window.rows = sizes.h.window(sizes.block_rows);
        copy_window<Scalar>(window, x_image, x.shared(), slab);
        const std::int64_t end = at_most(p + sizes.block_rows, geo.p);
        for (std::int64_t i = first; i < last; ++i)
          correlate_piece<Scalar>(geo, sizes, pieces, pieces[i], slab, g_image, g.shared(), taps, p, end,
                                  accumulate || n > 0 || p > 0, where(i), steps);
      }
    }
  };

  const std::int64_t blocks = x.dims[0];
  for (PartRuns share(args, pieces.count(), Taking::one_share); share.next();) {
    if constexpr (Sum) {
      const std::int64_t most = sums_bytes<Scalar>(geo, pieces[0].rows);  // the first piece is of the largest
      const std::int64_t at_once = at_least(places.kSumsBytes / most, 1);
      for (std::int64_t first = share.first, last; first < share.last; first = last) {
        last = at_most(first + at_once, share.last);
        const auto where = [&](std::int64_t i) { return sums + (i - first) * most; };
        for (std::int64_t block = 0; block < blocks; ++block)
          add_block(block, block > 0, first, last, where, {geo.c_per_group() * geo.s, geo.s});
        for (std::int64_t i = first; i < last; ++i) fold_piece(geo, pieces[i], where(i), args.out[0].as<Scalar>());
      }
    } else {
      for (std::int64_t block = 0; block < blocks; ++block) {
        std::byte* const dw = static_cast<std::byte*>(args.out[0].data) + block * geo.k * filter * kNumberBytes<Scalar>;
        const auto where = [&](std::int64_t i) {
          const BankPieces::Piece piece = pieces[i];
          return dw + (piece.channel * filter + piece.r * geo.s) * kNumberBytes<Scalar>;
        };
        add_block(block, false, share.first, share.last, where, {filter, geo.r * geo.s});
      }
    }
  }
}

template <class Scalar>
constexpr Kernel entry(const char* op, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&),
                       std::int64_t (*parts)(const Problem&)) {
  return {op,   "trial_lanes_direct", kIsa, sizeof(Scalar) == 4 ? DType::f32 : DType::f64, kLanes, operand_declined, scratch, run,
          parts};
}

constexpr Kernel kKernels[] = {
    entry<float>("conv2d", gather_scratch<float, false>, gather_run<float, false>, gather_parts<false>),
    entry<double>("conv2d", gather_scratch<double, false>, gather_run<double, false>, gather_parts<false>),
    entry<float>("conv2d_grad_input", gather_scratch<float, true>, gather_run<float, true>, gather_parts<true>),
    entry<double>("conv2d_grad_input", gather_scratch<double, true>, gather_run<double, true>, gather_parts<true>),
    entry<float>("conv2d_grad_weight", correlate_scratch<float, false>, correlate_run<float, false>, correlate_parts),
    entry<double>("conv2d_grad_weight", correlate_scratch<double, false>, correlate_run<double, false>, correlate_parts),
    entry<float>("conv2d_grad_weight_sum", correlate_scratch<float, true>, correlate_run<float, true>, correlate_parts),
    entry<double>("conv2d_grad_weight_sum", correlate_scratch<double, true>, correlate_run<double, true>, correlate_parts),
};

}  // namespace

std::span<const Kernel> conv2d_lanes_kernels() { return {kKernels, sizeof kKernels / sizeof kKernels[0]}; }

}  // namespace gi::kernels::GI_ISA
