// f32 products by Intel's AMX: a tile unit multiplies matrices of bf16 and adds in f32. Only for *_cpu.cpp files.
//
// A number is split in two, x = hi + lo, hi = bf16(x), lo = bf16(x - hi), and x y is taken as hi hi + hi lo + lo hi. What is lost
// is lo lo and the rounding of lo, about 2^-17 of x each: sums come out 4e-6 wrong (norm over norm), about ten times an f32 sum
// of hundreds of terms. Numbers below 1e-36 lose their lo, which would be denormal, and the unit takes denormals for zero.
//
//   out[m][n] (+)= sum over steps and their 32 terms of  a[m][step, term] * b[step, term][n]
//
// A tile is 16 rows of 64 bytes: of `a`, 32 terms of each of 16 rows; of `b`, 16 pairs of terms of each of 16 columns, the pair in
// neighbouring halves of 32 bits. Both lie in memory twice, hi and lo, at the same offsets.
#pragma once

#include "kernels/common/numbers.h"
#include "kernels/common/transpose.h"

namespace gi::kernels::GI_ISA {

inline constexpr std::int64_t kAmxRows = 16, kAmxTerms = 32;
inline constexpr std::int64_t kAmxRowBytes = 64;

#if defined(GI_AVX512)

/// Whether the processor has it and the system lets this process use it.
bool has_amx();

/// Where a step's tiles lie, in bytes.
struct AmxStep {
  std::int64_t a, b;
};

struct AmxJob {
  const std::byte *a_hi = nullptr, *a_lo = nullptr;
  std::int64_t a_row = kAmxRowBytes;  ///< from row to row of a tile
  std::int64_t a_tile = 0;            ///< from one tile of rows to the next
  const std::byte *b_hi = nullptr, *b_lo = nullptr;
  std::int64_t b_row = 0;   ///< from pair to pair of terms
  std::int64_t b_tile = 0;  ///< from 16 columns to the next
  const AmxStep* steps = nullptr;
  std::int64_t step_count = 0;
  float* out = nullptr;
  std::int64_t out_row = 0, out_tile = 0;  ///< numbers from row to row, and from one tile of rows to the next
  std::int64_t out_column = kAmxRows;      ///< from 16 columns to the next
  bool accumulate = false;
};

/// A thread's tiles are set up for as long as this lives.
class AmxTiles {
 public:
  AmxTiles();
  ~AmxTiles();
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  /// For `tiles` tiles of 16 rows and `columns` of 16 columns.
  void multiply(const AmxJob& job, std::int64_t tiles, std::int64_t columns) const;
};

/// `rounds` of products of tiles that wait for nothing; returns the flops done.
double amx_products(std::int64_t rounds);

/// 32 numbers as bf16: what each is rounded to, and what that lacks.
using Bf16 [[gnu::vector_size(64), gnu::aligned(2), gnu::may_alias]] = unsigned short;
struct Bf16Halves {
  Bf16 hi, lo;
};

[[gnu::always_inline]] inline Bf16 to_bf16(Vector<float> low, Vector<float> high) {
  Bf16 both;  // no intrinsic: those are for functions that are compiled for such processors only
  asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(both) : "v"(high), "v"(low));
  return both;
}

/// Numbers 16 * Half and on.
template <int Half, std::size_t... I>
[[gnu::always_inline]] inline Vector<float> from_bf16(Bf16 v, std::index_sequence<I...>) {
  using Wide [[gnu::vector_size(64)]] = unsigned;
  const Wide bits = __builtin_convertvector(__builtin_shufflevector(v, v, (16 * Half + I)...), Wide) << 16;
  return reinterpret_cast<Vector<float>>(bits);
}

/// 16 numbers and 16 more, in this order.
[[gnu::always_inline]] inline Bf16Halves split_row(Vector<float> low, Vector<float> high) {
  constexpr std::make_index_sequence<16> all;
  const Bf16 hi = to_bf16(low, high);
  return {hi, to_bf16(low - from_bf16<0>(hi, all), high - from_bf16<1>(hi, all))};
}

template <std::size_t... I>
[[gnu::always_inline]] inline Bf16 interleaved(Bf16 v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (I / 2 + I % 2 * 16)...);
}
/// first[0] second[0] first[1] second[1] ...
[[gnu::always_inline]] inline Bf16Halves split_pairs(Vector<float> first, Vector<float> second) {
  constexpr std::make_index_sequence<32> all;
  const Bf16Halves row = split_row(first, second);
  return {interleaved(row.hi, all), interleaved(row.lo, all)};
}

/// The first `count` numbers at p, then zeros.
[[gnu::always_inline]] inline Vector<float> load_some(const float* p, std::int64_t count) {
  const auto there = static_cast<__mmask16>((1u << at_most(at_least(count, 0), 16)) - 1);
  return reinterpret_cast<Vector<float>>(_mm512_maskz_loadu_ps(there, p));
}

/// 16 x 16 numbers of 32 bits, transposed.
[[gnu::always_inline]] inline void turn(Vector<float> (&a)[16]) {
  Vector<float> b[16];
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < 8; ++i) interleave<float>(a[i], a[i + 8], b + 2 * i);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = b[i];
  }
}

/// Where the halves of factors are written.
struct Halves {
  std::byte *hi, *lo;
  Halves operator+(std::int64_t bytes) const { return {hi + bytes, lo + bytes}; }
  [[gnu::always_inline]] void put(std::int64_t at, Bf16Halves halves) const {
    *reinterpret_cast<Bf16*>(hi + at) = halves.hi;
    *reinterpret_cast<Bf16*>(lo + at) = halves.lo;
  }
};

/// Rows for `a` of a matrix whose columns are terms: to[j][i] = from[i * step + j], 32 terms of which `count` are there; `row`
/// bytes from row to row.
void split_columns(const float* from, std::int64_t step, std::int64_t count, std::int64_t columns, Halves to, std::int64_t row);

/// Pairs for `b` of a matrix whose rows are columns: to[pair i][j] = from[j * step + 2 i], from[j * step + 2 i + 1], 16 rows of
/// which `rows` are there, 32 terms of which `count` are.
void split_rows_turned(const float* from, std::int64_t step, std::int64_t rows, std::int64_t count, Halves to, std::int64_t row);

#endif

}  // namespace gi::kernels::GI_ISA
