#include "engine/passes/fuse.h"

#include <algorithm>
#include <queue>
#include <set>

#include "engine/graph/op_def.h"
#include "engine/passes/lower.h"
#include "kernels/elementwise/elementwise.h"

namespace gi::passes {
namespace {

using kernels::ElementwiseChain;

/// Clusters under construction: each node's cluster, each cluster's nodes.
class Fuser {
 public:
  Fuser(const Program& program, const std::vector<char>& uniform, const std::vector<char>& iterates)
      : program_(program),
        g_(program.graph()),
        uniform_(uniform),
        iterates_(iterates),
        uses_(use_counts(program)),
        cluster_of_(g_.size()),
        clusters_(g_.size()),
        readers_(g_.size()),
        visited_(g_.size(), 0) {
    for (NodeId id = 0; id < g_.size(); ++id) {
      cluster_of_[id] = id;
      clusters_[id].nodes = {id};
      if (elementwise(id)) clusters_[id].kind = Cluster::Kind::chain;
      for (NodeId in : g_.node(id).inputs) readers_[in].push_back(id);
    }
    external_ = std::vector<char>(g_.size(), 0);
    for (const auto& o : program.outputs()) external_[o.id] = 1;
    for (const auto& u : program.updates()) external_[u.next] = 1;
  }

  void pairs() {
    for (NodeId id = 0; id < g_.size(); ++id) {
      const Node& n = g_.node(id);
      if (n.op->name != "add") continue;
      const NodeId a = n.inputs[0], b = n.inputs[1];
      if (!pairable(g_, a, b) || uses_[a] != 1 || uses_[b] != 1 || !same_class(a, id) || !same_class(b, id)) continue;
      if (reaches(g_.node(a).inputs, {b}) || reaches(g_.node(b).inputs, {a})) continue;
      clusters_[id] = {Cluster::Kind::pair, {a, b, id}};
      cluster_of_[a] = cluster_of_[b] = id;
      clusters_[a].nodes.clear();
      clusters_[b].nodes.clear();
    }
  }

  void chains() {
    for (NodeId id = 0; id < g_.size(); ++id) {
      if (!in_chain(id)) continue;
      for (NodeId in : g_.node(id).inputs)
        if (in_chain(in) && cluster_of_[in] != cluster_of_[id] && g_.node(in).shape == g_.node(id).shape && same_class(in, id))
          try_merge(cluster_of_[in], cluster_of_[id]);
    }
  }

  /// Topological order of the clusters, the smallest first node first.
  std::vector<Cluster> scheduled() {
    std::vector<int> waiting(g_.size(), 0);
    std::vector<std::vector<NodeId>> next(g_.size());
    for (NodeId id = 0; id < g_.size(); ++id)
      for (NodeId in : g_.node(id).inputs)
        if (cluster_of_[in] != cluster_of_[id]) {
          next[cluster_of_[in]].push_back(cluster_of_[id]);
          ++waiting[cluster_of_[id]];
        }
    const auto later = [this](NodeId a, NodeId b) { return clusters_[a].nodes.back() > clusters_[b].nodes.back(); };
    std::priority_queue<NodeId, std::vector<NodeId>, decltype(later)> ready(later);
    for (NodeId c = 0; c < g_.size(); ++c)
      if (!clusters_[c].nodes.empty() && waiting[c] == 0) ready.push(c);
    std::vector<Cluster> order;
    while (!ready.empty()) {
      const NodeId c = ready.top();
      ready.pop();
      for (NodeId n : next[c])
        if (--waiting[n] == 0) ready.push(n);
      const OpKind kind = g_.node(clusters_[c].nodes[0]).op->kind;
      if (kind != OpKind::leaf && kind != OpKind::view) order.push_back(std::move(clusters_[c]));
    }
    return order;
  }

 private:
  bool elementwise(NodeId id) const { return g_.node(id).op->kind == OpKind::elementwise; }
  bool in_chain(NodeId id) const { return elementwise(id) && clusters_[cluster_of_[id]].kind == Cluster::Kind::chain; }
  bool same_class(NodeId a, NodeId b) const { return uniform_[a] == uniform_[b] && iterates_[a] == iterates_[b]; }

  /// Whether computing any of `from` needs a member of the clusters in `targets`.
  bool reaches(std::vector<NodeId> from, const std::set<NodeId>& targets) {
    ++stamp_;
    while (!from.empty()) {
      const NodeId id = from.back();
      from.pop_back();
      const NodeId c = cluster_of_[id];
      if (targets.contains(c)) return true;
      if (visited_[c] == stamp_) continue;
      visited_[c] = stamp_;
      for (NodeId m : clusters_[c].nodes)
        for (NodeId in : g_.node(m).inputs)
          if (cluster_of_[in] != c) from.push_back(in);
    }
    return false;
  }

  void try_merge(NodeId a, NodeId b) {
    std::vector<NodeId> nodes = clusters_[a].nodes;
    nodes.insert(nodes.end(), clusters_[b].nodes.begin(), clusters_[b].nodes.end());
    std::ranges::sort(nodes);
    if (nodes.size() > ElementwiseChain::kMaxInstructions) return;
    const std::set<NodeId> members(nodes.begin(), nodes.end());
    std::set<NodeId> inputs;
    int outputs = 0;
    for (NodeId m : nodes) {
      for (NodeId in : g_.node(m).inputs)
        if (!members.contains(in)) inputs.insert(in);
      outputs += external_[m] != 0 || std::ranges::any_of(readers_[m], [&](NodeId r) { return !members.contains(r); });
    }
    if (inputs.size() > ElementwiseChain::kMaxInputs || outputs > ElementwiseChain::kMaxOutputs) return;
    // A path that leaves the union and comes back would make the two wait for each other.
    if (reaches({inputs.begin(), inputs.end()}, {a, b})) return;
    clusters_[a].nodes.clear();
    clusters_[b].nodes = std::move(nodes);
    for (NodeId m : clusters_[b].nodes) cluster_of_[m] = b;
  }

  const Program& program_;
  const Graph& g_;
  const std::vector<char>&uniform_, &iterates_;
  std::vector<int> uses_;
  std::vector<NodeId> cluster_of_;
  std::vector<Cluster> clusters_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<char> external_;
  std::vector<unsigned> visited_;
  unsigned stamp_ = 0;
};

}  // namespace

std::vector<Cluster> fuse(const Program& program, const std::vector<char>& uniform, const std::vector<char>& iterates, bool pairs,
                          bool chains) {
  Fuser fuser(program, uniform, iterates);
  if (pairs) fuser.pairs();
  if (chains) fuser.chains();
  return fuser.scheduled();
}

}  // namespace gi::passes
