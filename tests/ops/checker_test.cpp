// The derivative checker must catch rules made wrong on purpose.
#include <catch2/catch.hpp>

#include "engine/graph/op_def.h"
#include "engine/ops/elementwise.h"
#include "tests/ops/derivative_check.h"

using namespace gi;

namespace {

bool passes(const OpDef& def, kernels::Domain domain, test::Step step) {
  std::mt19937_64 rng(3);
  std::vector<test::CheckedOperand> operands;
  for (int i = 0; i < def.operands; ++i) operands.push_back({test::draw({2, 3, 4}, domain, i, rng), true, step});
  const auto build = [&](std::span<const Value> in) { return in[0].graph->apply(def, in); };
  bool good = true;
  for (const auto& r : test::check_derivatives(build, operands, 1)) good &= r.error <= test::kDerivativeTolerance;
  return good;
}

OpDef with_rule(const char* name, Cotangents (*rule)(const VjpArgs&)) {
  OpDef def = op(name);
  def.vjp = rule;
  return def;
}

}  // namespace

TEST_CASE("the checker accepts right rules", "[checker]") {
  CHECK(passes(op("mul"), kernels::Domain::normal, test::Step::exact));
  CHECK(passes(op("sigmoid"), kernels::Domain::normal, test::Step::smooth));
  CHECK(passes(op("div"), kernels::Domain::positive, test::Step::smooth));
}

TEST_CASE("the checker catches a wrong sign", "[checker]") {
  const OpDef wrong = with_rule(
      "sigmoid", [](const VjpArgs& a) -> Cotangents { return {neg(mul(a.cotangent, mul(a.out(), offset(neg(a.out()), 1.0))))}; });
  CHECK_FALSE(passes(wrong, kernels::Domain::normal, test::Step::smooth));
}

TEST_CASE("the checker catches a missing term", "[checker]") {
  const OpDef wrong = with_rule("mul", [](const VjpArgs& a) -> Cotangents { return {mul(a.cotangent, a.in(1)), {}}; });
  CHECK_FALSE(passes(wrong, kernels::Domain::normal, test::Step::exact));
}

TEST_CASE("the checker catches a rule right at order 1 and wrong at order 2", "[checker]") {
  // x -> |x| with the sign written as x/|x| whose own derivative is then declared by a rule that forgets its second half.
  static const OpDef half_div = with_rule("div", [](const VjpArgs& a) -> Cotangents { return {div(a.cotangent, a.in(1)), {}}; });
  const OpDef wrong = with_rule("abs", [](const VjpArgs& a) -> Cotangents {
    const std::array<Value, 2> in{a.in(0), a.out()};
    return {mul(a.cotangent, a.graph.apply(half_div, in))};
  });
  std::mt19937_64 rng(5);
  std::vector<test::CheckedOperand> operands;
  operands.push_back({test::draw({2, 3, 4}, kernels::Domain::positive, 0, rng), true, test::Step::smooth});
  bool first = true, second = true;
  for (const auto& r : test::check_derivatives([&](auto in) { return in[0].graph->apply(wrong, in); }, operands, 1))
    (r.order == 1 ? first : second) &= r.error <= test::kDerivativeTolerance;
  CHECK(first);
  CHECK_FALSE(second);
}

TEST_CASE("the checker catches an error a little above its tolerance and not one below", "[checker]") {
  const OpDef above = with_rule("tanh", [](const VjpArgs& a) -> Cotangents {
    return {scale(mul(a.cotangent, offset(neg(square(a.out())), 1.0)), 1.0 + 3e-8)};
  });
  CHECK_FALSE(passes(above, kernels::Domain::normal, test::Step::smooth));
  const OpDef below = with_rule("tanh", [](const VjpArgs& a) -> Cotangents {
    return {scale(mul(a.cotangent, offset(neg(square(a.out())), 1.0)), 1.0 + 1e-9)};
  });
  CHECK(passes(below, kernels::Domain::normal, test::Step::smooth));
}
