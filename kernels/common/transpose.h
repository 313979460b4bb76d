// Numbers put in another order through registers. Only for *_cpu.cpp files.
#pragma once

#include <cstring>
#include <utility>

#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

/// Element i is element pattern(i) of a followed by b.
template <class Scalar, class Pattern, std::size_t... I>
[[gnu::always_inline]] inline Vector<Scalar> pick(Vector<Scalar> a, Vector<Scalar> b, Pattern pattern, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, pattern(I)...);
}
template <class Scalar, class Pattern>
[[gnu::always_inline]] inline Vector<Scalar> pick(Vector<Scalar> a, Vector<Scalar> b, Pattern pattern) {
  return pick<Scalar>(a, b, pattern, std::make_index_sequence<kElements<Scalar>>{});
}

/// a0 b0 a1 b1 ...
template <class Scalar>
[[gnu::always_inline]] inline void interleave(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar>* out) {
  constexpr std::size_t n = kElements<Scalar>;
  out[0] = pick<Scalar>(a, b, [](std::size_t i) { return i / 2 + i % 2 * n; });
  out[1] = pick<Scalar>(a, b, [](std::size_t i) { return n / 2 + i / 2 + i % 2 * n; });
}

/// Numbers 0, 2, 4, ... and 1, 3, 5, ... of a followed by b.
template <class Scalar>
[[gnu::always_inline]] inline void separate(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar>& even, Vector<Scalar>& odd) {
  even = pick<Scalar>(a, b, [](std::size_t i) { return 2 * i; });
  odd = pick<Scalar>(a, b, [](std::size_t i) { return 2 * i + 1; });
}

template <class Scalar>
[[gnu::always_inline]] inline Scalar sum_of(Vector<Scalar> v) {
  constexpr std::size_t n = kElements<Scalar>;
  if constexpr (n > 8) v += pick<Scalar>(v, v, [](std::size_t i) { return i ^ 8; });
  if constexpr (n > 4) v += pick<Scalar>(v, v, [](std::size_t i) { return i ^ 4; });
  if constexpr (n > 2) v += pick<Scalar>(v, v, [](std::size_t i) { return i ^ 2; });
  return v[0] + v[1];
}

/// The first `count` numbers at p, then zeros.
template <class Scalar>
inline Vector<Scalar> load_first(const Scalar* p, std::int64_t count) {
  Vector<Scalar> v{};
  std::memcpy(&v, p, count * sizeof(Scalar));
  return v;
}

/// A matrix by rows: `step` numbers apart, each of which may be read and written up to `width`.
template <class Scalar>
struct Rows {
  Scalar* data;
  std::int64_t step, width;
};

/// One square of kElements a side, of which the first `rows` and `columns` are there. Column i goes to row(i), which may be written
/// up to `width`.
template <class Scalar, bool Add, bool Whole, class Row>
[[gnu::always_inline]] inline void transpose_square(Rows<const Scalar> from, std::int64_t rows, std::int64_t columns,
                                                    std::int64_t width, Row row) {
  constexpr int n = kElements<Scalar>;
  Vector<Scalar> a[n] = {}, b[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    if (Whole || i < rows) {
      const Scalar* const p = from.data + i * from.step;
      a[i] = Whole || from.width >= n ? *reinterpret_cast<const Vector<Scalar>*>(p) : load_first(p, columns);
    }
    // Each round interleaves row i with row i + n/2: a perfect shuffle of the n^2 numbers, log2(n) of which transpose.
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) interleave<Scalar>(a[i], a[i + n / 2], b + 2 * i);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    if (Whole || i < columns) {
      Scalar* const p = row(i);
      if (Whole || width >= n) {
        if (Add) a[i] += *reinterpret_cast<const Vector<Scalar>*>(p);
        *reinterpret_cast<Vector<Scalar>*>(p) = a[i];
      } else {
        if (Add) a[i] += load_first(p, rows);
        std::memcpy(p, &a[i], rows * sizeof(Scalar));
      }
    }
}

/// to[j][i] (+)= from[i][j] for i < rows, j < columns. What `to` is wider than `rows` by, up to a whole vector, becomes 0.
template <class Scalar, bool Add>
void transpose(Rows<const Scalar> from, std::int64_t rows, std::int64_t columns, Rows<Scalar> to) {
  constexpr std::int64_t n = kElements<Scalar>;
  for (std::int64_t j = 0; j < columns; j += n)
    for (std::int64_t i = 0; i < rows; i += n) {
      const Rows<const Scalar> corner{from.data + i * from.step + j, from.step, from.width - j};
      Scalar* const target = to.data + j * to.step + i;
      const auto row = [target, step = to.step](int k) { return target + k * step; };
      if (i + n <= rows && j + n <= columns) transpose_square<Scalar, Add, true>(corner, n, n, n, row);
      else
        transpose_square<Scalar, Add, false>(corner, rows - i < n ? rows - i : n, columns - j < n ? columns - j : n, to.width - i,
                                             row);
    }
}

}  // namespace gi::kernels::GI_ISA
