// The arena of values. A graph only ever grows; equal nodes are one node; ids are a topological order.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/shape.h"
#include "engine/core/tensor.h"
#include "kernels/api/attrs.h"

namespace gi {

using kernels::Attrs;
class Graph;
struct OpDef;
using NodeId = std::uint32_t;

/// A handle to one node. Valid as long as its Graph.
struct Value {
  Graph* graph = nullptr;
  NodeId id = 0;

  const Shape& shape() const;
  explicit operator bool() const { return graph != nullptr; }
  bool operator==(const Value&) const = default;
};

struct Node {
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<NodeId> inputs;
  Shape shape;
  std::string name;              ///< of leaves; empty otherwise
  const Tensor* data = nullptr;  ///< of constants
};

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A value bound before a run and the same in all its iterations (received gradients, labels).
  Value input(std::string name, Shape shape);
  /// A value known when the Program is made. `data` is not copied: it must outlive the Graph and all made from it.
  Value constant(std::string name, const Tensor& data);
  /// A value that a Program updates at the end of every iteration.
  Value state(std::string name, Shape shape);
  /// All elements alike.
  Value fill(Shape shape, double value);

  /// One node of `op`, or the equal one that is already there. Shapes are checked and inferred by the op's rule.
  /// Errors ShapeError: what the op's rule says; UsageError: operands of another graph.
  Value apply(const OpDef& op, std::span<const Value> inputs, const Attrs& attrs = {});

  const Node& node(NodeId id) const { return nodes_[id]; }
  Value value(NodeId id) { return {this, id}; }
  NodeId size() const { return static_cast<NodeId>(nodes_.size()); }

 private:
  Value leaf(const OpDef& op, std::string name, Shape shape, const Attrs& attrs, const Tensor* data);
  Value append(Node node);

  std::deque<Node> nodes_;  // references to nodes stay valid while it grows
  std::unordered_multimap<std::size_t, NodeId> by_hash_;
  std::unordered_map<std::string, NodeId> by_name_;
};

}  // namespace gi
