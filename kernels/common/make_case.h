// What the families' case lists are written with.
#pragma once

#include <initializer_list>
#include <vector>

#include "kernels/api/kernel.h"

namespace gi::kernels {

constexpr Operand operand(std::initializer_list<std::int64_t> dims, Domain domain = Domain::normal) {
  Operand o;
  o.domain = domain;
  for (std::int64_t d : dims) o.dims[o.rank++] = d;
  return o;
}

constexpr Operand with(Operand o, Domain domain) {
  o.domain = domain;
  return o;
}

constexpr std::int64_t count(const Operand& o) {
  std::int64_t n = 1;
  for (std::int64_t axis = 0; axis < o.rank; ++axis) n *= o.dims[axis];
  return n;
}

/// `macs`: multiply-adds of one trial, where they are not in proportion to the elements.
template <class Pod>
Case make_case(const char* op, const char* label, const Pod& attrs, std::initializer_list<Operand> in, const Operand& out,
               std::int64_t macs = 0) {
  Case result{.op = op, .label = label, .attrs = Attrs(attrs), .operands = 0, .in = {}, .out = out};
  result.large = macs > 200'000 || count(out) > 3000;
  for (const Operand& o : in) {
    result.in[result.operands++] = o;
    result.large |= count(o) > 3000;
  }
  return result;
}

struct NoAttrs {
  std::int64_t none = 0;
};

}  // namespace gi::kernels
