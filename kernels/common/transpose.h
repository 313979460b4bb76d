// Transposition of a block of numbers through registers. Only for *_cpu.cpp files.
#pragma once

#include <cstring>
#include <utility>

#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

/// Elements 0, n, 1, n+1, ... of (a, b), starting in their middle if High.
template <class Scalar, bool High, std::size_t... I>
[[gnu::always_inline]] inline Vector<Scalar> interleave(Vector<Scalar> a, Vector<Scalar> b, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I), first = High ? n / 2 : 0;
  return __builtin_shufflevector(a, b, (first + I / 2 + I % 2 * n)...);
}

/// The first `count` numbers at p, then zeros.
template <class Scalar>
inline Vector<Scalar> load_first(const Scalar* p, std::int64_t count) {
  Vector<Scalar> v{};
  std::memcpy(&v, p, count * sizeof(Scalar));
  return v;
}

/// Squares of kElements a side, of which the first `rows` and `columns` are there.
template <class Scalar, bool Add, bool Whole>
[[gnu::always_inline]] inline void transpose_square(const Scalar* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns,
                                                    bool readable, Scalar* to, std::int64_t to_step) {
  constexpr int n = kElements<Scalar>;
  constexpr auto lanes = std::make_index_sequence<n>{};
  Vector<Scalar> a[n] = {}, b[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    if (Whole || i < rows) {
      if (Whole || readable) a[i] = *reinterpret_cast<const Vector<Scalar>*>(from + i * from_step);
      else a[i] = load_first(from + i * from_step, columns);
    }
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
  for (int i = 0; i < n; ++i)
    if (Whole || i < columns) {
      Scalar* const row = to + i * to_step;
      if (Whole || rows == n) {
        if (Add) a[i] += *reinterpret_cast<const Vector<Scalar>*>(row);
        *reinterpret_cast<Vector<Scalar>*>(row) = a[i];
      } else {
        if (Add) a[i] += load_first(row, rows);
        std::memcpy(row, &a[i], rows * sizeof(Scalar));
      }
    }
}

/// to[j][i] (+)= from[i][j] for i < rows, j < columns; steps in numbers. Rows of `from` may be read up to `readable`.
template <class Scalar, bool Add>
void transpose(const Scalar* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, std::int64_t readable, Scalar* to,
               std::int64_t to_step) {
  constexpr std::int64_t n = kElements<Scalar>;
  for (std::int64_t j = 0; j < columns; j += n)
    for (std::int64_t i = 0; i < rows; i += n) {
      const Scalar* const corner = from + i * from_step + j;
      Scalar* const target = to + j * to_step + i;
      if (i + n <= rows && j + n <= columns) transpose_square<Scalar, Add, true>(corner, from_step, n, n, true, target, to_step);
      else
        transpose_square<Scalar, Add, false>(corner, from_step, rows - i < n ? rows - i : n, columns - j < n ? columns - j : n,
                                             j + n <= readable, target, to_step);
    }
}

}  // namespace gi::kernels::GI_ISA
