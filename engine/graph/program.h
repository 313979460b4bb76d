// A frozen graph: what is computed in one iteration, and how state moves on.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/graph.h"

namespace gi {

struct ProgramOutput {
  std::string name;
  Value value;
};
/// At the end of an iteration `state` becomes `next`; all updates read the old values.
struct StateUpdate {
  Value state, next;
};
struct ProgramSpec {
  std::vector<ProgramOutput> outputs;
  std::vector<StateUpdate> updates;
};

/// Immutable. Holds a copy of the part of the graph that its outputs and updates need; constants are still referenced.
class Program {
 public:
  /// Errors UsageError: no output and no update, two of one name, an update of what is not a state; ShapeError: an update
  /// of another shape than its state, trial extents that are neither 1 nor the same T.
  static Program freeze(const Graph& graph, const ProgramSpec& spec);

  const Graph& graph() const { return *graph_; }
  std::int64_t trials() const { return trials_; }

  struct Output {
    std::string name;
    NodeId id;
  };
  struct Update {
    NodeId state, next;
  };
  std::span<const Output> outputs() const { return outputs_; }
  std::span<const Update> updates() const { return updates_; }
  /// Inputs and states by name. Errors UsageError: no such leaf (lists those there are).
  NodeId leaf(std::string_view name) const;
  /// Inputs and states, in the order of the graph.
  std::vector<NodeId> leaves() const;

 private:
  Program() : graph_(std::make_unique<Graph>()) {}
  std::unique_ptr<Graph> graph_;
  std::vector<Output> outputs_;
  std::vector<Update> updates_;
  std::int64_t trials_ = 1;
};

/// How a pass changes nodes while a Program is copied.
class Rewriter {
 public:
  virtual ~Rewriter() = default;
  /// The value of node `id` (no leaf) in the new graph; `done[i]` is what node i < id became. An empty Value copies it as it is.
  virtual Value rewrite(const Program& program, NodeId id, std::span<const Value> done) const = 0;
};

/// A copy with every live node passed through `rewriter`, and what that made dead left out.
Program rewrite(const Program& program, const Rewriter& rewriter);

}  // namespace gi
