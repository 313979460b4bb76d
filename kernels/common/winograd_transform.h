// The two-sided products L X L' of Winograd's transforms, unrolled with their coefficients. Only for *_cpu.cpp files.
#pragma once

#include <utility>

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

template <class Scalar, class L, class V, class Store, int... R>
[[gnu::always_inline]] inline void rows_product(const V* x, Store store, std::integer_sequence<int, R...>) {
  (store(R, row_product<Scalar, L, R, 0, false>(x, V{})), ...);
}

/// store(r, s, number) for all numbers of L X L', X(i, j) = load(i, j).
template <class Scalar, class V, class L, class Load, class Store>
[[gnu::always_inline]] inline void transform(Load load, Store store) {
  constexpr std::make_integer_sequence<int, L::rows> rows;
  V half[L::rows][L::columns];
#pragma GCC unroll 8
  for (int j = 0; j < L::columns; ++j) {
    V x[L::columns];
#pragma GCC unroll 8
    for (int i = 0; i < L::columns; ++i) x[i] = load(i, j);
    rows_product<Scalar, L>(
        x, [&](int r, V v) { half[r][j] = v; }, rows);
  }
#pragma GCC unroll 8
  for (int r = 0; r < L::rows; ++r)
    rows_product<Scalar, L>(
        half[r], [&](int s, V v) { store(r, s, v); }, rows);
}

}  // namespace gi::kernels::GI_ISA
