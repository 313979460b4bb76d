// Facts about a Program's values that layouts and schedules follow from.
#pragma once

#include <vector>

#include "engine/graph/program.h"

namespace gi::passes {

/// uniform[id]: the value is the same for all trials, so it is computed and kept once and read by stride 0.
std::vector<char> uniform_values(const Program& program);

/// Whether the node is a sum over the trial axis: the same for all trials, of what differs between them.
bool sums_over_trials(const Graph& graph, NodeId id);

/// Whether image i of `to`, [.,i,...], depends on image i of `from` alone, as far as the ops between them are known to keep images
/// apart; both have as many.
bool keeps_images_apart(const Graph& graph, NodeId from, NodeId to);

/// iterates[id]: the value depends on a state and must be recomputed in every iteration; the others are set up once, and kept.
/// A Program without states is run for other inputs each time: what depends on those is an iteration, in memory that is shared.
std::vector<char> iterating_values(const Program& program);

}  // namespace gi::passes
