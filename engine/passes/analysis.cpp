#include "engine/passes/analysis.h"

#include <algorithm>

#include "engine/graph/op_def.h"

namespace gi::passes {

std::vector<char> uniform_values(const Program& program) {
  const Graph& g = program.graph();
  std::vector<char> uniform(g.size(), 0);
  if (program.trials() == 1) return uniform;
  for (NodeId id = 0; id < g.size(); ++id) {
    const Node& n = g.node(id);
    if (n.shape.trials() == 1 || n.op->name == "fill") uniform[id] = 1;
    else if (n.op->kind != OpKind::leaf) uniform[id] = std::ranges::all_of(n.inputs, [&](NodeId in) { return uniform[in] != 0; });
  }
  return uniform;
}

bool sums_over_trials(const Graph& graph, NodeId id) {
  const Node& n = graph.node(id);
  return n.op->name == "sum_to" && n.shape.trials() == 1 && graph.node(n.inputs[0]).shape.trials() > 1;
}

std::vector<char> iterating_values(const Program& program) {
  const Graph& g = program.graph();
  std::vector<char> iterates(g.size(), 0);
  const auto changes = [&](const Node& n) { return n.op->name == "state" || (program.updates().empty() && n.op->name == "input"); };
  for (NodeId id = 0; id < g.size(); ++id)
    iterates[id] = changes(g.node(id)) || std::ranges::any_of(g.node(id).inputs, [&](NodeId in) { return iterates[in] != 0; });
  return iterates;
}

}  // namespace gi::passes
