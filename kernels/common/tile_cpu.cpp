#include "kernels/common/tile.h"

namespace gi::kernels::GI_ISA {

namespace {

// Sums are to fill the registers but for a row of w and one x. Fewer than eight would wait for each other, so narrow
// tiles are long: see max_rows and max_columns.
constexpr int kMaxRows = kVectorRegisters == 32 ? 6 : 3;

constexpr std::int64_t max_rows(std::int64_t columns) { return columns == 1 ? 2 * kMaxRows : kMaxRows; }
constexpr std::int64_t max_columns(std::int64_t rows) { return 2 * rows <= kMaxRows ? 2 * kMaxTileColumns : kMaxTileColumns; }

/// `tiles` tiles of K x Q side by side, on every line.
template <class Scalar, bool Shared, int K, int Q>
void run_tiles(const TileJob& job, std::int64_t tiles) {
  using V = Vector<Scalar>;
  const std::int64_t w_k = job.w_k, x_q = job.x_q;
  const Tap* const taps_end = job.taps + job.tap_count;
  for (std::int64_t line = 0; line < job.lines; ++line) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      for (std::int64_t part = 0; part < job.parts; ++part) {
        const std::byte* x = job.x + line * job.x_line + tile * Q * x_q + part * kVectorBytes;
        const std::byte* w = job.w + (Shared ? 0 : part * kVectorBytes);
        std::byte* out = job.out + line * job.out_line + tile * Q * job.out_q + part * kVectorBytes;
        V sum[K][Q] = {};
        if (job.accumulate) {
#pragma GCC unroll 16
          for (int k = 0; k < K; ++k)
#pragma GCC unroll 16
            for (int q = 0; q < Q; ++q) sum[k][q] = *reinterpret_cast<const V*>(out + k * job.out_k + q * job.out_q);
        }
        for (std::int64_t channel = 0; channel < job.channels; ++channel) {
          for (const Tap* tap = job.taps; tap != taps_end; ++tap) {
            const std::byte* xt = x + tap->x;
            const std::byte* wt = w + tap->w;
            V b[K];
#pragma GCC unroll 16
            for (int k = 0; k < K; ++k) {
              if constexpr (Shared) b[k] = broadcast<Scalar>(*reinterpret_cast<const Scalar*>(wt + k * w_k));
              else b[k] = *reinterpret_cast<const V*>(wt + k * w_k);
            }
#pragma GCC unroll 16
            for (int q = 0; q < Q; ++q) {
              V a = *reinterpret_cast<const V*>(xt + q * x_q);
#if defined(__x86_64__)
              if constexpr (K > 1) asm("" : "+v"(a));  // else gcc reads it again for every sum
#endif
#pragma GCC unroll 16
              for (int k = 0; k < K; ++k) sum[k][q] += b[k] * a;
            }
          }
          x += job.x_channel;
          w += job.w_channel;
        }
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k)
#pragma GCC unroll 16
          for (int q = 0; q < Q; ++q) *reinterpret_cast<V*>(out + k * job.out_k + q * job.out_q) = sum[k][q];
      }
    }
  }
}

using RunTiles = void (*)(const TileJob&, std::int64_t);

/// Entry [k - 1][q - 1] is the tile of k rows and q columns, null where it is too large.
template <class Scalar, bool Shared>
struct Tiles {
  RunTiles entries[max_rows(1)][max_columns(1)] = {};

  template <int K, int Q>
  constexpr void fill() {
    if constexpr (K <= max_rows(Q) && Q <= max_columns(K)) entries[K - 1][Q - 1] = run_tiles<Scalar, Shared, K, Q>;
    if constexpr (Q > 1) fill<K, Q - 1>();
    else if constexpr (K > 1) fill<K - 1, max_columns(1)>();
  }
  constexpr Tiles() { fill<max_rows(1), max_columns(1)>(); }
};

template <class Scalar, bool Shared>
constexpr Tiles<Scalar, Shared> kTiles;

/// Splits `extent` into pieces of at most `most`, as even as they go: the first `large` of `size`, the others one less.
struct Split {
  std::int64_t pieces, size, large;
  Split(std::int64_t extent, std::int64_t most)
      : pieces((extent + most - 1) / most), size((extent + pieces - 1) / pieces), large(pieces - (pieces * size - extent)) {}
};

/// Asks for the rows of w that the next tile reads: a line in 16 multiplications, too seldom for the processor to foresee.
template <class Scalar>
void fetch_rows(const TileJob& job, std::int64_t rows) {
  constexpr std::int64_t kLine = 64, scalar = sizeof(Scalar);
  if (job.w_channel != scalar) return;
  for (std::int64_t k = rows; k < 2 * rows; ++k)
    for (std::int64_t at = 0; at < job.channels * scalar; at += kLine) __builtin_prefetch(job.w + k * job.w_k + at);
}

}  // namespace

template <class Scalar, bool Shared>
void multiply(const TileJob& whole, std::int64_t rows, std::int64_t columns) {
  const Split by_row(rows, max_rows(columns));
  TileJob job = whole;
  for (std::int64_t piece = 0; piece < by_row.pieces; ++piece) {
    const std::int64_t k = piece < by_row.large ? by_row.size : by_row.size - 1;
    const Split by_column(columns, max_columns(k));
    const RunTiles* const tiles = kTiles<Scalar, Shared>.entries[k - 1];
    job.x = whole.x;
    std::byte* const out = job.out;
    if (Shared && piece + 1 < by_row.pieces) fetch_rows<Scalar>(job, k);
    tiles[by_column.size - 1](job, by_column.large);
    if (by_column.large < by_column.pieces) {
      job.x += by_column.large * by_column.size * job.x_q;
      job.out += by_column.large * by_column.size * job.out_q;
      tiles[by_column.size - 2](job, by_column.pieces - by_column.large);
    }
    job.out = out + k * job.out_k;
    job.w += k * job.w_k;
  }
}

template void multiply<float, false>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<float, true>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<double, false>(const TileJob&, std::int64_t, std::int64_t);
template void multiply<double, true>(const TileJob&, std::int64_t, std::int64_t);

std::int64_t tile_rows(std::int64_t rows, std::int64_t columns) { return Split(rows, max_rows(columns)).size; }

}  // namespace gi::kernels::GI_ISA
