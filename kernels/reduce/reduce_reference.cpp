#include "kernels/reduce/reduce.h"

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {

void sum_to_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = spread(args.out[0]);
  fill_zero(args.out[0]);
  for_each_index(args.in[0], [&](const Index& i) { y[i] += x[i]; });
}

void dot_reference(const Arguments& args) {
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
    const auto a = elements(args.in[pair]), b = elements(args.in[pair + 1]);
    for_each_index(args.in[pair], [&](const Index& i) { y(i[0]) += a[i] * b[i]; });
  }
}

void broadcast_to_reference(const Arguments& args) {
  const auto x = spread(args.in[0]);
  const auto y = elements(args.out[0]);
  for_each_index(args.out[0], [&](const Index& i) { y[i] = x[i]; });
}

}  // namespace gi::kernels
