// What convolutions with output channels in the lanes have in common: the register tile, and filters in its order. Only for
// *_cpu.cpp files.
//
// Filters are transposed to [tile of output channels][phase of taps][input channel][place of tap][output channel of the tile];
// those that stay as they are in all iterations may come so (Prepared in kernels/api/kernel.h).
#pragma once

#include <cstring>

#include "kernels/common/numbers.h"
#include "kernels/common/transpose.h"

namespace gi::kernels::GI_ISA {

inline constexpr int kMaxVectors = kVectorRegisters == 32 ? 4 : 3;  // of output channels in a register tile

/// Pixels in a register tile: its sums are to fill the registers but for a tap's filters and a pixel.
constexpr int max_pixels(int vectors) { return (kVectorRegisters == 32 ? 24 : 12) / vectors; }

/// Of a loop over taps; more make g++ move sums to and from memory where there are 32 registers.
inline constexpr int kUnrolledTaps = kVectorRegisters == 32 ? 3 : 8;

/// Keeps the compiler from loading a tap's operands with another's: where they are no operands of the multiply-adds, that takes
/// more registers than there are.
[[gnu::always_inline]] inline void tap_begins() {
  if constexpr (kVectorRegisters < 32) asm volatile("" ::: "memory");
}

/// Fetches rows into the caches little by little: they are too far apart, and too many, for the processor to foresee them.
class Fetch {
 public:
  Fetch() = default;
  /// Within `times` calls of some().
  Fetch(const void* first, std::int64_t row_bytes, std::int64_t rows, std::int64_t step_bytes, std::int64_t times)
      : line_(static_cast<const std::byte*>(first)),
        lines_(ceil_div(row_bytes, kLine) + 1),
        rows_(rows),
        step_(step_bytes - lines_ * kLine),
        each_(ceil_div(rows_ * lines_, times)) {}
  [[gnu::always_inline]] void some() {
    for (std::int64_t i = 0; i < each_ && rows_ > 0; ++i, line_ += kLine) {
      __builtin_prefetch(line_, 0, 2);
      if (++done_ == lines_) done_ = 0, --rows_, line_ += step_;
    }
  }

 private:
  static constexpr std::int64_t kLine = 64;
  const std::byte* line_ = nullptr;
  std::int64_t lines_ = 0, rows_ = 0, step_ = 0, each_ = 0, done_ = 0;
};

/// What a register tile adds up, and onto what.
template <class Scalar>
struct SumsJob {
  const Scalar* filters;
  std::int64_t width;  ///< numbers of filters from tap to tap
  bool accumulate;
  Fetch* fetch;  ///< beside every channel or kTapsBesideFetch taps, a little
};

/// Input channels, and the filter rows that meet.
template <class Scalar>
struct RowsJob : SumsJob<Scalar> {
  std::int64_t channels, rows, taps;  ///< taps in a row
  std::int64_t filter_channel;        ///< numbers of filters from channel to channel
  std::int64_t channel, row;          ///< of pixels likewise, and from row to row
};

/// Taps of whatever channel and row, one after the other.
template <class Scalar>
struct TapsJob : SumsJob<Scalar> {
  const std::int64_t* places;  ///< of the pixels that they meet
  std::int64_t taps;
};

inline constexpr std::int64_t kTapsBesideFetch = 8;

/// K pixels and Q vectors of sums [k][q], in registers.
template <class Scalar, int Q, int K>
struct TileSums {
  using V = Vector<Scalar>;
  static constexpr std::int64_t n = kElements<Scalar>;
  V sum[K][Q] = {};

  [[gnu::always_inline]] void load(const Scalar* from) {
#pragma GCC unroll 32
    for (int k = 0; k < K; ++k)
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) sum[k][q] = *reinterpret_cast<const V*>(from + (k * Q + q) * n);
  }
  /// Adds a tap's filters times its pixels, which lie `Step` apart.
  template <int Step>
  [[gnu::always_inline]] void add(const Scalar* pixels, const Scalar* filter) {
    tap_begins();
    V a[Q];
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) a[q] = *reinterpret_cast<const V*>(filter + q * n);
#pragma GCC unroll 32
    for (int k = 0; k < K; ++k) {
      const V b = broadcast<Scalar>(pixels[k * Step]);
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) sum[k][q] += b * a[q];
    }
  }
  [[gnu::always_inline]] void store(Scalar* to) const {
#pragma GCC unroll 32
    for (int k = 0; k < K; ++k)
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) *reinterpret_cast<V*>(to + (k * Q + q) * n) = sum[k][q];
  }
};

/// sums[k][q] (+)= sum over channels, rows and taps of pixels[channel][row][k * Step + tap] * filters[channel][row][tap][q], for K
/// pixels and Q vectors. S taps in a row, or job.taps where S is 0: what is known here costs no instructions, and those that move
/// pointers take turns from the products.
template <class Scalar, int S, int Step, int Q, int K>
void add_rows(const RowsJob<Scalar>& job, const Scalar* pixels, Scalar* sums) {
  TileSums<Scalar, Q, K> tile;
  if (job.accumulate) tile.load(sums);
  const std::int64_t taps = S == 0 ? job.taps : S, rows = job.rows, row_step = job.row, channel_step = job.channel;
  const std::int64_t width = job.width, filter_step = job.filter_channel - rows * taps * width, channels = job.channels;
  const Scalar* filter = job.filters;
  for (std::int64_t c = 0; c < channels; ++c, pixels += channel_step, filter += filter_step) {
    job.fetch->some();
    const Scalar* row = pixels;
    for (std::int64_t r = 0; r < rows; ++r, row += row_step) {
#pragma GCC unroll kUnrolledTaps
      for (std::int64_t s = 0; s < taps; ++s, filter += width) tile.template add<Step>(row + s, filter);
    }
  }
  tile.store(sums);
}

/// sums[k][q] (+)= sum over taps of pixels[places[tap] + k * Step] * filters[tap][q]: for rows of few taps, where moving from row
/// to row would take longer than the products.
template <class Scalar, int Step, int Q, int K>
void add_taps(const TapsJob<Scalar>& job, const Scalar* pixels, Scalar* sums) {
  TileSums<Scalar, Q, K> tile;
  if (job.accumulate) tile.load(sums);
  const std::int64_t* place = job.places;
  const std::int64_t* const end = place + job.taps;
  const std::int64_t width = job.width;
  const Scalar* filter = job.filters;
  while (place < end) {
    job.fetch->some();
    const std::int64_t* const until = end - place < kTapsBesideFetch ? end : place + kTapsBesideFetch;
    for (; place < until; ++place, filter += width) tile.template add<Step>(pixels + *place, filter);
  }
  tile.store(sums);
}

template <class Scalar, int S, int Step>
struct OfRows {
  using Run = void (*)(const RowsJob<Scalar>&, const Scalar*, Scalar*);
  template <int Q, int K>
  static constexpr Run run = add_rows<Scalar, S, Step, Q, K>;
};
template <class Scalar, int Step>
struct OfTaps {
  using Run = void (*)(const TapsJob<Scalar>&, const Scalar*, Scalar*);
  template <int Q, int K>
  static constexpr Run run = add_taps<Scalar, Step, Q, K>;
};

/// Entry [q - 1][k - 1] is the tile of k pixels and q vectors, up to Most, OfRows or OfTaps.
template <class Of, int Most = kMaxVectors>
struct Tiles {
  typename Of::Run entries[Most][max_pixels(1)] = {};

  template <int Q, int K>
  constexpr void fill() {
    entries[Q - 1][K - 1] = Of::template run<Q, K>;
    if constexpr (K > 1) fill<Q, K - 1>();
    else if constexpr (Q > 1) fill<Q - 1, max_pixels(Q - 1)>();
  }
  constexpr Tiles() { fill<Most, max_pixels(Most)>(); }
};

template <class Of, int Most = kMaxVectors>
inline constexpr Tiles<Of, Most> kTiles;

/// A convolution's filters, from `in` channels to `out`, and how they lie in the kernel's order.
struct FilterOrder {
  std::int64_t in, out, taps;
  std::int64_t vectors;  ///< of output channels
  std::int64_t tile;     ///< vectors at a time, of every bank the same

  FilterOrder(std::int64_t in, std::int64_t out, std::int64_t taps, std::int64_t elements, std::int64_t most_vectors)
      : in(in), out(out), taps(taps), vectors(ceil_div(out, elements)), tile(even_piece(vectors, most_vectors)) {}
  /// Numbers of a bank.
  std::int64_t bank(std::int64_t elements) const { return ceil_div(vectors, tile) * in * taps * tile * elements; }
};

/// Where a tap's filters lie: behind those of the `before` taps of phases before, and among the `taps` of its own phase.
struct TapPlace {
  std::int64_t before, taps, place;

  /// Numbers to it from the first filters of `channels` input channels, for one of them.
  std::int64_t of(std::int64_t channel, std::int64_t channels, std::int64_t width) const {
    return (before * channels + channel * taps + place) * width;
  }
};

/// Some of a bank's filters: from `channels` input channels from `channel` on to `count` output channels from `first` on.
struct Piece {
  std::int64_t channel, channels, first, count;
};

/// As many filters of `Taps` taps as a vector has elements, tap by tap. Of the last as much is read as of the others.
template <class Scalar, int Taps, class Place>
[[gnu::always_inline]] inline void transpose_filters(const Scalar* filters, Place place) {
  constexpr int n = kElements<Scalar>, whole = Taps / n * n;
#pragma GCC unroll 4
  for (int tap = 0; tap < whole; tap += n)
    transpose_square<Scalar, false, true>({filters + tap, Taps, n}, n, n, n, [&](int i) { return place(tap + i); });
  if constexpr (Taps - whole == 1) {
    Vector<Scalar> last;
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) last[i] = filters[i * Taps + whole];
    *reinterpret_cast<Vector<Scalar>*>(place(whole)) = last;
  } else if constexpr (Taps > whole) {
    transpose_square<Scalar, false, false>({filters + whole, Taps, n}, n, Taps - whole, n, [&](int i) { return place(whole + i); });
  }
}

/// Whether filters come in the kernel's order.
inline bool is_prepared(const ConstView& filters) { return filters.rank == 2; }

/// The filters of one trial as they come. An adjoint reads them from their output channels to their input channels.
template <class Scalar, bool Adjoint>
class Bank {
 public:
  Bank(const ConstView& filters, std::int64_t trial, const FilterOrder& order)
      : data_(filters.as<Scalar>() + trial * filters.strides[0]), prepared_(is_prepared(filters)), order_(&order) {}

  /// Whether they are in the kernel's order.
  bool prepared() const { return prepared_; }
  /// Then where those of an input channel of the only phase begin, or those of all for channel 0, from an output channel on that
  /// begins a vector: [channel][place][order.tile vectors].
  const Scalar* at(std::int64_t channel, std::int64_t first) const {
    return data_ + (first / width() * order_->in + channel) * order_->taps * width() + first % width();
  }
  /// Else a copy in the kernel's order. `places`: of each tap.
  void copy(const Piece& piece, const TapPlace* places, Scalar* to) const;
  /// What `piece` is read from, within `times` calls.
  Fetch fetch(const Piece& piece, std::int64_t times) const {
    const std::int64_t filter = order_->taps * sizeof(Scalar);
    if (prepared_) return Fetch(at(piece.channel, piece.first), piece.channels * width() * filter, 1, 0, times);
    if (Adjoint) return Fetch(from(piece.channel, piece.first), piece.count * filter, piece.channels, order_->out * filter, times);
    return Fetch(from(piece.first, piece.channel), piece.channels * filter, piece.count, order_->in * filter, times);
  }

 private:
  std::int64_t width() const { return order_->tile * kElements<Scalar>; }
  const Scalar* from(std::int64_t outer, std::int64_t inner) const {
    return data_ + (outer * (Adjoint ? order_->out : order_->in) + inner) * order_->taps;
  }

  const Scalar* data_;
  bool prepared_;
  const FilterOrder* order_;
};

template <class Scalar, bool Adjoint>
void Bank<Scalar, Adjoint>::copy(const Piece& piece, const TapPlace* places, Scalar* to) const {
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t taps = order_->taps;
  if (!Adjoint) {
    const std::int64_t filter = order_->in * taps, columns = piece.channels * taps;
    const std::int64_t behind = filter - piece.channel * taps;  // of the last filter, that may be read
    // A vector of filters at a time: more would meet in the same places of a cache.
    for (std::int64_t k = 0; k < piece.count; k += n)
      transpose<Scalar, false>({from(piece.first + k, piece.channel), filter, behind}, at_most(n, piece.count - k), columns,
                               {to + k, width(), width() - k});
    return;
  }
  const Scalar* const end = data_ + order_->in * order_->out * taps;
  for (std::int64_t c = 0; c < piece.channels; ++c) {
    const Scalar* corner = from(piece.channel + c, piece.first);
    const auto place = [&](std::int64_t tap) { return to + places[tap].of(c, piece.channels, width()); };
    std::int64_t k = 0;
    if (taps == 9) {  // as a constant: nothing is decided row by row
      Scalar* at[9];
      for (int tap = 0; tap < 9; ++tap) at[tap] = place(tap);
      for (; k + n <= piece.count && end - corner >= (n - 1) * 9 + at_least(n, 9); k += n, corner += n * 9)
        transpose_filters<Scalar, 9>(corner, [&](int tap) { return at[tap] + k; });
    }
    for (; k < piece.count; k += n, corner += n * taps)
      for (std::int64_t tap = 0; tap < taps; tap += n) {
        const std::int64_t filters = at_most(n, piece.count - k), columns = at_most(n, taps - tap);
        const std::int64_t there = end - corner - tap - (filters - 1) * taps;  // to be read of the last row
        transpose_square<Scalar, false, false>({corner + tap, taps, there}, filters, columns, n,
                                               [&](int i) { return place(tap + i) + k; });
      }
  }
}

/// All filters in the kernel's order, for a kernel that prepares them.
template <class Scalar, bool Adjoint>
void prepare_filters(const Arguments& args, const FilterOrder& order, const TapPlace* places) {
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t tile = order.tile * n;
  Scalar* to = args.out[0].as<Scalar>();
  std::memset(to, 0, args.out[0].dims[0] * order.bank(n) * sizeof(Scalar));  // channels that are not there
  for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
    for (std::int64_t first = 0; first < order.out; first += tile, to += order.in * order.taps * tile)
      Bank<Scalar, Adjoint>(args.in[0], t, order).copy({0, order.in, first, at_most(tile, order.out - first)}, places, to);
}

/// The kernel that prepares filters for the kernel of that name, and that kernel.
template <class Scalar, bool Adjoint>
constexpr Kernel preparing_kernel(const char* name, std::size_t (*scratch)(const Problem&), void (*run)(const Arguments&)) {
  return {.op = Adjoint ? "conv2d_grad_input_filters" : "conv2d_filters",
          .name = name,
          .isa = kIsa,
          .dtype = sizeof(Scalar) == 4 ? DType::f32 : DType::f64,
          .lanes = 1,
          .declines = nullptr,
          .scratch_bytes = scratch,
          .run = run};
}
template <class Scalar, bool Adjoint>
constexpr Kernel channels_kernel(const char* name, const char* (*declines)(const Problem&), std::size_t (*scratch)(const Problem&),
                                 void (*run)(const Arguments&), std::int64_t (*parts)(const Problem&),
                                 Prepared (*prepared)(const Problem&, std::size_t)) {
  return {.op = Adjoint ? "conv2d_grad_input" : "conv2d",
          .name = name,
          .isa = kIsa,
          .dtype = sizeof(Scalar) == 4 ? DType::f32 : DType::f64,
          .lanes = 1,
          .declines = declines,
          .scratch_bytes = scratch,
          .run = run,
          .parts = parts,
          .prepared = prepared};
}

}  // namespace gi::kernels::GI_ISA
