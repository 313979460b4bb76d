// Shapes every elementwise op is tried on.
#pragma once

#include "kernels/api/elementwise.h"
#include "kernels/common/make_case.h"

namespace gi::kernels {

/// Domains of the operands where the op and its derivatives are smooth.
inline std::array<Domain, 2> elementwise_domains(Elementwise op) {
  switch (op) {
    case Elementwise::div:
      return {Domain::normal, Domain::positive};
    case Elementwise::log:
    case Elementwise::sqrt:
    case Elementwise::rsqrt:
    case Elementwise::recip:
      return {Domain::positive, Domain::positive};
    case Elementwise::abs:
    case Elementwise::sign:
      return {Domain::off_kink, Domain::off_kink};
    case Elementwise::relu_mask:
    case Elementwise::leaky_relu_mask:
    case Elementwise::clamp:
    case Elementwise::clamp_mask:
      return {Domain::normal, Domain::off_kink};
    case Elementwise::maximum:
    case Elementwise::minimum:
      return {Domain::distinct, Domain::distinct};
    default:
      return {Domain::normal, Domain::normal};
  }
}

/// Bounds lie on the kinks that Domain::off_kink keeps away from.
inline std::vector<ElementwiseAttrs> elementwise_attrs(Elementwise op) {
  switch (op) {
    case Elementwise::scale:
      return {{.a = -0.75}};
    case Elementwise::offset:
      return {{.a = 0.3}};
    case Elementwise::leaky_relu_mask:
      return {{.a = 0.2}};
    case Elementwise::clamp:
    case Elementwise::clamp_mask:
      return {{.a = -1, .b = 1}, {.a = 0, .b = 6}};
    default:
      return {{}};
  }
}

inline std::vector<Case> elementwise_cases() {
  struct Row {
    const char* label;
    Operand shape;
  };
  const Row rows[] = {
      {"scalar of a trial", operand({})},
      {"7", operand({7})},
      {"4x4", operand({4, 4})},
      {"1x3x11", operand({1, 3, 11})},
      {"2x3x10x10", operand({2, 3, 10, 10})},
      {"1x64x32x32", operand({1, 64, 32, 32})},
  };
  std::vector<Case> cases;
  for (std::size_t i = 0; i < kElementwiseNames.size(); ++i) {
    const auto op = static_cast<Elementwise>(i);
    const auto [first, second] = elementwise_domains(op);
    for (const ElementwiseAttrs& attrs : elementwise_attrs(op))
      for (const Row& row : rows) {
        const Operand x = with(row.shape, first), y = with(row.shape, second);
        cases.push_back(arity(op) == 2 ? make_case(kElementwiseNames[i], row.label, attrs, {x, y}, row.shape)
                                       : make_case(kElementwiseNames[i], row.label, attrs, {x}, row.shape));
      }
  }
  return cases;
}

}  // namespace gi::kernels
