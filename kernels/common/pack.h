// A pack: the numbers of several trials side by side, which kernels treat as one number. Only for *_cpu.cpp files.
#pragma once

#ifndef GI_ISA
#error "kernels/common/pack.h is compiled once per instruction set; GI_ISA names it"
#endif

#include "kernels/api/kernel.h"

// Not where tests have these kernels made of other instructions (GI_AVX512_LEVEL).
#if defined(GI_ISA_IS_avx512) && defined(__AVX512F__)
#define GI_AVX512 1
#endif

namespace gi::kernels::GI_ISA {

#if defined(GI_ISA_IS_avx512)
inline constexpr Isa kIsa = Isa::avx512;
inline constexpr int kVectorRegisters = 32;
#elif defined(GI_ISA_IS_avx2)
inline constexpr Isa kIsa = Isa::avx2;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr Isa kIsa = Isa::portable;
inline constexpr int kVectorRegisters = 16;
#endif

/// Trials in a pack.
inline constexpr int kLanes = static_cast<int>(pack_lanes(kIsa));

template <class Scalar, int L>
struct PackOf {
  typedef Scalar type __attribute__((vector_size(sizeof(Scalar) * L)));
};
template <class Scalar, int L>
using Pack = typename PackOf<Scalar, L>::type;

/// What a kernel template over `Real` needs to know of its number type.
template <class Real>
struct RealTraits {  // float, double: one trial
  using Scalar = Real;
  static constexpr int lanes = 1;
};
template <>
struct RealTraits<Pack<float, kLanes>> {
  using Scalar = float;
  static constexpr int lanes = kLanes;
};
template <>
struct RealTraits<Pack<double, kLanes>> {
  using Scalar = double;
  static constexpr int lanes = kLanes;
};
template <class Real>
using ScalarOf = typename RealTraits<Real>::Scalar;

template <class Real>
inline Real splat(ScalarOf<Real> value) {
  return Real{} + value;
}

/// The same number in f64, lane by lane; what sums accumulate in.
template <class Real>
struct WideOf {
  using type = double;
};
template <>
struct WideOf<Pack<float, kLanes>> {
  using type = Pack<double, kLanes>;
};
template <>
struct WideOf<Pack<double, kLanes>> {
  using type = Pack<double, kLanes>;
};
template <class Real>
using Wide = typename WideOf<Real>::type;

template <class Real>
inline Wide<Real> widen(Real x) {
  if constexpr (RealTraits<Real>::lanes == 1) return x;
  else return __builtin_convertvector(x, Wide<Real>);
}
template <class Real>
inline Real narrow(Wide<Real> x) {
  if constexpr (RealTraits<Real>::lanes == 1) return static_cast<Real>(x);
  else return __builtin_convertvector(x, Real);
}

}  // namespace gi::kernels::GI_ISA
