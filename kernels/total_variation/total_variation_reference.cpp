#include "kernels/total_variation/total_variation.h"

#include <cmath>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// visit(here, next, weight) for every pair of neighbours, down and across; weight is one over the pairs of that kind in a trial.
template <class Visit>
void for_each_pair(const ConstView& x, Visit visit) {
  for (const int axis : {3, 4}) {
    const std::int64_t pairs = x.count_per_block() / x.dims[axis] * (x.dims[axis] - 1);
    for_each_index(x, [&](const Index& here) {
      Index next = here;
      if (++next[axis] < x.dims[axis]) visit(here, next, 1.0 / static_cast<double>(pairs));
    });
  }
}

}  // namespace

void total_variation_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_pair(args.in[0],
                [&](const Index& here, const Index& next, double weight) { y(here[0]) += weight * std::abs(x[next] - x[here]); });
}

void total_variation_grad_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_pair(args.in[0], [&](const Index& here, const Index& next, double weight) {
    const double sign = x[next] > x[here] ? 1.0 : x[next] < x[here] ? -1.0 : 0.0;
    y[next] += weight * sign;
    y[here] -= weight * sign;
  });
}

}  // namespace gi::kernels
