#include "engine/passes/lower.h"

#include <algorithm>

namespace gi::passes {
namespace {

class LowerFused : public Rewriter {
 public:
  explicit LowerFused(const std::function<bool(const OpDef&)>& has_kernel) : has_kernel_(has_kernel) {}
  Value rewrite(const Program& program, NodeId id, std::span<const Value> done) const override {
    const Node& n = program.graph().node(id);
    if (n.op->decompose == nullptr || has_kernel_(*n.op)) return {};
    std::vector<Value> operands;
    for (NodeId in : n.inputs) operands.push_back(done[in]);
    return n.op->decompose(operands, n.attrs);
  }

 private:
  const std::function<bool(const OpDef&)>& has_kernel_;
};

class GatherPairs : public Rewriter {
 public:
  explicit GatherPairs(const Program& program) : uses_(use_counts(program)), inner_(program.graph().size(), 0) {
    const Graph& g = program.graph();
    for (NodeId id = 0; id < g.size(); ++id)
      if (is_add(g, id))
        for (NodeId in : g.node(id).inputs)
          if (is_add(g, in) && uses_[in] == 1) inner_[in] = 1;
  }

  Value rewrite(const Program& program, NodeId id, std::span<const Value> done) const override {
    const Graph& g = program.graph();
    if (!is_add(g, id) || inner_[id] != 0) return {};
    std::vector<NodeId> summands;
    collect(g, id, summands);
    if (summands.size() < 3) return {};
    Value total;
    const auto put = [&total](Value v) { total = total ? add(total, v) : v; };
    std::vector<char> taken(summands.size(), 0);
    for (std::size_t i = 0; i < summands.size(); ++i) {
      if (taken[i] != 0) continue;
      for (std::size_t j = i + 1; j < summands.size(); ++j) {
        if (taken[j] != 0 || uses_[summands[i]] != 1 || uses_[summands[j]] != 1 || !pairable(g, summands[i], summands[j])) continue;
        put(add(done[summands[i]], done[summands[j]]));
        taken[i] = taken[j] = 1;
        break;
      }
    }
    for (std::size_t i = 0; i < summands.size(); ++i)
      if (taken[i] == 0) put(done[summands[i]]);
    return total;
  }

 private:
  static bool is_add(const Graph& g, NodeId id) { return g.node(id).op->name == "add"; }
  void collect(const Graph& g, NodeId id, std::vector<NodeId>& summands) const {
    for (NodeId in : g.node(id).inputs) {
      if (inner_[in] != 0) collect(g, in, summands);
      else summands.push_back(in);
    }
  }
  std::vector<int> uses_;
  std::vector<char> inner_;  // adds that are a summand of another add and nothing else
};

}  // namespace

Program lower_fused(const Program& program, const std::function<bool(const OpDef&)>& has_kernel) {
  return rewrite(program, LowerFused(has_kernel));
}
Program gather_pairs(const Program& program) { return rewrite(program, GatherPairs(program)); }

bool pairable(const Graph& graph, NodeId a, NodeId b) {
  const Node &na = graph.node(a), &nb = graph.node(b);
  const std::string_view name = na.op->name;
  return a != b && na.op == nb.op && na.attrs == nb.attrs && na.shape == nb.shape &&
         (name == "conv2d" || name == "conv2d_grad_input" || name == "matmul");
}

std::vector<int> use_counts(const Program& program) {
  const Graph& g = program.graph();
  std::vector<int> uses(g.size(), 0);
  for (NodeId id = 0; id < g.size(); ++id)
    for (NodeId in : g.node(id).inputs) ++uses[in];
  for (const auto& o : program.outputs()) ++uses[o.id];
  for (const auto& u : program.updates()) ++uses[u.next];
  return uses;
}

}  // namespace gi::passes
