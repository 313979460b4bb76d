// What somebody else's program would do with the installed library: x^3 differentiated twice, a network looked up.
#include <cstdio>
#include <vector>

#include "engine/autodiff/grad.h"
#include "engine/exec/workspace.h"
#include "engine/graph/graph.h"
#include "engine/graph/program.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "models/zoo.h"

int main() {
  gi::Graph g;
  const gi::Value x = g.input("x", gi::Shape{1, 2});
  const gi::Value dx = gi::grad(gi::sum(gi::mul(x, gi::square(x))), std::vector{x}).front();
  const gi::Value ddx = gi::grad(gi::sum(dx), std::vector{x}).front();
  const gi::Program program = gi::Program::freeze(g, {.outputs = {{"ddx", ddx}}, .updates = {}});
  const gi::Plan plan = gi::Plan::compile(program, {.dtype = gi::DType::f64});
  gi::Workspace work(plan);
  work.set("x", gi::Tensor::from(gi::Shape{1, 2}, std::vector{2.0, -0.5}));
  work.run();
  const gi::Tensor result = work.get("ddx");
  const auto parameters = gi::models::find_model("lenetzhu").parameter_count();
  std::printf("second derivatives %g %g, %lld parameters\n", result.at(0), result.at(1), static_cast<long long>(parameters));
  return result.at(0) == 12 && result.at(1) == -3 && parameters == 15826 ? 0 : 1;
}
