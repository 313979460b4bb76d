#include "inversion/evaluate.h"

#include "engine/autodiff/grad.h"
#include "engine/exec/workspace.h"
#include "engine/ops/losses.h"
#include "models/network.h"

namespace gi::inversion {

Evaluation evaluate(const Problem& problem, const Tensor& x, const EvaluateOptions& options) {
  const Victim& victim = problem.victims.front();
  Graph g;
  const models::Network net(g, problem.model, problem.network_of(0),
                            {.mode = problem.mode, .force_decisions = options.forced != nullptr});
  const Value candidate = g.input("x", problem.candidates(1));
  const Value loss = cross_entropy(net.logits(candidate), g.input("labels", {1, problem.images, problem.model.classes}));
  const std::vector<Value> dw = grad(loss, net.params());
  std::vector<Value> targets;
  for (std::size_t i = 0; i < dw.size(); ++i) targets.push_back(g.input("target/" + net.param_names()[i], dw[i].shape()));

  ProgramSpec spec{.outputs = {{"loss", loss}}};
  const auto add_output = [&](const std::string& name, Value value) {
    spec.outputs.push_back({name, value});
    spec.outputs.push_back({"d_" + name + "_d_x", grad(value, std::array{candidate}).front()});
  };
  add_output("cosine_distance", cosine_distance(dw, targets));
  add_output("l2_distance", l2_distance(dw, targets));
  add_output("total_variation", total_variation(candidate));
  if (options.record_decisions)
    for (const models::Decision& d : net.decisions()) spec.outputs.push_back({d.input, d.pre_activation});

  const Program program = Program::freeze(g, spec);
  const Plan plan = Plan::compile(program, {.dtype = options.dtype, .device = options.device, .lanes = 1, .force = options.force});
  Workspace work = options.device != nullptr ? Workspace(plan, *options.device) : Workspace(plan);
  work.set("x", x);
  work.set("labels", one_hot(victim.labels, problem.model.classes));
  for (std::size_t i = 0; i < dw.size(); ++i) work.set("target/" + net.param_names()[i], victim.gradient[i]);
  if (options.forced != nullptr)
    for (const auto& [name, value] : *options.forced) work.set(name, value);
  work.run();

  Evaluation e;
  e.loss = work.get("loss").at(0);
  e.cosine_distance = work.get("cosine_distance").at(0);
  e.l2_distance = work.get("l2_distance").at(0);
  e.total_variation = work.get("total_variation").at(0);
  e.d_cosine_distance_d_x = work.get("d_cosine_distance_d_x");
  e.d_l2_distance_d_x = work.get("d_l2_distance_d_x");
  e.d_total_variation_d_x = work.get("d_total_variation_d_x");
  if (options.record_decisions)
    for (const models::Decision& d : net.decisions()) e.decisions.emplace_back(d.input, work.get(d.input));
  return e;
}

}  // namespace gi::inversion
