// Which nodes one kernel call computes together.
#pragma once

#include <functional>
#include <vector>

#include "engine/graph/program.h"

namespace gi::passes {

struct Cluster {
  enum class Kind {
    single,  ///< one node
    pair,    ///< nodes {a, b, sum}: sum = a + b of equal geometry, one accumulating kernel
    dots,    ///< inner products, then the adds that sum them up; without adds each is a result
    summed,  ///< nodes {a, sum}: sum = a summed over the trials
    chain,   ///< elementwise nodes of one shape, in topological order
    headed,  ///< a node of another kind and a chain of its shape that reads it
  };
  Kind kind = Kind::single;
  std::vector<NodeId> nodes;
};

/// Whether there is a kernel for a chain, with or without a head, for `dots` or for `summed`, of dense operands.
using Served = std::function<bool(const Cluster&)>;

/// Partitions all nodes but leaves and views, in an order in which they can be computed.
///
/// Chains grow along operands as long as nothing outside stands between two of their members, and within the limits of
/// kernels::ElementwiseChain; what is not served then is cut into the fewest runs of its nodes that are. Each takes for a head the
/// first of what it reads that is served with it. `uniform` and `iterates` (analysis.h) must agree within a cluster. Without
/// `served` every node is a cluster of its own, an elementwise one a chain.
std::vector<Cluster> fuse(const Program& program, const std::vector<char>& uniform, const std::vector<char>& iterates,
                          const Served& served);

}  // namespace gi::passes
