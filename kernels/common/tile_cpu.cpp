#include "kernels/common/tile.h"

#include "kernels/common/numbers.h"

namespace gi::kernels::GI_ISA {

namespace {

// Sums are to fill the registers but for a row of w and one x. Fewer than eight would wait for each other, so narrow
// tiles are long: see max_rows and max_columns.
constexpr int kMaxRows = kMaxTileRows / 2;

constexpr std::int64_t max_rows(std::int64_t columns) { return columns == 1 ? 2 * kMaxRows : kMaxRows; }
constexpr std::int64_t max_columns(std::int64_t rows) {
  const std::int64_t registers = kVectorRegisters - (kIsa == Isa::portable ? 2 : 1);  // there a product takes one, too
  return at_most(registers / rows - 1, 2 * kMaxTileColumns);
}

/// Vectors of x that are fetched beside a tap's products: more cost more than they save.
constexpr int kFetchedOfTap = 2;

/// Rows of w that one register reaches: an address may have one other register, once, twice, four or eight times.
constexpr int kRowsOfPointer = 3;

/// What is in memory is read from there again. Steps that every channel takes once are operands in memory then; else g++ keeps
/// them in registers, runs out, and moves pointers to and from vector registers where the products are waiting.
[[gnu::always_inline]] inline void reread() { asm volatile("" ::: "memory"); }

/// What is fetched beside the work: how far it moves on with every tap, after the taps of a channel, and from tile to tile.
struct Fetch {
  const std::byte* from;
  std::int64_t tap = 0, channel = 0, tile = 0;

  /// The share of each of `tiles` tiles in what job.ahead says, `done` rows of `rows` being fetched already.
  Fetch(const TileJob& job, std::int64_t scalar, std::int64_t done, std::int64_t rows, std::int64_t tiles) : from(job.w) {
    if (job.ahead == nullptr) return;
    const std::int64_t row = job.tap_count * scalar;  // of one channel
    const bool strided = job.ahead_channel != 0;
    from = job.ahead + done * row * (strided ? 1 : job.channels);
    tap = rows * scalar / tiles;
    tile = job.tap_count * tap * (strided ? 1 : job.channels);
    channel = strided ? job.ahead_channel - tile : 0;
  }
};

/// What a loop fetches besides: each has its own, since g++ lets go of the registers that the products need where one has all, and
/// processors of few registers notice every instruction.
enum class Fetched { nothing, ahead, ahead_and_far };  ///< TileJob::ahead, far_channels

/// `tiles` tiles of K x Q side by side, on every line.
template <class Scalar, bool Shared, Fetched Besides, int K, int Q>
void run_tiles(const TileJob& job, std::int64_t tiles, const Fetch& fetch) {
  using V = Vector<Scalar>;
  constexpr int kGroups = (K + kRowsOfPointer - 1) / kRowsOfPointer;
  const std::int64_t w_k = job.w_k, x_q = job.x_q;
  const Tap* const taps_end = job.taps + job.tap_count;
  for (std::int64_t line = 0; line < job.lines; ++line) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      for (std::int64_t part = 0; part < job.parts; ++part) {
        const std::byte* x = job.x + line * job.x_line + tile * Q * x_q + part * kVectorBytes;
        const std::byte* w = job.w + line * job.w_line + (Shared ? 0 : part * kVectorBytes);
        std::byte* out = job.out + line * job.out_line + tile * Q * job.out_q + part * kVectorBytes;
        const std::byte* ahead = fetch.from + line * job.w_line + tile * fetch.tile;
        if constexpr (Besides == Fetched::ahead) {  // rows of out are then far apart, too
#pragma GCC unroll 16
          for (int k = 0; k < K; ++k)
#pragma GCC unroll 16
            for (int q = 0; q < Q; q += 2) __builtin_prefetch(out + k * job.out_k + q * job.out_q, 1, 3);
        }
        V sum[K][Q] = {};
        if (job.accumulate) {
#pragma GCC unroll 16
          for (int k = 0; k < K; ++k)
#pragma GCC unroll 16
            for (int q = 0; q < Q; ++q) sum[k][q] = *reinterpret_cast<const V*>(out + k * job.out_k + q * job.out_q);
        }
        // rows(k) is where row k of w is; the other arguments are the same at every call.
        const auto add_products = [&](const std::byte* xt, auto rows) __attribute__((always_inline)) {
          if constexpr (Besides != Fetched::nothing) {
            __builtin_prefetch(ahead, 0, 3);
            ahead += fetch.tap;
          }
          V b[K];
#pragma GCC unroll 16
          for (int k = 0; k < K; ++k) {
            if constexpr (Shared) b[k] = broadcast<Scalar>(*reinterpret_cast<const Scalar*>(rows(k)));
            else b[k] = *reinterpret_cast<const V*>(rows(k));
          }
#pragma GCC unroll 16
          for (int q = 0; q < Q; ++q) {
            V a = *reinterpret_cast<const V*>(xt + q * x_q);
            if constexpr (K > 1) hide(a);  // else gcc reads it again for every sum
#pragma GCC unroll 16
            for (int k = 0; k < K; ++k) sum[k][q] += b[k] * a;
          }
        };
        if (job.tap_count == 1) {
          x += job.taps->x;
          const std::byte* group[kGroups];
#pragma GCC unroll 16
          for (int i = 0; i < kGroups; ++i) group[i] = w + job.taps->w + i * kRowsOfPointer * w_k;
          for (std::int64_t left = job.channels; left > 0; --left) {
            add_products(x, [&](int k) { return group[k / kRowsOfPointer] + k % kRowsOfPointer * w_k; });
            reread();
            x += job.x_channel;
            ahead += fetch.channel;
#pragma GCC unroll 16
            for (int i = 0; i < kGroups; ++i) {
              group[i] += job.w_channel;
              asm("" : "+r"(group[i]));  // else gcc wants a register for every row's distance
            }
          }
        } else {
          for (std::int64_t channel = 0; channel < job.channels; ++channel) {
            [[maybe_unused]] int column = 0;  // of the tile, whose next channel is fetched
            for (const Tap* tap = job.taps; tap != taps_end; ++tap) {
              if constexpr (Besides == Fetched::ahead_and_far) {
#pragma GCC unroll 2
                for (int i = 0; i < kFetchedOfTap; ++i) {
                  __builtin_prefetch(x + tap->x + job.x_channel + column * x_q, 0, 3);
                  column = column + 1 == Q ? 0 : column + 1;
                }
              }
              if constexpr (K <= kMaxRows) {
                add_products(x + tap->x, [wt = w + tap->w, w_k](int k) { return wt + k * w_k; });
              } else {
                const std::byte* group[kGroups] = {w + tap->w};
#pragma GCC unroll 16
                for (int i = 1; i < kGroups; ++i) {
                  group[i] = group[i - 1] + kRowsOfPointer * w_k;
                  asm("" : "+r"(group[i]));  // else gcc adds up rows one by one, more than it has registers for
                }
                add_products(x + tap->x, [&](int k) { return group[k / kRowsOfPointer] + k % kRowsOfPointer * w_k; });
              }
            }
            x += job.x_channel;
            w += job.w_channel;
            ahead += fetch.channel;
          }
        }
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k)
#pragma GCC unroll 16
          for (int q = 0; q < Q; ++q) *reinterpret_cast<V*>(out + k * job.out_k + q * job.out_q) = sum[k][q];
      }
    }
  }
}

using RunTiles = void (*)(const TileJob&, std::int64_t, const Fetch&);

/// Entry [k - 1][q - 1] is the tile of k rows and q columns, null where it is too large.
template <class Scalar, bool Shared, Fetched Besides>
struct Tiles {
  RunTiles entries[max_rows(1)][max_columns(1)] = {};

  template <int K, int Q>
  constexpr void fill() {
    if constexpr (K <= max_rows(Q) && Q <= max_columns(K)) entries[K - 1][Q - 1] = run_tiles<Scalar, Shared, Besides, K, Q>;
    if constexpr (Q > 1) fill<K, Q - 1>();
    else if constexpr (K > 1) fill<K - 1, max_columns(1)>();
  }
  constexpr Tiles() { fill<max_rows(1), max_columns(1)>(); }
};

template <class Scalar, bool Shared, Fetched Besides>
constexpr Tiles<Scalar, Shared, Besides> kTiles;

/// The tiles of k rows, by columns.
template <class Scalar, bool Shared>
const RunTiles* tiles_of(const TileJob& job, std::int64_t k) {
  if constexpr (Shared && sizeof(Scalar) == 4) {  // numbers of 8 bytes are there to compare with, not to be fast
    if (job.far_channels) return kTiles<Scalar, Shared, Fetched::ahead_and_far>.entries[k - 1];
    if (job.ahead != nullptr) return kTiles<Scalar, Shared, Fetched::ahead>.entries[k - 1];
  }
  return kTiles<Scalar, Shared, Fetched::nothing>.entries[k - 1];
}

}  // namespace

template <class Scalar, bool Shared>
void multiply(const TileJob& whole, std::int64_t rows, std::int64_t columns) {
  const Split by_row(rows, max_rows(columns));
  TileJob job = whole;
  std::int64_t done = 0;
  for (std::int64_t piece = 0; piece < by_row.pieces; ++piece) {
    const std::int64_t k = by_row[piece];
    const Split by_column(columns, max_columns(k));
    const RunTiles* const tiles = tiles_of<Scalar, Shared>(whole, k);
    job.x = whole.x;
    std::byte* const out = job.out;
    Fetch fetch(job, sizeof(Scalar), done, k, by_column.pieces);
    tiles[by_column.size - 1](job, by_column.large, fetch);
    if (by_column.large < by_column.pieces) {
      job.x += by_column.large * by_column.size * job.x_q;
      job.out += by_column.large * by_column.size * job.out_q;
      fetch.from += by_column.large * fetch.tile;
      tiles[by_column.size - 2](job, by_column.pieces - by_column.large, fetch);
    }
    job.out = out + k * job.out_k;
    job.w += k * job.w_k;
    done += k;
  }
}

template void multiply<float, false>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<float, true>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<double, false>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<double, true>(const TileJob&, std::int64_t, std::int64_t);

const char* factors_declined(const Problem& problem) {
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in[i];
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
    if (v.lanes != kLanes && !v.shared()) return "an input is neither in packs nor shared";
    if (i % 2 == 1 && v.shared() && problem.in[i - 1].shared()) return "both factors are shared by the trials";
  }
  return nullptr;
}

std::int64_t tile_rows(std::int64_t rows, std::int64_t columns) { return Split(rows, max_rows(columns)).size; }

}  // namespace gi::kernels::GI_ISA
