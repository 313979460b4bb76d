// Transposition of a block of numbers through registers. Only for *_cpu.cpp files.
#pragma once

#include <utility>

#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

/// Elements 0, n, 1, n+1, ... of (a, b), starting in their middle if High.
template <class Scalar, bool High, std::size_t... I>
[[gnu::always_inline]] inline Vector<Scalar> interleave(Vector<Scalar> a, Vector<Scalar> b, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I), first = High ? n / 2 : 0;
  return __builtin_shufflevector(a, b, (first + I / 2 + I % 2 * n)...);
}

/// to[j][i] (+)= from[i][j] for one square of kElements numbers a side, steps in numbers.
template <class Scalar, bool Add>
[[gnu::always_inline]] inline void transpose_square(const Scalar* from, std::int64_t from_step, Scalar* to, std::int64_t to_step) {
  constexpr int n = kElements<Scalar>;
  constexpr auto lanes = std::make_index_sequence<n>{};
  Vector<Scalar> a[n], b[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) a[i] = *reinterpret_cast<const Vector<Scalar>*>(from + i * from_step);
  // Each round interleaves row i with row i + n/2: a perfect shuffle of the n^2 numbers, log2(n) of which transpose.
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      b[2 * i] = interleave<Scalar, false>(a[i], a[i + n / 2], lanes);
      b[2 * i + 1] = interleave<Scalar, true>(a[i], a[i + n / 2], lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    auto& row = *reinterpret_cast<Vector<Scalar>*>(to + i * to_step);
    row = Add ? row + a[i] : a[i];
  }
}

/// to[j][i] (+)= from[i][j] for i < rows, j < columns.
template <class Scalar, bool Add>
void transpose(const Scalar* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, Scalar* to, std::int64_t to_step) {
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t whole_rows = rows - rows % n, whole_columns = columns - columns % n;
  for (std::int64_t i = 0; i < whole_rows; i += n)
    for (std::int64_t j = 0; j < whole_columns; j += n) transpose_square<Scalar, Add>(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) to[j * to_step + i] = (Add ? to[j * to_step + i] : Scalar(0)) + from[i * from_step + j];
}

}  // namespace gi::kernels::GI_ISA
