// Walking over a run of numbers kLanes scalars at a time, whatever the numbers are. Trials in the lanes: a step is one
// number. One trial: a step is kLanes consecutive scalars, the last ones fewer, and sums are folded over the lanes at
// the end, in an order that depends on the run's length alone.
#pragma once

#include "kernels/common/variants.h"
#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

struct WholeStep {
  static constexpr std::int64_t scalars = kLanes;
};
struct PartStep {
  std::int64_t scalars;
};

/// A step in f64. A pack of doubles is no machine type, the two registers it fills are: sums kept as packs live in memory.
struct WideStep {
  Vector<double> part[2];

#define GI_STEPWISE(op)                                                                                                          \
  [[gnu::always_inline]] friend inline WideStep operator op(WideStep a, WideStep b) {                                            \
    return {{a.part[0] op b.part[0], a.part[1] op b.part[1]}};                                                                   \
  }                                                                                                                              \
  [[gnu::always_inline]] friend inline WideStep operator op(WideStep a, double b) { return {{a.part[0] op b, a.part[1] op b}}; } \
  [[gnu::always_inline]] inline WideStep& operator op##=(WideStep b) { return *this = *this op b; }
  GI_STEPWISE(+)
  GI_STEPWISE(-)
  GI_STEPWISE(*)
#undef GI_STEPWISE
};
static_assert(kParts<double> == 2);

/// Numbers in a step.
template <class Real>
inline constexpr std::int64_t kStep = kLanes / kLanesOf<Real>;

/// body(offset, step) over n numbers; `offset` counts numbers.
template <class Real, class Body>
[[gnu::always_inline]] inline void for_each_step(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + kStep<Real> <= n; i += kStep<Real>) body(i, WholeStep{});
  if constexpr (1 < kStep<Real>)
    if (i < n) body(i, PartStep{n - i});
}

/// Sums of term(offset, step) over n numbers, added to `sum`, in chains that do not wait for one another.
template <class Real, class Term>
[[gnu::always_inline]] inline void add_steps(WideStep& sum, std::int64_t n, Term term) {
  constexpr int kChains = 4;
  const std::int64_t whole = n - n % (kChains * kStep<Real>);
  WideStep chain[kChains] = {};
  for (std::int64_t i = 0; i < whole; i += kChains * kStep<Real>) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) chain[c] += term(i + c * kStep<Real>, WholeStep{});
  }
  sum += (chain[0] + chain[1]) + (chain[2] + chain[3]);
  for_each_step<Real>(n - whole, [&](std::int64_t i, auto step) { sum += term(whole + i, step); });
}

template <class Scalar>
struct HalfStepOf {
  typedef Scalar type __attribute__((vector_size(sizeof(Scalar) * kLanes / 2), aligned(alignof(Scalar)), may_alias));
};
template <class Scalar>
using HalfStep = typename HalfStepOf<Scalar>::type;

[[gnu::always_inline]] inline Vector<double> widen_half(const double* p) { return *reinterpret_cast<const Vector<double>*>(p); }
[[gnu::always_inline]] inline Vector<double> widen_half(const float* p) {
#if defined(GI_AVX512)  // g++ 12 makes __builtin_convertvector to twice the width five instructions instead of this one
  return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p));  // not the plain form: its undefined source draws a warning
#elif defined(GI_ISA_IS_avx2)
  return _mm256_cvtps_pd(_mm_loadu_ps(p));
#else
  return __builtin_convertvector(*reinterpret_cast<const HalfStep<float>*>(p), Vector<double>);
#endif
}

/// The scalars of a step, widened; those that a part lacks are zero.
template <class Real>
[[gnu::always_inline]] inline WideStep load(const Real* p, WholeStep) {
  const auto* scalars = reinterpret_cast<const ScalarOf<Real>*>(p);
  return {{widen_half(scalars), widen_half(scalars + kLanes / 2)}};
}
template <class Real>
[[gnu::always_inline]] inline WideStep load(const Real* p, PartStep step) {
  ScalarOf<Real> scalars[kLanes] = {};
  for (std::int64_t i = 0; i < step.scalars; ++i) scalars[i] = p[i];
  return load(scalars, WholeStep{});
}

template <class Scalar>
[[gnu::always_inline]] inline void store_half(Scalar* p, Vector<double> v) {
  *reinterpret_cast<HalfStep<Scalar>*>(p) = __builtin_convertvector(v, HalfStep<Scalar>);
}
template <class Real>
[[gnu::always_inline]] inline void store(Real* p, WholeStep, WideStep v) {
  auto* scalars = reinterpret_cast<ScalarOf<Real>*>(p);
  store_half(scalars, v.part[0]);
  store_half(scalars + kLanes / 2, v.part[1]);
}
template <class Real>
[[gnu::always_inline]] inline void store(Real* p, PartStep step, WideStep v) {
  ScalarOf<Real> scalars[kLanes];
  store(scalars, WholeStep{}, v);
  for (std::int64_t i = 0; i < step.scalars; ++i) p[i] = scalars[i];
}

/// v, with zeros for the scalars that a part lacks.
[[gnu::always_inline]] inline WideStep only(WholeStep, WideStep v) { return v; }
[[gnu::always_inline]] inline WideStep only(PartStep step, WideStep v) {
  double scalars[kLanes];
  store(scalars, WholeStep{}, v);
  for (std::int64_t i = step.scalars; i < kLanes; ++i) scalars[i] = 0;
  return load(scalars, WholeStep{});
}

/// The sum a run's steps amount to: of each trial in the lanes, or of all lanes.
template <class Real>
[[gnu::always_inline]] inline Wide<Real> fold(WideStep sums) {
  if constexpr (1 < kLanesOf<Real>) {
    Wide<Real> pack;
    auto* part = reinterpret_cast<Vector<double>*>(&pack);
    part[0] = sums.part[0], part[1] = sums.part[1];
    return pack;
  } else {
    double s[kLanes];
    auto* part = reinterpret_cast<Vector<double>*>(s);
    part[0] = sums.part[0], part[1] = sums.part[1];
    for (int width = kLanes / 2; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) s[i] += s[i + width];
    return s[0];
  }
}

/// A trial's number in every lane that works for it.
template <class Real>
[[gnu::always_inline]] inline WideStep spread(Wide<Real> x) {
  if constexpr (1 < kLanesOf<Real>) {
    const auto* part = reinterpret_cast<const Vector<double>*>(&x);
    return {{part[0], part[1]}};
  } else {
    return {{broadcast(x), broadcast(x)}};
  }
}

}  // namespace gi::kernels::GI_ISA
