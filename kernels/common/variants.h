// What the tables of kernels share: a kernel is a template over Real, listed once for each of its four number types.
// Helpers stand here and not in kernels/api/ because an inline function there would be shared by the instruction sets.
#pragma once

#include "kernels/common/families.h"
#include "kernels/common/numbers.h"
#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

template <class Real>
inline constexpr DType kDTypeOf = sizeof(ScalarOf<Real>) == 4 ? DType::f32 : DType::f64;
template <class Real>
inline constexpr int kLanesOf = RealTraits<Real>::lanes;

/// Table entries of `run`, `declines`, `scratch` and `parts`, templates over Real (declines, scratch, parts: over Real, or
/// nullptr).
#define GI_KERNEL_VARIANT(op, name, Real, declines, scratch, run, parts) \
  Kernel { op, name, kIsa, kDTypeOf<Real>, kLanesOf<Real>, declines<Real>, scratch<Real>, run<Real>, parts<Real> }
#define GI_KERNEL_VARIANTS(op, name, declines, scratch, run, parts)        \
  GI_KERNEL_VARIANT(op, name, PackF32, declines, scratch, run, parts),     \
      GI_KERNEL_VARIANT(op, name, PackF64, declines, scratch, run, parts), \
      GI_KERNEL_VARIANT(op, name, float, declines, scratch, run, parts),   \
      GI_KERNEL_VARIANT(op, name, double, declines, scratch, run, parts)

using PackF32 = Pack<float, kLanes>;
using PackF64 = Pack<double, kLanes>;

template <class Real>
std::size_t no_scratch(const Problem&) {
  return 0;
}
template <class Real>
std::int64_t one_part(const Problem&) {
  return 1;
}
/// Channels [T,N,C,...] of every trial.
template <class Real>
std::int64_t channel_parts(const Problem& problem) {
  return problem.out.data()[0].dims[0] * problem.out.data()[0].dims[2];
}

inline bool dense_from(const Layout& v, int first) {
  std::int64_t expected = 1;
  for (int i = static_cast<int>(v.rank) - 1; i >= first; --i) {
    if (v.dims[i] != 1 && v.strides[i] != expected) return false;
    expected *= v.dims[i];
  }
  return true;
}

/// Numbers of one trial (block).
inline std::int64_t numbers_per_block(const Layout& v) {
  std::int64_t n = 1;
  for (int i = 1; i < v.rank; ++i) n *= v.dims[i];
  return n;
}

/// Numbers from one trial (block) to the next; 0 where all read the same.
inline std::int64_t block_stride(const Layout& v) { return v.dims[0] == 1 ? 0 : v.strides[0]; }

/// What a machine register holds of a number: all of it, or one of the kPartsOf<Real> parts of a pack. A pack of doubles is no
/// machine type: element by element g++ makes comparisons of it, and keeps it in memory.
template <class Real>
struct PartOf {
  using type = Real;
};
template <class Real>
requires(1 < kLanesOf<Real>) struct PartOf<Real> {
  using type = Vector<ScalarOf<Real>>;
};
template <class Real>
using Part = typename PartOf<Real>::type;
template <class Real>
inline constexpr std::int64_t kPartsOf = sizeof(Real) / sizeof(Part<Real>);

/// Operands of this number type, dense from axis 1 on, none shared in a kernel of packs.
template <class Real>
const char* declines_unless_plain(const Problem& problem) {
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in.data()[i];
    if (v.dtype != kDTypeOf<Real>) return "an operand has another dtype";
    if (v.lanes != kLanesOf<Real>) return "an operand is shared by the trials";
    if (!dense_from(v, 1)) return "an operand has gaps or broadcasts";
  }
  return nullptr;
}

/// The trial's part of an operand.
template <class Real>
const Real* block_of(const ConstView& v, std::int64_t t) {
  return static_cast<const Real*>(v.data) + t * block_stride(v);
}
template <class Real>
Real* block_of(const View& v, std::int64_t t) {
  return static_cast<Real*>(v.data) + t * block_stride(v);
}

}  // namespace gi::kernels::GI_ISA
