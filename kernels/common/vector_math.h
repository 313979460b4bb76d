// Elementary functions without branches, for scalars and vectors of float and double alike. Only for *_cpu.cpp files.
//
// Relative error of normal results below 2 ulp (exp, log, sqrt, rsqrt) or 3 ulp (tanh, sigmoid); infinities, NaN, signed
// zeros and denormals as in libm. V is a scalar or a GNU vector.
#pragma once

#include <cstdint>

#include "kernels/common/pack.h"

namespace gi::kernels::GI_ISA {

template <class V>
struct FloatFormat;

template <>
struct FloatFormat<float> {
  using Scalar = float;
  using Bits = std::uint32_t;
};
template <>
struct FloatFormat<double> {
  using Scalar = double;
  using Bits = std::uint64_t;
};
template <class V>
requires requires(V v) { v[0]; }
struct FloatFormat<V> {
  using Scalar = __typeof__(V{}[0] + 0);
  typedef typename FloatFormat<Scalar>::Bits Bits __attribute__((vector_size(sizeof(V))));
};

template <class Scalar>
struct FloatConstants;
template <>
struct FloatConstants<float> {
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kRound = 0x1.8p23f;  // x + kRound - kRound is x rounded; its low bits are the integer
  static constexpr float kLn2High = 0x1.63p-1f, kLn2Low = -0x1.bd0106p-13f;  // few bits above, so that n * high is exact
  static constexpr float kExpMax = 89.0f, kExpMin = -104.0f;                 // beyond: infinity, zero
  static constexpr float kMinNormal = 0x1p-126f, kFromDenormal = 0x1p24f, kFromDenormalExponent = 24;
  static constexpr int kExpTerms = 7, kLogTerms = 4;
  static constexpr float kTanhMax = 10.0f;
  static constexpr float kInfinity = __builtin_inff();
};
template <>
struct FloatConstants<double> {
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpMax = 710.0, kExpMin = -746.0;
  static constexpr double kMinNormal = 0x1p-1022, kFromDenormal = 0x1p54, kFromDenormalExponent = 54;
  static constexpr int kExpTerms = 13, kLogTerms = 10;
  static constexpr double kTanhMax = 20.0;
  static constexpr double kInfinity = __builtin_inf();
};
template <class V>
using ConstantsOf = FloatConstants<typename FloatFormat<V>::Scalar>;

inline constexpr double kInverseFactorial[] = {
    1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};

/// 2^n for integer n of a normal result.
template <class V>
[[gnu::always_inline]] inline V power_of_two(V n) {
  using C = ConstantsOf<V>;
  using Bits = typename FloatFormat<V>::Bits;
  return __builtin_bit_cast(V, __builtin_bit_cast(Bits, n + (C::kRound + C::kBias)) << C::kMantissa);
}

/// e^x = 2^n (1 + q) with q in about [-0.3, 0.42], q of full relative accuracy: the power series of e^r - 1.
template <class V>
struct ExpParts {
  V n, q;
};
template <class V>
[[gnu::always_inline]] inline ExpParts<V> exp_parts(V x) {
  using C = ConstantsOf<V>;
  using Scalar = typename FloatFormat<V>::Scalar;
  const V n = (x * Scalar(1.4426950408889634074) + C::kRound) - C::kRound;
  const V r = (x - n * C::kLn2High) - n * C::kLn2Low;
  V series = V{} + Scalar(kInverseFactorial[C::kExpTerms]);
#pragma GCC unroll 16
  for (int i = C::kExpTerms - 1; i >= 2; --i) series = series * r + Scalar(kInverseFactorial[i]);
  return {n, r + r * r * series};
}

template <class V>
[[gnu::always_inline]] inline V exp_of(V x) {
  using C = ConstantsOf<V>;
  using Scalar = typename FloatFormat<V>::Scalar;
  x = x > C::kExpMax ? V{} + C::kExpMax : x;  // false for NaN, which goes through
  x = x < C::kExpMin ? V{} + C::kExpMin : x;
  const auto [n, q] = exp_parts(x);
  const V half = (n * Scalar(0.5) + C::kRound) - C::kRound;  // 2^n itself may be no normal number
  return (Scalar(1) + q) * power_of_two(half) * power_of_two(V(n - half));
}

/// With m in [sqrt(1/2), sqrt(2)), f = m - 1 and s = f / (2 + f): log m = 2 atanh(s) = f - s (f - 2 (s^2/3 + s^4/5 + ...)).
template <class V>
[[gnu::always_inline]] inline V log_of(V x) {
  using C = ConstantsOf<V>;
  using Scalar = typename FloatFormat<V>::Scalar;
  using Bits = typename FloatFormat<V>::Bits;
  using BitScalar = typename FloatFormat<Scalar>::Bits;
  const auto denormal = x < C::kMinNormal;
  const Bits bits = __builtin_bit_cast(Bits, denormal ? x * C::kFromDenormal : x);
  constexpr BitScalar kSqrtHalf = __builtin_bit_cast(BitScalar, Scalar(0.70710678118654752440));
  constexpr BitScalar kExponent = BitScalar(C::kBias) << C::kMantissa;
  // The exponent's field, its unit the last bit but the mantissa's; for x below 0 and NaN it means nothing, nor does what follows.
  const Bits field = (bits - kSqrtHalf + kExponent) & ~((BitScalar(1) << C::kMantissa) - 1);
  const V m = __builtin_bit_cast(V, bits - (field - kExponent));
  constexpr Scalar kUnit = Scalar(BitScalar(1) << C::kMantissa);  // adding to its bits adds to its value
  const Bits unit = Bits{} + __builtin_bit_cast(BitScalar, kUnit);
  V e = __builtin_bit_cast(V, unit + (field >> C::kMantissa)) - (kUnit + Scalar(C::kBias));
  e = denormal ? e - C::kFromDenormalExponent : e;

  const V f = m - Scalar(1);
  const V s = f / (Scalar(2) + f), s2 = s * s;
  V series = V{} + Scalar(1.0 / (2 * C::kLogTerms + 1));
#pragma GCC unroll 16
  for (int i = C::kLogTerms - 1; i >= 1; --i) series = series * s2 + Scalar(1.0 / (2 * i + 1));
  const V log_m = f - s * (f - Scalar(2) * s2 * series);
  V y = e * C::kLn2High + (e * C::kLn2Low + log_m);
  y = x < C::kInfinity ? y : x;  // infinity and NaN
  y = x == Scalar(0) ? V{} - C::kInfinity : y;
  return x < Scalar(0) ? V{} + Scalar(__builtin_nan("")) : y;
}

template <class V>
[[gnu::always_inline]] inline V abs_of(V x) {
  using Bits = typename FloatFormat<V>::Bits;
  using BitScalar = typename FloatFormat<typename FloatFormat<V>::Scalar>::Bits;
  constexpr BitScalar kAllButSign = ~(BitScalar(1) << (sizeof(BitScalar) * 8 - 1));
  return __builtin_bit_cast(V, __builtin_bit_cast(Bits, x) & kAllButSign);
}

/// `magnitude`, which is not negative, with the sign of x.
template <class V>
[[gnu::always_inline]] inline V with_sign_of(V x, V magnitude) {
  using Bits = typename FloatFormat<V>::Bits;
  using BitScalar = typename FloatFormat<typename FloatFormat<V>::Scalar>::Bits;
  constexpr BitScalar kSign = BitScalar(1) << (sizeof(BitScalar) * 8 - 1);
  return __builtin_bit_cast(V, (__builtin_bit_cast(Bits, x) & kSign) | __builtin_bit_cast(Bits, magnitude));
}

/// tanh |x| = d / (d + 2) with d = e^(2|x|) - 1, which is as accurate for small x as for large.
template <class V>
[[gnu::always_inline]] inline V tanh_of(V x) {
  using C = ConstantsOf<V>;
  using Scalar = typename FloatFormat<V>::Scalar;
  V y = abs_of(x);
  y = y > C::kTanhMax ? V{} + C::kTanhMax : y;
  const auto [n, q] = exp_parts(V(y + y));
  const V power = power_of_two(n);
  const V d = power * q + (power - Scalar(1));
  return with_sign_of(x, V(d / (d + Scalar(2))));
}

template <class V>
[[gnu::always_inline]] inline V sigmoid_of(V x) {
  using Scalar = typename FloatFormat<V>::Scalar;
  const V e = exp_of(V(-abs_of(x)));
  const V y = Scalar(1) / (Scalar(1) + e);
  return x < Scalar(0) ? e * y : y;
}

template <class V>
[[gnu::always_inline]] inline V sqrt_of(V x) {
  if constexpr (sizeof(V) == sizeof(typename FloatFormat<V>::Scalar)) {
    if constexpr (sizeof(V) == 4) return __builtin_sqrtf(x);
    else return __builtin_sqrt(x);
  } else {
    V y;
    for (std::size_t i = 0; i < sizeof(V) / sizeof(x[0]); ++i) y[i] = sqrt_of(x[i]);
    return y;
  }
}

}  // namespace gi::kernels::GI_ISA
