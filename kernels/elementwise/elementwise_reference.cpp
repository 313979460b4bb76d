#include "kernels/api/elementwise.h"

#include <cmath>
#include <utility>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

template <Elementwise op>
double value(double x, double y, double a, double b) {
  switch (op) {
    case Elementwise::copy:
      return x;
    case Elementwise::add:
      return x + y;
    case Elementwise::sub:
      return x - y;
    case Elementwise::mul:
      return x * y;
    case Elementwise::div:
      return x / y;
    case Elementwise::scale:
      return a * x;
    case Elementwise::offset:
      return x + a;
    case Elementwise::exp:
      return std::exp(x);
    case Elementwise::log:
      return std::log(x);
    case Elementwise::sqrt:
      return std::sqrt(x);
    case Elementwise::rsqrt:
      return 1.0 / std::sqrt(x);
    case Elementwise::recip:
      return 1.0 / x;
    case Elementwise::tanh:
      return std::tanh(x);
    case Elementwise::sigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Elementwise::abs:
      return std::abs(x);
    case Elementwise::sign:
      return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0;
    case Elementwise::relu_mask:
      return y <= 0 ? 0.0 : x;
    case Elementwise::leaky_relu_mask:
      return y > 0 ? x : a * x;
    case Elementwise::clamp:
      return y <= a ? a : y >= b ? b : x;
    case Elementwise::clamp_mask:
      return a < y && y < b ? x : 0.0;
    case Elementwise::maximum:
      return x > y ? x : y;
    case Elementwise::minimum:
      return x < y ? x : y;
  }
}

template <Elementwise op>
void run(const Arguments& args) {
  const auto& attrs = args.attrs_as<ElementwiseAttrs>();
  const auto x = elements(args.in.front()), y = elements(args.in.back());
  const auto out = elements(args.out[0]);
  for_each_index(args.out[0], [&](const Index& i) { out[i] = value<op>(x[i], y[i], attrs.a, attrs.b); });
}

template <std::size_t... i>
constexpr std::array<ReferenceKernel, sizeof...(i)> table(std::index_sequence<i...>) {
  return {run<static_cast<Elementwise>(i)>...};
}

}  // namespace

ReferenceKernel elementwise_reference(Elementwise op) {
  static constexpr auto kTable = table(std::make_index_sequence<kElementwiseNames.size()>());
  return kTable[static_cast<std::size_t>(op)];
}

}  // namespace gi::kernels
