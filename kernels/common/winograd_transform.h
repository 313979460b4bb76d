// The two-sided products L X L' of Winograd's transforms, unrolled with their coefficients. Only for *_cpu.cpp files.
#pragma once

#include "kernels/common/pack.h"
#include "kernels/common/winograd_matrices.h"

namespace gi::kernels::GI_ISA {

/// What lies between an image and the products: a window of the image of `window` numbers a side meets side x side products.
template <int M, bool Input>
struct ImageSide {
  static constexpr int tile = M, side = M + 2, window = Input ? side : M;
  struct ToProducts {
    static constexpr int rows = side, columns = window;
    static constexpr double at(int i, int j) { return Input ? winograd_b(M, i, j) : winograd_a(M, j, i); }
  };
  struct FromProducts {
    static constexpr int rows = window, columns = side;
    static constexpr double at(int i, int j) { return ToProducts::at(j, i); }
  };
};

template <int M>
struct FilterSide {
  static constexpr int side = M + 2;
  struct ToProducts {
    static constexpr int rows = side, columns = 3;
    static constexpr double at(int i, int j) { return winograd_g(M, i, j); }
  };
  struct FromProducts {
    static constexpr int rows = 3, columns = side;
    static constexpr double at(int i, int j) { return winograd_g(M, j, i); }
  };
};

/// sum over j >= J of L(R, j) x[j], added to `sum` if that has begun.
template <class Scalar, class L, int R, int J, bool Begun, class V>
[[gnu::always_inline]] inline V row_product(const V* x, V sum) {
  if constexpr (J == L::columns) {
    return sum;
  } else {
    constexpr double k = L::at(R, J);
    if constexpr (k == 0) return row_product<Scalar, L, R, J + 1, Begun>(x, sum);
    else if constexpr (!Begun) return row_product<Scalar, L, R, J + 1, true>(x, k == 1 ? x[J] : x[J] * static_cast<Scalar>(k));
    else if constexpr (k == 1) return row_product<Scalar, L, R, J + 1, true>(x, sum + x[J]);
    else if constexpr (k == -1) return row_product<Scalar, L, R, J + 1, true>(x, sum - x[J]);
    else return row_product<Scalar, L, R, J + 1, true>(x, sum + x[J] * static_cast<Scalar>(k));
  }
}

/// Whether a[j] and b[j] are alike but for their signs, some of which differ: sums and differences do for both.
template <int N>
constexpr bool mirrored(const double (&a)[N], const double (&b)[N]) {
  bool same = false, opposite = false;
  for (int j = 0; j < N; ++j) {
    if (a[j] != b[j] && a[j] != -b[j]) return false;
    if (a[j] != 0) (a[j] == b[j] ? same : opposite) = true;
  }
  return same && opposite;
}
template <class L>
constexpr bool mirrored_rows(int r) {
  double a[L::columns]{}, b[L::columns]{};
  for (int j = 0; j < L::columns; ++j) a[j] = L::at(r, j), b[j] = r + 1 < L::rows ? L::at(r + 1, j) : 0;
  return mirrored(a, b);
}
template <class L>
constexpr bool mirrored_columns(int j) {
  double a[L::rows]{}, b[L::rows]{};
  for (int r = 0; r < L::rows; ++r) a[r] = L::at(r, j), b[r] = j + 1 < L::columns ? L::at(r, j + 1) : 0;
  return mirrored(a, b);
}

/// L for numbers of which those of mirrored columns are replaced by their sum and their difference.
template <class L>
struct Folded {
  static constexpr int rows = L::rows, columns = L::columns;
  static constexpr double at(int i, int j) {
    if (j > 0 && mirrored_columns<L>(j - 1)) return L::at(i, j - 1) == L::at(i, j) ? 0 : L::at(i, j - 1);
    return mirrored_columns<L>(j) && L::at(i, j) != L::at(i, j + 1) ? 0 : L::at(i, j);
  }
};
/// What row i of L has in common with the next one, or what it has with its signs turned.
template <class L, bool Common>
struct Shared {
  static constexpr int rows = L::rows, columns = L::columns;
  static constexpr double at(int i, int j) { return (L::at(i, j) == L::at(i + 1, j)) == Common ? L::at(i, j) : 0; }
};

template <class Scalar, class L, int R, class V, class Store>
[[gnu::always_inline]] inline void rows_from(const V* x, Store& store) {
  if constexpr (R < L::rows) {
    constexpr bool pair = mirrored_rows<L>(R);
    if constexpr (pair) {
      const V common = row_product<Scalar, Shared<L, true>, R, 0, false>(x, V{});
      const V turned = row_product<Scalar, Shared<L, false>, R, 0, false>(x, V{});
      store(R, common + turned);
      store(R + 1, common - turned);
    } else {
      store(R, row_product<Scalar, L, R, 0, false>(x, V{}));
    }
    rows_from<Scalar, L, R + (pair ? 2 : 1)>(x, store);
  }
}
template <class L, int J, class V>
[[gnu::always_inline]] inline void fold(const V* x, V* to) {
  if constexpr (J < L::columns) {
    constexpr bool pair = mirrored_columns<L>(J);
    to[J] = pair ? x[J] + x[J + pair] : x[J];
    if constexpr (pair) to[J + 1] = x[J] - x[J + 1];
    fold<L, J + (pair ? 2 : 1)>(x, to);
  }
}

/// store(r, sum over j of L(r, j) x[j]) for all rows.
template <class Scalar, class L, class V, class Store>
[[gnu::always_inline]] inline void rows_product(const V* x, Store store) {
  V folded[L::columns];
  fold<L, 0>(x, folded);
  rows_from<Scalar, Folded<L>, 0>(folded, store);
}

/// store(r, s, number) for all numbers of L X L', X(i, j) = load(i, j).
template <class Scalar, class V, class L, class Load, class Store>
[[gnu::always_inline]] inline void transform(Load load, Store store) {
  V half[L::rows][L::columns];
#pragma GCC unroll 8
  for (int j = 0; j < L::columns; ++j) {
    V x[L::columns];
#pragma GCC unroll 8
    for (int i = 0; i < L::columns; ++i) x[i] = load(i, j);
    rows_product<Scalar, L>(x, [&](int r, V v) { half[r][j] = v; });
  }
#pragma GCC unroll 8
  for (int r = 0; r < L::rows; ++r) rows_product<Scalar, L>(half[r], [&](int s, V v) { store(r, s, v); });
}

}  // namespace gi::kernels::GI_ISA
