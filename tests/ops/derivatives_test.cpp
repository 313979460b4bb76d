// First and second derivatives of every op against finite differences, and a report that none was left out.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "engine/autodiff/grad.h"
#include "engine/exec/interpreter.h"
#include "engine/graph/op_def.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "kernels/all_cases.h"
#include "tests/ops/derivative_check.h"
#include "tests/tested_device.h"

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

TEST_CASE("every op: first and second derivatives through the kernels of a device", "[grad][grad2][emulated][gpu][slow]") {
  test::TestedDevice device;
  std::map<std::string, int> checks;
  for (const kernels::Case& c : kernels::all_cases()) {
    if (c.large || std::string_view(c.op).starts_with("winograd")) continue;  // a device has no transforms
    const auto operands = test::draw_operands(c, 2, 7);
    if (std::ranges::none_of(operands, [](const auto& o) { return o.differentiable; })) continue;
    for (const auto& r : test::check_derivatives([&](auto in) { return test::build_case(c, in); }, operands, 11, &device)) {
      INFO(c.op << " (" << c.label << "): " << r.what << ": rule " << r.analytic << ", differences " << r.numeric);
      CHECK(r.error <= test::kDerivativeTolerance);
      ++checks[c.op];
    }
  }
  for (const OpDef& def : all_ops())
    if (def.differentiable_in != 0 && !def.name.starts_with("winograd")) {
      INFO(def.name);
      CHECK(checks[std::string(def.name)] > 0);
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

TEST_CASE("an activation's derivatives are right where its value decides its mask", "[unit]") {
  for (const double slope : {0.0, 0.25, -0.5}) {
    Graph g;
    const Value x = g.input("x", {1, 4});
    const Value y = leaky_relu(x, slope);
    const Value dx = grad(dot(y, y), std::array{x}).front();     // 2 y y'
    const Value ddx = grad(dot(dx, dx), std::array{x}).front();  // 8 y y'^3
    const Program program = Program::freeze(g, {.outputs = {{"dx", dx}, {"ddx", ddx}}, .updates = {}});
    Interpreter run(program);
    run.set("x", Tensor::from({1, 4}, std::vector<double>{-2, -1, 0, 3}));
    run.run();
    CAPTURE(slope);
    const double s2 = slope * slope;
    CHECK(run.get("dx").to_doubles() == std::vector<double>{-4 * s2, -2 * s2, 0, 6});
    CHECK(run.get("ddx").to_doubles() == std::vector<double>{-16 * s2 * s2, -8 * s2 * s2, 0, 24});
  }
}
