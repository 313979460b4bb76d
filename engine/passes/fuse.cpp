#include "engine/passes/fuse.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>

#include "engine/graph/op_def.h"
#include "engine/passes/analysis.h"
#include "engine/passes/lower.h"
#include "kernels/api/elementwise.h"

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
      if (!is_add(id)) continue;
      const NodeId a = n.inputs[0], b = n.inputs[1];
      if (!pairable(g_, a, b) || uses_[a] != 1 || uses_[b] != 1 || !same_class(a, id) || !same_class(b, id)) continue;
      if (reaches(g_.node(a).inputs, {b}) || reaches(g_.node(b).inputs, {a})) continue;
      clusters_[a].nodes.clear();
      clusters_[b].nodes.clear();
      place({Cluster::Kind::pair, {a, b, id}});
    }
  }

  /// What nobody else reads than a sum over the trials.
  void sums(const Served& served) {
    for (NodeId id = 0; id < g_.size(); ++id) {
      if (!sums_over_trials(g_, id)) continue;
      const NodeId in = g_.node(id).inputs[0];
      Cluster summed{Cluster::Kind::summed, {in, id}};
      if (clusters_[in].kind != Cluster::Kind::single || clusters_[in].nodes.empty() || uses_[in] != 1 ||
          g_.node(in).shape.with(0, 1) != g_.node(id).shape || !served(summed))
        continue;
      clusters_[in].nodes.clear();
      place(std::move(summed));
    }
  }

  /// The largest sums of inner products that nobody else reads.
  void dots(const Served& served) {
    for (NodeId id = g_.size(); id-- > 0;) {
      Cluster sum{Cluster::Kind::dots, {}};
      std::vector<NodeId> adds;
      if (cluster_of_[id] != id || !is_add(id) || !collect_dots(id, sum.nodes, adds)) continue;
      const auto inside = [&](NodeId dot) { return uses_[dot] == std::ranges::count(sum.nodes, dot) && same_class(dot, id); };
      if (!std::ranges::all_of(sum.nodes, inside)) continue;
      sum.nodes.insert(sum.nodes.end(), adds.begin(), adds.end());
      if (!served(sum)) continue;
      for (NodeId m : sum.nodes) clusters_[m].nodes.clear();
      place(std::move(sum));
    }
  }

  /// Two inner products of one value that iterations change, so that it is read once.
  void twins(const Served& served) {
    std::map<NodeId, NodeId> waiting;  // by the value, its inner product
    for (NodeId id = 0; id < g_.size(); ++id) {
      const Node& n = g_.node(id);
      if (n.op->name != "dot" || cluster_of_[id] != id) continue;
      const auto may_join = [&](NodeId value) {
        const auto found = waiting.find(value);
        if (found == waiting.end()) return false;
        const NodeId other = found->second;
        const Cluster both{Cluster::Kind::dots, {other, id}};
        if (!same_class(other, id) || reaches(n.inputs, {other}) || reaches(g_.node(other).inputs, {id}) || !served(both))
          return false;
        std::erase_if(waiting, [other](const auto& w) { return w.second == other; });
        clusters_[other].nodes.clear();
        place(both);
        return true;
      };
      if (std::ranges::any_of(n.inputs, may_join)) continue;
      for (NodeId in : n.inputs)
        if (iterates_[in] != 0) waiting.emplace(in, id);
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

  /// Chains that are not served become the fewest runs of their nodes that are; single nodes are.
  void cut(const Served& served) {
    for (NodeId id = 0; id < g_.size(); ++id) {
      const Cluster cluster = clusters_[id];
      const std::size_t n = cluster.nodes.size();
      if (cluster.kind != Cluster::Kind::chain || n < 2 || served(cluster)) continue;
      const auto run = [&cluster](std::size_t begin, std::size_t end) {
        return Cluster{Cluster::Kind::chain, {cluster.nodes.begin() + begin, cluster.nodes.begin() + end}};
      };
      const auto may_be_one = [&](const Cluster& c) {  // a run may have more results than the whole
        std::set<NodeId> inputs;
        return fits(c.nodes, inputs) && served(c);
      };
      std::vector<std::size_t> pieces(n + 1, 0), end(n + 1, n);  // of what begins at node i: how many, and where the first ends
      for (std::size_t i = n; i-- > 0;) {
        pieces[i] = pieces[i + 1] + 1, end[i] = i + 1;
        for (std::size_t e = i + 2; e <= n; ++e)
          if (pieces[e] + 1 < pieces[i] && may_be_one(run(i, e))) pieces[i] = pieces[e] + 1, end[i] = e;
      }
      clusters_[id].nodes.clear();
      for (std::size_t i = 0; i < n; i = end[i]) place(run(i, end[i]));
    }
  }

  /// Chains take the first of what they read that is served with them, unless the rest of it needs that, too.
  void heads(const Served& served) {
    for (NodeId id = 0; id < g_.size(); ++id) {
      if (clusters_[id].nodes.empty() || clusters_[id].kind != Cluster::Kind::chain) continue;
      std::set<NodeId> operands;
      fits(clusters_[id].nodes, operands);
      for (const NodeId head : operands) {
        const bool single = clusters_[cluster_of_[head]].kind == Cluster::Kind::single;
        if (!single || g_.node(head).shape != g_.node(id).shape || !same_class(head, id)) continue;
        Cluster headed{Cluster::Kind::headed, {head}};
        headed.nodes.insert(headed.nodes.end(), clusters_[id].nodes.begin(), clusters_[id].nodes.end());
        std::set<NodeId> inputs;
        if (!fits(headed.nodes, inputs) || !served(headed) || reaches({inputs.begin(), inputs.end()}, {head, id})) continue;
        clusters_[head].nodes.clear();
        clusters_[id].nodes.clear();
        place(std::move(headed));
        break;
      }
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
  bool is_add(NodeId id) const { return g_.node(id).op->name == "add"; }
  /// The inner products that add `id` sums up, one as often as it comes, and the adds in order. False if it sums anything else.
  bool collect_dots(NodeId id, std::vector<NodeId>& dots, std::vector<NodeId>& adds) const {
    for (NodeId in : g_.node(id).inputs) {
      if (g_.node(in).op->name == "dot") dots.push_back(in);
      else if (!is_add(in) || uses_[in] != 1 || !same_class(in, id) || !collect_dots(in, dots, adds)) return false;
    }
    adds.push_back(id);
    return true;
  }
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

  /// Whether these make a chain within its limits; what they read.
  bool fits(const std::vector<NodeId>& nodes, std::set<NodeId>& inputs) const {
    if (nodes.size() > ElementwiseChain::kMaxInstructions) return false;
    const std::set<NodeId> members(nodes.begin(), nodes.end());
    int outputs = 0;
    for (NodeId m : nodes) {
      for (NodeId in : g_.node(m).inputs)
        if (!members.contains(in)) inputs.insert(in);
      outputs += external_[m] != 0 || std::ranges::any_of(readers_[m], [&](NodeId r) { return !members.contains(r); });
    }
    return inputs.size() <= ElementwiseChain::kMaxInputs && outputs <= ElementwiseChain::kMaxOutputs;
  }

  void try_merge(NodeId a, NodeId b) {
    std::vector<NodeId> nodes = clusters_[a].nodes;
    nodes.insert(nodes.end(), clusters_[b].nodes.begin(), clusters_[b].nodes.end());
    std::ranges::sort(nodes);
    std::set<NodeId> inputs;
    if (!fits(nodes, inputs)) return;
    // A path that leaves the union and comes back would make the two wait for each other.
    if (reaches({inputs.begin(), inputs.end()}, {a, b})) return;
    clusters_[a].nodes.clear();
    clusters_[b].nodes.clear();
    place({Cluster::Kind::chain, std::move(nodes)});
  }

  /// Under its last node's id, after the clusters its nodes were in have been emptied.
  void place(Cluster cluster) {
    const NodeId id = cluster.nodes.back();
    for (const NodeId m : cluster.nodes) cluster_of_[m] = id;
    clusters_[id] = std::move(cluster);
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

std::vector<Cluster> fuse(const Program& program, const std::vector<char>& uniform, const std::vector<char>& iterates,
                          const Served& served) {
  Fuser fuser(program, uniform, iterates);
  if (!served) return fuser.scheduled();
  fuser.pairs();
  fuser.sums(served);
  fuser.dots(served);
  fuser.twins(served);
  fuser.chains();
  fuser.cut(served);
  fuser.heads(served);
  return fuser.scheduled();
}

}  // namespace gi::passes
