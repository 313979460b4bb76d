#include "engine/graph/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/core/error.h"
#include "engine/graph/op_def.h"

namespace gi {
namespace {

/// Marks what `roots` need. Ids are a topological order, so one descending pass does.
std::vector<char> live_nodes(const Graph& graph, std::span<const NodeId> roots) {
  std::vector<char> live(graph.size(), 0);
  for (NodeId id : roots) live[id] = 1;
  for (NodeId id = graph.size(); id-- > 0;)
    if (live[id] != 0)
      for (NodeId in : graph.node(id).inputs) live[in] = 1;
  return live;
}

/// Copies node `id` of `from`, with its operands as they are in `to`.
Value copy_node(const Graph& from, NodeId id, Graph& to, std::span<const Value> operands) {
  const Node& n = from.node(id);
  if (n.op->kind != OpKind::leaf) return to.apply(*n.op, operands, n.attrs);
  if (n.op->name == "input") return to.input(n.name, n.shape);
  if (n.op->name == "state") return to.state(n.name, n.shape);
  if (n.op->name == "constant") return to.constant(n.name, *n.data);
  return to.fill(n.shape, n.attrs.as<double>());
}

}  // namespace

Program Program::freeze(const Graph& graph, const ProgramSpec& spec) {
  if (spec.outputs.empty() && spec.updates.empty()) throw UsageError("program: no output and no update");
  std::set<std::string> names;
  std::vector<NodeId> roots;
  for (const ProgramOutput& o : spec.outputs) {
    if (o.value.graph != &graph) throw UsageError(fmt::format("program: output '{}' belongs to another graph", o.name));
    if (!names.insert(o.name).second) throw UsageError(fmt::format("program: two outputs named '{}'", o.name));
    roots.push_back(o.value.id);
  }
  for (const StateUpdate& u : spec.updates) {
    if (u.state.graph != &graph || u.next.graph != &graph) throw UsageError("program: an update belongs to another graph");
    const Node& n = graph.node(u.state.id);
    if (n.op->name != "state") throw UsageError(fmt::format("program: an update of '{}', which is no state", n.op->name));
    if (n.shape != u.next.shape())
      throw ShapeError(fmt::format("program: state '{}' is {}, its update {}", n.name, n.shape.str(), u.next.shape().str()));
    roots.push_back(u.state.id);
    roots.push_back(u.next.id);
  }

  Program p;
  const std::vector<char> live = live_nodes(graph, roots);
  std::vector<NodeId> to(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (live[id] == 0) continue;
    std::vector<Value> operands;
    for (NodeId in : graph.node(id).inputs) operands.push_back({p.graph_.get(), to[in]});
    to[id] = copy_node(graph, id, *p.graph_, operands).id;
    p.trials_ = std::max(p.trials_, graph.node(id).shape.trials());
  }
  for (NodeId id = 0; id < p.graph_->size(); ++id)
    if (const std::int64_t t = p.graph_->node(id).shape.trials(); t != 1 && t != p.trials_)
      throw ShapeError(fmt::format("program: values of {} and of {} trials", t, p.trials_));
  for (const ProgramOutput& o : spec.outputs) p.outputs_.push_back({o.name, to[o.value.id]});
  for (const StateUpdate& u : spec.updates) p.updates_.push_back({to[u.state.id], to[u.next.id]});
  return p;
}

Program rewrite(const Program& program, const Rewriter& rewriter) {
  Graph scratch;
  std::vector<Value> to;
  const Graph& from = program.graph();
  for (NodeId id = 0; id < from.size(); ++id) {
    std::vector<Value> operands;
    for (NodeId in : from.node(id).inputs) operands.push_back(to[in]);
    Value v;
    if (from.node(id).op->kind != OpKind::leaf) v = rewriter.rewrite(program, id, to);
    to.push_back(v ? v : copy_node(from, id, scratch, operands));
  }
  ProgramSpec spec;
  for (const auto& o : program.outputs()) spec.outputs.push_back({o.name, to[o.id]});
  for (const auto& u : program.updates()) spec.updates.push_back({to[u.state], to[u.next]});
  return Program::freeze(scratch, spec);
}

std::vector<NodeId> Program::leaves() const {
  std::vector<NodeId> ids;
  for (NodeId id = 0; id < graph_->size(); ++id)
    if (const auto name = graph_->node(id).op->name; name == "input" || name == "state") ids.push_back(id);
  return ids;
}

NodeId Program::leaf(std::string_view name) const {
  std::vector<std::string> known;
  for (NodeId id : leaves()) {
    if (graph_->node(id).name == name) return id;
    known.push_back(graph_->node(id).name);
  }
  throw UsageError(fmt::format("program: no input or state is called '{}' (there are: {})", name, fmt::join(known, ", ")));
}

}  // namespace gi
