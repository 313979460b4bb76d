// Walking over a run of numbers kLanes scalars at a time, whatever the numbers are. Trials in the lanes: a step is one
// number. One trial: a step is kLanes consecutive scalars, the last ones fewer, and sums are folded over the lanes at
// the end, in an order that depends on the run's length alone.
#pragma once

#include "kernels/common/variants.h"

namespace gi::kernels::GI_ISA {

struct WholeStep {
  static constexpr std::int64_t scalars = kLanes;
};
struct PartStep {
  std::int64_t scalars;
};

template <class Real>
using StepOf = Pack<ScalarOf<Real>, kLanes>;
using WideStep = PackF64;

/// body(offset, step) over n numbers; `offset` counts numbers.
template <class Real, class Body>
[[gnu::always_inline]] inline void for_each_step(std::int64_t n, Body body) {
  if constexpr (kLanesOf<Real> > 1) {
    for (std::int64_t i = 0; i < n; ++i) body(i, WholeStep{});
  } else {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) body(i, WholeStep{});
    if (i < n) body(i, PartStep{n - i});
  }
}

/// The scalars of a step; those that a part lacks are zero.
template <class Real>
[[gnu::always_inline]] inline StepOf<Real> load(const Real* p, WholeStep) {
  StepOf<Real> v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
template <class Real>
[[gnu::always_inline]] inline StepOf<Real> load(const Real* p, PartStep step) {
  StepOf<Real> v{};
  for (std::int64_t i = 0; i < step.scalars; ++i) v[i] = reinterpret_cast<const ScalarOf<Real>*>(p)[i];
  return v;
}
template <class V>
[[gnu::always_inline]] inline V only(WholeStep, V v) { return v; }
template <class V>
[[gnu::always_inline]] inline V only(PartStep step, V v) {
  for (std::int64_t i = step.scalars; i < kLanes; ++i) v[i] = 0;
  return v;
}
template <class Real>
[[gnu::always_inline]] inline void store(Real* p, WholeStep, StepOf<Real> v) {
  __builtin_memcpy(p, &v, sizeof(v));
}
template <class Real>
[[gnu::always_inline]] inline void store(Real* p, PartStep step, StepOf<Real> v) {
  for (std::int64_t i = 0; i < step.scalars; ++i) reinterpret_cast<ScalarOf<Real>*>(p)[i] = v[i];
}

template <class Step>
[[gnu::always_inline]] inline WideStep widen_step(Step v) { return __builtin_convertvector(v, WideStep); }
template <class Real>
[[gnu::always_inline]] inline StepOf<Real> narrow_step(WideStep v) { return __builtin_convertvector(v, StepOf<Real>); }

/// The sum a run's steps amount to: of each trial in the lanes, or of all lanes.
template <class Real>
inline Wide<Real> fold(WideStep sums) {
  if constexpr (kLanesOf<Real> > 1) {
    return sums;
  } else {
    double s[kLanes];
    __builtin_memcpy(s, &sums, sizeof(s));
    for (int width = kLanes / 2; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) s[i] += s[i + width];
    return s[0];
  }
}

/// A trial's number in every lane that works for it.
template <class Real>
[[gnu::always_inline]] inline WideStep spread(Wide<Real> x) {
  if constexpr (kLanesOf<Real> > 1) return x;
  else return x - WideStep{};
}

}  // namespace gi::kernels::GI_ISA
