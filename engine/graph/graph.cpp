#include "engine/graph/graph.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/graph/op_def.h"

namespace gi {
namespace {

std::size_t hash_of(const Node& n) {
  std::size_t h = std::hash<const void*>{}(n.op);
  const auto mix = [&h](std::size_t x) { h = (h ^ x) * 0x9e3779b97f4a7c15ull + (h >> 29); };
  for (NodeId id : n.inputs) mix(id + 1);
  for (std::int64_t d : n.shape.dims()) mix(static_cast<std::size_t>(d));
  mix(std::hash<std::string_view>{}({static_cast<const char*>(n.attrs.data()), Attrs::kCapacity}));
  return h;
}

bool equal(const Node& a, const Node& b) {
  return a.op == b.op && a.inputs == b.inputs && a.shape == b.shape && a.attrs == b.attrs && a.name == b.name;
}

}  // namespace

const Shape& Value::shape() const { return graph->node(id).shape; }

Value Graph::append(Node node) {
  const std::size_t h = hash_of(node);
  for (auto [it, end] = by_hash_.equal_range(h); it != end; ++it)
    if (equal(nodes_[it->second], node)) return {this, it->second};
  const NodeId id = size();
  nodes_.push_back(std::move(node));
  by_hash_.emplace(h, id);
  return {this, id};
}

Value Graph::leaf(const OpDef& op, std::string name, Shape shape, const Attrs& attrs, const Tensor* data) {
  if (!name.empty() && by_name_.contains(name)) throw UsageError(fmt::format("graph: a leaf named '{}' exists already", name));
  const Value v = append({.op = &op, .attrs = attrs, .inputs = {}, .shape = shape, .name = name, .data = data});
  if (!name.empty()) by_name_.emplace(std::move(name), v.id);
  return v;
}

Value Graph::input(std::string name, Shape shape) { return leaf(op("input"), std::move(name), shape, {}, nullptr); }
Value Graph::state(std::string name, Shape shape) { return leaf(op("state"), std::move(name), shape, {}, nullptr); }
Value Graph::constant(std::string name, const Tensor& data) {
  return leaf(op("constant"), std::move(name), data.shape(), {}, &data);
}
Value Graph::fill(Shape shape, double value) { return leaf(op("fill"), {}, shape, Attrs(value), nullptr); }

Value Graph::apply(const OpDef& op, std::span<const Value> inputs, const Attrs& attrs) {
  if (static_cast<int>(inputs.size()) != op.operands)
    throw UsageError(fmt::format("{}: takes {} operands, got {}", op.name, op.operands, inputs.size()));
  Node node{.op = &op, .attrs = attrs, .inputs = {}, .shape = {}, .name = {}, .data = nullptr};
  std::array<Shape, 4> shapes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].graph != this) throw UsageError(fmt::format("{}: operand {} belongs to another graph", op.name, i));
    node.inputs.push_back(inputs[i].id);
    shapes[i] = inputs[i].shape();
  }
  node.shape = op.infer(attrs, std::span(shapes).first(inputs.size()));
  return append(std::move(node));
}

}  // namespace gi
