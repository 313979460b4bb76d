// First and second derivatives of every op against finite differences, and a report that none was left out.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "engine/graph/op_def.h"
#include "kernels/all_cases.h"
#include "tests/ops/derivative_check.h"

using namespace gi;

TEST_CASE("every op: first and second derivatives by every differentiable operand, T = 1 and 3", "[grad][grad2]") {
  // op, operand, order, T -> checks made, worst error
  std::map<std::tuple<std::string, int, int, int>, std::pair<int, double>> covered;
  for (const kernels::Case& c : kernels::all_cases()) {
    if (c.large) continue;
    for (const int trials : {1, 3}) {
      const auto operands = test::draw_operands(c, trials, 7);
      bool any = false;
      for (const auto& o : operands) any |= o.differentiable;
      if (!any) continue;
      for (const auto& r : test::check_derivatives([&](auto in) { return test::build_case(c, in); }, operands, 11)) {
        INFO(c.op << " (" << c.label << "), T = " << trials << ": " << r.what << ": rule " << r.analytic << ", differences "
                  << r.numeric);
        CHECK(r.error <= test::kDerivativeTolerance);
        auto& [count, worst] = covered[{c.op, r.operand, r.order, trials}];
        ++count;
        worst = std::max(worst, r.error);
      }
    }
  }
  fmt::print("{:<22} {:>7} {:>5} {:>2} {:>6}  worst error\n", "op", "operand", "order", "T", "checks");
  for (const OpDef& def : all_ops())
    for (int operand = 0; operand < def.operands; ++operand) {
      if ((def.differentiable_in >> operand & 1u) == 0) continue;
      for (const int order : {1, 2})
        for (const int trials : {1, 3}) {
          const auto [count, worst] = covered[{std::string(def.name), operand, order, trials}];
          fmt::print("{:<22} {:>7} {:>5} {:>2} {:>6}  {:.1e}\n", def.name, operand, order, trials, count, worst);
          INFO(def.name << ", operand " << operand << ", order " << order << ", T = " << trials << " has no case");
          CHECK(count > 0);
        }
    }
}

TEST_CASE("an op whose derivative is declared zero does not move under a small step", "[grad]") {
  for (const kernels::Case& c : kernels::all_cases()) {
    if (c.large) continue;
    auto operands = test::draw_operands(c, 1, 5);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (operands[i].differentiable) continue;
      // Differentiating by it as if it were differentiable must find zero on both sides.
      for (auto& o : operands) o.differentiable = false;
      operands[i].differentiable = true;
      operands[i].step = test::Step::narrow;
      for (const auto& r : test::check_derivatives([&](auto in) { return test::build_case(c, in); }, operands, 3)) {
        if (r.order != 1) continue;
        INFO(c.op << " (" << c.label << "), operand " << i);
        CHECK(r.analytic == 0.0);
        CHECK(std::abs(r.numeric) < 1e-9);
      }
    }
  }
}
