#include "engine/autodiff/grad.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "engine/graph/op_def.h"

namespace gi {
namespace {

/// `stop_at_wrt`: `wrt` are operands to be held independent of each other, whatever they depend on.
std::vector<Value> backpropagate(std::span<const Value> outputs, std::span<const Value> cotangents, std::span<const Value> wrt,
                                 bool stop_at_wrt) {
  if (outputs.empty() || outputs.size() != cotangents.size())
    throw UsageError(fmt::format("vjp: {} outputs, {} cotangents", outputs.size(), cotangents.size()));
  Graph& graph = *outputs[0].graph;
  NodeId last = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].graph != &graph || cotangents[i].graph != &graph) throw UsageError("vjp: values of different graphs");
    if (outputs[i].shape() != cotangents[i].shape())
      throw ShapeError(fmt::format("vjp: output {}, cotangent {}", outputs[i].shape().str(), cotangents[i].shape().str()));
    last = std::max(last, outputs[i].id);
  }

  // Which nodes depend on `wrt`, by one ascending pass: only they get cotangents.
  std::vector<char> depends(last + 1, 0), stop(last + 1, 0);
  for (Value v : wrt) {
    if (v.graph != &graph) throw UsageError("vjp: values of different graphs");
    if (v.id <= last) depends[v.id] = 1, stop[v.id] = stop_at_wrt;
  }
  for (NodeId id = 0; id <= last; ++id) {
    const Node& n = graph.node(id);
    for (std::size_t i = 0; i < n.inputs.size(); ++i)
      if ((n.op->differentiable_in >> i & 1u) != 0 && depends[n.inputs[i]] != 0) depends[id] = 1;
  }

  std::vector<Value> ct(last + 1);
  const auto accumulate = [&ct](NodeId id, Value c) { ct[id] = ct[id] ? add(ct[id], c) : c; };
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (depends[outputs[i].id] != 0) accumulate(outputs[i].id, cotangents[i]);

  for (NodeId id = last + 1; id-- > 0;) {
    if (!ct[id] || stop[id] != 0 || graph.node(id).inputs.empty()) continue;
    const std::vector<NodeId> inputs = graph.node(id).inputs;
    const OpDef& op = *graph.node(id).op;
    std::array<bool, 4> wanted{};
    bool any = false;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      any |= wanted[i] = depends[inputs[i]] != 0 && (op.differentiable_in >> i & 1u) != 0;
    if (!any) continue;
    if (op.vjp != nullptr) {
      const Cotangents in = op.vjp({graph, id, ct[id], wanted});
      for (std::size_t i = 0; i < inputs.size(); ++i)
        if (wanted[i] && in[i]) accumulate(inputs[i], in[i]);
      continue;
    }
    // No rule of its own: differentiate the definition by the operands, each once even where two are the same value.
    std::vector<Value> operands, distinct;
    for (NodeId in : inputs) {
      operands.push_back({&graph, in});
      if (std::find(distinct.begin(), distinct.end(), operands.back()) == distinct.end()) distinct.push_back(operands.back());
    }
    const Value definition = op.decompose(operands, graph.node(id).attrs);
    const std::vector<Value> in = backpropagate(std::span(&definition, 1), std::span(&ct[id], 1), distinct, true);
    for (std::size_t i = 0; i < distinct.size(); ++i)
      if (depends[distinct[i].id] != 0) accumulate(distinct[i].id, in[i]);
  }

  std::vector<Value> result;
  for (Value v : wrt) result.push_back(v.id <= last && ct[v.id] ? ct[v.id] : graph.fill(v.shape(), 0.0));
  return result;
}

}  // namespace

std::vector<Value> vjp(std::span<const Value> outputs, std::span<const Value> cotangents, std::span<const Value> wrt) {
  return backpropagate(outputs, cotangents, wrt, false);
}

std::vector<Value> grad(Value loss, std::span<const Value> wrt) {
  if (!loss.shape().scalar()) throw ShapeError(fmt::format("grad: a loss has shape [T], got {}", loss.shape().str()));
  const Value one = loss.graph->fill(loss.shape(), 1.0);
  return vjp(std::span(&loss, 1), std::span(&one, 1), wrt);
}

}  // namespace gi
