// Atomics, bits and arithmetic of CUDA C++. Part of emulator.h.
//
// Atomics are relaxed, as on the device: what other threads may read after one needs a fence or a barrier besides.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace gi::emu {

/// *address = change(*address); the old value. Floating-point numbers are out: the order of their sums would be chance.
template <class Int, class Change>
Int atomic_change(Int* address, Change change) {
  static_assert(std::is_integral_v<Int>, "no atomics on floating-point numbers: see kernels/common/cuda.h");
  const std::atomic_ref<Int> at(*address);
  Int old = at.load(std::memory_order_relaxed);
  while (!at.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
  }
  return old;
}

}  // namespace gi::emu

template <class Int>
Int atomicAdd(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return static_cast<Int>(old + value); });
}
template <class Int>
Int atomicMax(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return old < value ? value : old; });
}
template <class Int>
Int atomicMin(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return value < old ? value : old; });
}
template <class Int>
Int atomicOr(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return static_cast<Int>(old | value); });
}
template <class Int>
Int atomicAnd(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return static_cast<Int>(old & value); });
}
template <class Int>
Int atomicExch(Int* address, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int) { return value; });
}
template <class Int>
Int atomicCAS(Int* address, std::type_identity_t<Int> expected, std::type_identity_t<Int> value) {
  return gi::emu::atomic_change(address, [=](Int old) { return old == expected ? value : old; });
}

template <class Value>
Value __ldg(const Value* address) {
  return *address;
}
template <class Value>
Value __ldcg(const Value* address) {
  return *address;
}

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }

// CUDA has the overloads for float where C has functions of double.
using std::abs, std::ceil, std::copysign, std::cos, std::exp, std::expm1, std::fabs, std::floor, std::fma, std::fmax, std::fmin,
    std::isinf, std::isnan, std::log, std::log1p, std::pow, std::rint, std::round, std::sin, std::sqrt, std::tanh, std::trunc;
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
template <class Value>
constexpr Value max(Value a, std::type_identity_t<Value> b) {
  return a < b ? b : a;
}
template <class Value>
constexpr Value min(Value a, std::type_identity_t<Value> b) {
  return b < a ? b : a;
}
