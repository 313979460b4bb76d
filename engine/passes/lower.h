// What a Program goes through before kernels are chosen: fused ops without a kernel become their definitions, and sums of
// convolutions are ordered so that two of one geometry stand together.
#pragma once

#include <functional>

#include "engine/graph/op_def.h"
#include "engine/graph/program.h"

namespace gi::passes {

/// `has_kernel` says whether the back end computes a fused op itself; where not, its decomposition takes its place.
Program lower_fused(const Program& program, const std::function<bool(const OpDef&)>& has_kernel);

/// Reorders sums a + b + c + ... of values used nowhere else so that convolutions (or products) of equal geometry are added
/// to each other first: such a pair is one accumulating kernel.
Program gather_pairs(const Program& program);

/// Whether nodes a and b, summands of one sum, can be computed by one accumulating kernel.
bool pairable(const Graph& graph, NodeId a, NodeId b);

/// How often each node is read, outputs and updates included.
std::vector<int> use_counts(const Program& program);

}  // namespace gi::passes
