#include "tests/ops/derivative_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "engine/autodiff/grad.h"
#include "engine/exec/interpreter.h"
#include "engine/exec/workspace.h"
#include "engine/graph/op_def.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/movement.h"
#include "engine/ops/reduce.h"

namespace gi::test {

using kernels::Domain;

namespace {

double normal(std::mt19937_64& rng) { return std::normal_distribution<double>()(rng); }
double uniform(std::mt19937_64& rng, double low, double high) { return std::uniform_real_distribution<double>(low, high)(rng); }

bool off_kink(double v) { return std::abs(v) >= 0.15 && std::abs(v) <= 2.5 && std::abs(v - 1) >= 0.15 && std::abs(v + 1) >= 0.15; }

}  // namespace

Tensor draw(const Shape& shape, Domain domain, int operand, std::mt19937_64& rng) {
  Tensor t(shape, DType::f64);
  const std::span<double> v = t.as<double>();
  const std::int64_t row = shape[-1];
  switch (domain) {
    case Domain::normal:
      for (double& x : v) x = normal(rng);
      break;
    case Domain::positive:
      for (double& x : v) x = uniform(rng, 0.5, 2.0);
      break;
    case Domain::off_kink:
      for (double& x : v) do
          x = uniform(rng, -2.5, 2.5);
        while (!off_kink(x));
      break;
    case Domain::distinct:
      std::iota(v.begin(), v.end(), 0.0);
      std::ranges::shuffle(v, rng);
      for (double& x : v) x = 0.1 * (x - static_cast<double>(v.size()) / 2) + 0.03 * operand;
      break;
    case Domain::simplex:
    case Domain::onehot:
      for (std::size_t r = 0; r < v.size(); r += row) {
        double sum = 0;
        for (std::int64_t i = 0; i < row; ++i) sum += v[r + i] = domain == Domain::onehot ? 0.0 : uniform(rng, 0.0, 1.0);
        if (domain == Domain::onehot) v[r + rng() % row] = sum = 1.0;
        for (std::int64_t i = 0; i < row; ++i) v[r + i] /= sum;
      }
      break;
  }
  return t;
}

Shape shape_of(const kernels::Operand& o, std::int64_t trials) {
  std::array<std::int64_t, kMaxRank> dims{trials};
  std::copy_n(o.dims.begin(), o.rank, dims.begin() + 1);
  return Shape(std::span(dims.data(), static_cast<std::size_t>(o.rank + 1)));
}

std::vector<CheckedOperand> draw_operands(const kernels::Case& c, std::int64_t trials, std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  const OpDef& def = op(c.op);
  bool piecewise = false;
  for (int i = 0; i < c.operands; ++i) piecewise |= c.in[i].domain == Domain::distinct || c.in[i].domain == Domain::off_kink;
  std::vector<CheckedOperand> operands;
  for (int i = 0; i < c.operands; ++i)
    operands.push_back({draw(shape_of(c.in[i], trials), c.in[i].domain, i, rng), (def.differentiable_in >> i & 1u) != 0,
                        (def.linear_in >> i & 1u) != 0 ? Step::exact
                        : piecewise                    ? Step::narrow
                                                       : Step::smooth});
  return operands;
}

Value build_case(const kernels::Case& c, std::span<const Value> in) {
  const Shape out = shape_of(c.out, in[0].shape().trials());
  const std::string_view name = c.op;
  if (name == "sum_to") return sum_to(in[0], out);
  if (name == "broadcast_to") return broadcast_to(in[0], out);
  if (name == "reshape") return reshape(in[0], out);
  return in[0].graph->apply(op(name), in, c.attrs);
}

namespace {

/// d/dh f(h) at 0 of a vector function, each element on its own, by Ridders' method.
std::vector<double> ridders(const std::function<std::vector<double>(double)>& f, double step) {
  constexpr int kRows = 8;
  constexpr double kShrink = 1.6;
  const auto central = [&](double h) {
    std::vector<double> up = f(h), down = f(-h);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] = (up[i] - down[i]) / (2 * h);
    return up;
  };
  std::vector<std::vector<double>> previous{central(step)};
  std::vector<double> best = previous[0], error(best.size(), 1e300);
  for (int r = 1; r < kRows; ++r) {
    step /= kShrink;
    std::vector<std::vector<double>> row{central(step)};
    double factor = 1;
    for (int k = 1; k <= r; ++k) {
      factor *= kShrink * kShrink;
      std::vector<double> next(best.size());
      for (std::size_t i = 0; i < next.size(); ++i) {
        next[i] = (row[k - 1][i] * factor - previous[k - 1][i]) / (factor - 1);
        const double e = std::max(std::abs(next[i] - row[k - 1][i]), std::abs(next[i] - previous[k - 1][i]));
        if (e < error[i]) error[i] = e, best[i] = next[i];
      }
      row.push_back(std::move(next));
    }
    previous = std::move(row);
  }
  return best;
}

/// What computes a Program in f64.
class Machine {
 public:
  Machine(const Program& program, Device* device) {
    if (device == nullptr) {
      interpreter_.emplace(program);
    } else {
      plan_.emplace(Plan::compile(program, {.dtype = DType::f64, .device = device}));
      workspace_.emplace(*plan_, *device);
    }
  }
  void set(std::string_view name, const Tensor& value) {
    if (interpreter_) interpreter_->set(name, value);
    else workspace_->set(name, value);
  }
  void run() {
    if (interpreter_) interpreter_->run();
    else workspace_->run();
  }
  Tensor get(std::string_view name) const { return interpreter_ ? interpreter_->get(name) : workspace_->get(name); }

 private:
  std::optional<Interpreter> interpreter_;
  std::optional<Plan> plan_;
  std::optional<Workspace> workspace_;
};

std::vector<double> derivative(const std::function<std::vector<double>(double)>& f, Step step) {
  if (step == Step::exact) {
    std::vector<double> up = f(1), down = f(-1);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] = (up[i] - down[i]) / 2;
    return up;
  }
  return ridders(f, step == Step::narrow ? 4e-3 : 5e-2);
}

}  // namespace

std::vector<CheckResult> check_derivatives(const Build& build, std::span<const CheckedOperand> operands, std::uint64_t seed,
                                           Device* device) {
  std::mt19937_64 rng(seed ^ 0x9e3779b97f4a7c15ull);
  const std::int64_t trials = operands[0].value.shape().trials();

  // Variables: the operands and, last, the cotangent c of y.
  Graph g;
  std::vector<Value> in;
  for (std::size_t i = 0; i < operands.size(); ++i) in.push_back(g.input(fmt::format("x{}", i), operands[i].value.shape()));
  const Value y = build(in), c = g.input("c", y.shape());
  std::vector<Value> variables = in;
  variables.push_back(c);
  std::vector<Tensor> point;
  std::vector<Step> steps;
  for (const CheckedOperand& o : operands) {
    point.push_back(o.value.clone());
    steps.push_back(o.step);
  }
  point.push_back(draw(y.shape(), Domain::normal, 0, rng));
  steps.push_back(Step::exact);

  // Functions [T]: order 1, <y, c>; order 2, <gradient by operand i, e_i>. Each with its gradient by every variable.
  struct Function {
    int order, operand;
    std::string name;
    std::vector<int> by;  ///< variables differentiated by
  };
  std::vector<Function> functions;
  ProgramSpec spec;
  std::vector<Tensor> extra;
  std::vector<std::string> extra_names;
  const auto add_function = [&](int order, int operand, Value f, const std::vector<int>& by) {
    const std::string name = fmt::format("f{}", functions.size());
    spec.outputs.push_back({name, f});
    std::vector<Value> wrt;
    for (int v : by) wrt.push_back(variables[v]);
    std::vector<Value> gradient = grad(f, wrt);
    for (std::size_t i = 0; i < by.size(); ++i) spec.outputs.push_back({fmt::format("{}/{}", name, by[i]), gradient[i]});
    functions.push_back({order, operand, name, by});
    return gradient;
  };
  std::vector<int> differentiable;
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (operands[i].differentiable) differentiable.push_back(static_cast<int>(i));
  const int cotangent = static_cast<int>(operands.size());
  // Order 1 is taken per operand, so that each has a row of its own.
  std::vector<Value> first(operands.size());
  for (int i : differentiable) first[i] = add_function(1, i, dot(y, c), {i})[0];
  std::vector<int> all = differentiable;
  all.push_back(cotangent);
  for (int i : differentiable) {
    extra_names.push_back(fmt::format("e{}", i));
    const Value e = g.input(extra_names.back(), first[i].shape());
    extra.push_back(draw(e.shape(), Domain::normal, 0, rng));
    add_function(2, i, dot(first[i], e), all);
  }

  const Program program = Program::freeze(g, spec);
  Machine run(program, device);
  const auto bind = [&](int v, const Tensor& value) {
    const std::string name = v == cotangent ? "c" : fmt::format("x{}", v);
    for (NodeId id : program.leaves())
      if (program.graph().node(id).name == name) run.set(name, value);
  };
  for (std::size_t i = 0; i < extra.size(); ++i)
    for (NodeId id : program.leaves())
      if (program.graph().node(id).name == extra_names[i]) run.set(extra_names[i], extra[i]);
  for (std::size_t v = 0; v < point.size(); ++v) bind(static_cast<int>(v), point[v]);
  run.run();

  std::vector<CheckResult> results;
  std::vector<std::vector<Tensor>> gradients;
  for (const Function& f : functions) {
    gradients.emplace_back();
    for (int v : f.by) gradients.back().push_back(run.get(fmt::format("{}/{}", f.name, v)));
  }
  for (std::size_t v = 0; v < point.size(); ++v) {
    // One direction a variable, its largest element 1, so that `narrow` bounds every element's step.
    Tensor direction = draw(point[v].shape(), Domain::normal, 0, rng);
    double largest = 0;
    for (double d : direction.as<double>()) largest = std::max(largest, std::abs(d));
    for (double& d : direction.as<double>()) d /= largest;
    for (std::size_t k = 0; k < functions.size(); ++k) {
      const auto at = std::ranges::find(functions[k].by, static_cast<int>(v));
      if (at == functions[k].by.end()) continue;
      const Tensor& gradient = gradients[k][at - functions[k].by.begin()];
      const auto along = [&](double h) {
        Tensor moved = point[v].clone();
        for (std::int64_t i = 0; i < moved.count(); ++i) moved.as<double>()[i] += h * direction.at(i);
        bind(static_cast<int>(v), moved);
        run.run();
        return run.get(functions[k].name).to_doubles();
      };
      const std::vector<double> value = along(0), numeric = derivative(along, steps[v]);
      bind(static_cast<int>(v), point[v]);
      const std::int64_t per_trial = direction.shape().count_per_trial();
      for (std::int64_t t = 0; t < trials; ++t) {
        double analytic = 0, size = 0;
        for (std::int64_t i = t * per_trial; i < (t + 1) * per_trial; ++i) {
          analytic += gradient.at(i) * direction.at(i);
          size += std::pow(gradient.at(i) * direction.at(i), 2);
        }
        // A derivative that happens to be small is judged by its terms, one that is zero by the function's own size.
        const double scale =
            std::max({std::abs(analytic), std::abs(numeric[t]), std::sqrt(size), 1e-3 * std::abs(value[t]), 1e-12});
        results.push_back({fmt::format("order {}, operand {}, by {}, trial {}", functions[k].order, functions[k].operand,
                                       static_cast<int>(v) == cotangent ? "cotangent" : fmt::format("operand {}", v), t),
                           functions[k].order, functions[k].operand, analytic, numeric[t],
                           std::abs(analytic - numeric[t]) / scale});
      }
    }
  }
  return results;
}

}  // namespace gi::test
