// Which nodes one kernel call computes together.
#pragma once

#include <vector>

#include "engine/graph/program.h"

namespace gi::passes {

struct Cluster {
  enum class Kind {
    single,  ///< one node
    pair,    ///< nodes {a, b, sum}: sum = a + b of equal geometry, one accumulating kernel
    chain,   ///< elementwise nodes of one shape, in topological order
  };
  Kind kind = Kind::single;
  std::vector<NodeId> nodes;
};

/// Partitions all nodes but leaves and views, in an order in which they can be computed.
///
/// Chains grow along operands as long as nothing outside stands between two of their members, and within the limits of
/// kernels::ElementwiseChain. `uniform` and `iterates` (analysis.h) must agree within a cluster.
/// Without `chains` an elementwise node is a chain of its own.
std::vector<Cluster> fuse(const Program& program, const std::vector<char>& uniform, const std::vector<char>& iterates, bool pairs,
                          bool chains);

}  // namespace gi::passes
