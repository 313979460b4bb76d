// Sums and inner products, all of them accumulated in f64.
//
// After merging neighbouring axes of one kind, what sum_to keeps and sums alternates and fits
//   x[keep0][sum0][keep1][sum1][keep2] -> y[keep0][keep1][keep2]
// within a trial; keep2 > 1 walks along keep2 a step at a time, keep2 == 1 along sum1 and folds.
#include "kernels/reduce/reduce.h"

#include "kernels/common/steps.h"

namespace gi::kernels::GI_ISA {
namespace {

struct Axes {
  std::int64_t keep0 = 1, sum0 = 1, keep1 = 1, sum1 = 1, keep2 = 1;
};

/// Axes of one trial, innermost first. The last slot that is still 1 takes an axis; equal neighbours share one.
Axes split_axes(const Layout& x, const Layout& y) {
  Axes a;
  std::int64_t* const slots[] = {&a.keep2, &a.sum1, &a.keep1, &a.sum0, &a.keep0};
  int slot = 0;
  for (int i = static_cast<int>(x.rank) - 1; i >= 1; --i) {
    if (x.dims[i] == 1) continue;
    const bool summed = y.rank == 1 || y.dims[i] == 1;
    if (summed != (slot % 2 == 1)) ++slot;
    *slots[slot] *= x.dims[i];
  }
  return a;
}

/// One trial, or the sum over `trials` (blocks) of them, x_trial numbers apart. Sum is Real, or its scalar for the sum over the
/// lanes; Out is Sum, or f64.
template <class Real, class Sum, class Out>
void sum_axes(const Axes& a, const Real* x, std::int64_t trials, std::int64_t x_trial, Out* y) {
  const std::int64_t row = a.sum1 * a.keep2, slab = a.keep1 * row;
  for (std::int64_t k0 = 0; k0 < a.keep0; ++k0)
    for (std::int64_t k1 = 0; k1 < a.keep1; ++k1, y += a.keep2) {
      const Real* first = x + k0 * a.sum0 * slab + k1 * row;
      if (a.keep2 == 1) {
        WideStep sums{};
        for (std::int64_t t = 0; t < trials; ++t)
          for (std::int64_t s0 = 0; s0 < a.sum0; ++s0) {
            const Real* p = first + t * x_trial + s0 * slab;
            add_steps<Real>(sums, a.sum1, [&](std::int64_t i, auto step) { return load(p + i, step); });
          }
        const Wide<Sum> sum = fold<Sum>(sums);
        if constexpr (sizeof(Out) == sizeof(sum)) y[0] = sum;
        else y[0] = narrow<Sum>(sum);
      } else {
        for_each_step<Real>(a.keep2, [&](std::int64_t k2, auto step) {
          WideStep sum{};
          for (std::int64_t t = 0; t < trials; ++t)
            for (std::int64_t s0 = 0; s0 < a.sum0; ++s0) {
              const Real* p = first + t * x_trial + s0 * slab + k2;
              for (std::int64_t s1 = 0; s1 < a.sum1; ++s1, p += a.keep2) sum += load(p, step);
            }
          if constexpr (sizeof(Sum) != sizeof(Real)) y[k2] = narrow<Sum>(fold<Sum>(sum));
          else if constexpr (sizeof(Out) == sizeof(Real)) store(y + k2, step, sum);
        });
      }
    }
}

template <class Real>
void sum_to(const Arguments& args) {
  const ConstView& x = args.in.data()[0];
  const View& y = args.out.data()[0];
  const Axes axes = split_axes(x, y);
  const bool over_trials = y.dims[0] != x.dims[0];
  const std::int64_t trials = over_trials ? x.dims[0] : 1;
  if (y.lanes != x.lanes) {
    using Sum = ScalarOf<Real>;
    if (y.rank == 1) sum_axes<Real, Sum>(axes, block_of<Real>(x, 0), x.dims[0], block_stride(x), block_of<double>(y, 0));
    else sum_axes<Real, Sum>(axes, block_of<Real>(x, 0), x.dims[0], block_stride(x), block_of<Sum>(y, 0));
    return;
  }
  for (std::int64_t t = 0; t < y.dims[0]; ++t) {
    const Real* from = block_of<Real>(x, t);
    if (y.rank == 1) sum_axes<Real, Real>(axes, from, trials, block_stride(x), block_of<Wide<Real>>(y, t));
    else sum_axes<Real, Real>(axes, from, trials, block_stride(x), block_of<Real>(y, t));
  }
}

/// a . b over one trial. `Other` is Real, or its scalar where b is shared by the trials in the lanes.
template <class Real, class Other>
Wide<Real> dot_of(const Real* a, const Other* b, std::int64_t n) {
  WideStep sum{};
  add_steps<Real>(sum, n, [&](std::int64_t i, auto step) {
    if constexpr (sizeof(Real) == sizeof(Other)) return load(a + i, step) * load(b + i, step);
    else return load(a + i, step) * static_cast<double>(b[i]);
  });
  return fold<Real>(sum);
}

/// Numbers of a dot that are summed before sums are: so threads may do it side by side, and the sum does not depend on them.
template <class Real>
inline constexpr std::int64_t kPiece = (std::int64_t{32} << 10) / kLanesOf<Real>;

template <class Real>
std::int64_t dot_pieces(const Problem& problem) {
  return at_least(ceil_div(numbers_per_block(problem.in.data()[0]), kPiece<Real>), 1);
}

template <class Real>
std::int64_t dot_parts(const Problem& problem) {
  return problem.out.data()[0].dims[0] * dot_pieces<Real>(problem);
}

template <class Real>
std::size_t dot_scratch(const Problem& problem) {
  return problem.out.size() * dot_parts<Real>(problem) * sizeof(Wide<Real>);
}

/// The sum of numbers [i, i + n) of trial block t, of one pair of operands.
template <class Real>
Wide<Real> dot_piece(const ConstView* a, const ConstView* b, std::int64_t t, std::int64_t i, std::int64_t n) {
  using Scalar = ScalarOf<Real>;
  if (a->lanes == 1) {
    const ConstView* other = a;
    a = b, b = other;
  }  // products commute: b is the one that may be shared
  if (b->lanes == kLanesOf<Real>) return dot_of(block_of<Real>(*a, t) + i, block_of<Real>(*b, t) + i, n);
  if (a->lanes == kLanesOf<Real>) return dot_of(block_of<Real>(*a, t) + i, block_of<Scalar>(*b, t) + i, n);
  return Wide<Real>{} + dot_of(block_of<Scalar>(*a, t) + i, block_of<Scalar>(*b, t) + i, n);
}

template <class Real>
void dot(const Arguments& args) {
  const ConstView* const in = args.in.data();
  const std::int64_t pairs = static_cast<std::int64_t>(args.out.size());
  const std::int64_t all = numbers_per_block(in[0]), pieces = dot_pieces<Real>(args), parts = dot_parts<Real>(args);
  Wide<Real>* const sums = reinterpret_cast<Wide<Real>*>(args.common());
  // All pairs' product of a piece, one after the other: an operand that they share is read from memory once.
  beforehand(args, parts, [&](std::int64_t part) {
    const std::int64_t t = part / pieces, i = part % pieces * kPiece<Real>, n = at_most(kPiece<Real>, all - i);
    for (std::int64_t pair = 0; pair < pairs; ++pair)
      sums[pair * parts + part] = dot_piece<Real>(in + 2 * pair, in + 2 * pair + 1, t, i, n);
  });
  for (const std::int64_t part : each_part(args, parts)) {
    if (part % pieces != 0) continue;  // the first of a trial's parts is its sum
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const Wide<Real>* const of_pair = sums + pair * parts + part;
      Wide<Real> sum = of_pair[0];
      for (std::int64_t piece = 1; piece < pieces; ++piece) sum += of_pair[piece];
      *block_of<Wide<Real>>(args.out.data()[pair], part / pieces) = sum;
    }
  }
}

template <class Real>
const char* dot_declines(const Problem& problem) {
  if (problem.in.size() != 2 * problem.out.size()) return "a sum of several";
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in.data()[i];
    if (numbers_per_block(v) != numbers_per_block(problem.in.data()[0])) return "products of different lengths";
    if (v.dtype != kDTypeOf<Real>) return "an operand has another dtype";
    if (v.lanes != kLanesOf<Real> && (v.lanes != 1 || block_stride(v) != 0)) return "an operand differs by trial, but not by lane";
    if (!dense_from(v, 1)) return "an operand has gaps or broadcasts";
  }
  return nullptr;
}

}  // namespace

std::span<const Kernel> reduce_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("sum_to", "steps", declines_unless_plain, no_scratch, sum_to, one_part),
      GI_KERNEL_VARIANTS("dot", "steps", dot_declines, dot_scratch, dot, dot_parts),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
