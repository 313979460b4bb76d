#include "engine/passes/analysis.h"

#include <algorithm>

#include "engine/graph/op_def.h"
#include "kernels/matmul/matmul.h"
#include "kernels/movement/movement.h"

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

bool keeps_images_apart(const Graph& graph, NodeId from, NodeId to) {
  const std::int64_t images = graph.node(from).shape[1];
  std::vector<char> depends(to + 1, 0);
  depends[from] = 1;
  const auto has_images = [images](const Shape& s) { return s.rank() > 1 && s[1] == images; };
  const auto apart = [&](const Node& n) {
    const std::string_view op = n.op->name;
    const auto reads = [&](std::size_t i) { return depends[n.inputs[i]] != 0; };
    if (!has_images(n.shape)) return false;
    if (n.op->kind == OpKind::elementwise || op.ends_with("softmax") || op.starts_with("max_") || op.starts_with("avg_pool"))
      return true;
    if (op == "reshape" || op == "broadcast_to" || op == "sum_to") return has_images(graph.node(n.inputs[0]).shape);
    if (op == "transpose") return n.attrs.as<kernels::TransposeAttrs>().axes[1] == 1;
    if (op == "pad" || op == "crop") {
      const auto& amounts = n.attrs.as<kernels::PadAttrs>();
      return amounts.before[1] == 0 && amounts.after[1] == 0;
    }
    if (op == "matmul") return reads(0) && !reads(1) && n.attrs.as<kernels::MatmulGeometry>().transpose_a == 0;
    return (op == "conv2d" || op == "conv2d_grad_input") && reads(0) && !reads(1);
  };
  for (NodeId id = from + 1; id <= to; ++id) {
    const Node& n = graph.node(id);
    if (!std::ranges::any_of(n.inputs, [&](NodeId in) { return depends[in] != 0; })) continue;
    if (!apart(n)) return false;
    depends[id] = 1;
  }
  return true;
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
