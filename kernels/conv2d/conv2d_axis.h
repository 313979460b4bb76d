// conv2d and conv2d_grad_input as one operation, an axis at a time. Only for *_cpu.cpp files.
//
// Both gather: an output at index i of phase f (place i * phases + f) is a sum over filter taps of the source at
// i * step + offset(tap). Forward has one phase and steps by the stride; the adjoint steps by one and has `stride`
// phases, each with the taps that fall on it.
#pragma once

#include "kernels/common/numbers.h"

namespace gi::kernels::GI_ISA {

struct ConvAxis {
  std::int64_t source, dest;  ///< extents
  std::int64_t filter, stride, pad;
  bool adjoint;

  std::int64_t phases() const { return adjoint ? stride : 1; }
  std::int64_t step() const { return adjoint ? 1 : stride; }
  /// Indices of one phase.
  std::int64_t count(std::int64_t phase) const { return (dest - phase + phases() - 1) / phases(); }

  std::int64_t phase(std::int64_t tap) const { return adjoint ? tap - pad - floor_of(tap - pad) * stride : 0; }
  /// The taps of a phase are this one and every phases()-th from there on.
  std::int64_t first_tap(std::int64_t phase) const { return adjoint ? (phase + pad) % stride : 0; }
  std::int64_t taps(std::int64_t phase) const {
    const std::int64_t first = first_tap(phase);
    return first >= filter ? 0 : (filter - first + phases() - 1) / phases();
  }
  std::int64_t offset(std::int64_t tap) const { return adjoint ? -floor_of(tap - pad) : tap - pad; }
  std::int64_t lowest() const { return offset(adjoint ? filter - 1 : 0); }
  std::int64_t highest() const { return offset(adjoint ? 0 : filter - 1); }
  /// How far apart the source places of one output lie.
  std::int64_t spread() const { return highest() - lowest(); }
  /// Source places that `indices` neighbouring indices of any phase read: from first * step + lowest() on.
  std::int64_t window(std::int64_t indices) const { return (indices - 1) * step() + spread() + 1; }

 private:
  std::int64_t floor_of(std::int64_t a) const { return a >= 0 ? a / stride : -((stride - 1 - a) / stride); }
};

}  // namespace gi::kernels::GI_ISA
