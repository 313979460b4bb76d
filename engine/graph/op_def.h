// What the engine knows of an op. All ops stand in one constant table, engine/ops/op_table.cpp.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "engine/graph/graph.h"

namespace gi {

/// A node whose derivative is asked for, and the cotangent of its output.
struct VjpArgs {
  Graph& graph;
  NodeId id;
  Value cotangent;
  std::span<const bool> wanted;

  const Node& node() const { return graph.node(id); }
  Value in(int i) const { return {&graph, node().inputs[i]}; }
  Value out() const { return {&graph, id}; }
  bool needs(int i) const { return wanted[i]; }
  template <class T>
  const T& attrs() const {
    return node().attrs.as<T>();
  }
};

/// One cotangent per operand; an empty Value is a symbolic zero.
using Cotangents = std::array<Value, 4>;

enum class OpKind { leaf, view, elementwise, other };

struct OpDef {
  std::string_view name;
  OpKind kind = OpKind::other;
  int operands = 1;
  /// The output's shape. Errors ShapeError.
  Shape (*infer)(const Attrs& attrs, std::span<const Shape> in) = nullptr;
  /// Cotangents of the operands in graph values; null for leaves and for ops differentiated through `decompose`.
  Cotangents (*vjp)(const VjpArgs&) = nullptr;
  /// The same value in other ops; null for primitives.
  Value (*decompose)(std::span<const Value> in, const Attrs& attrs) = nullptr;
  /// Bit i: the op is linear in operand i with the others held fixed.
  unsigned linear_in = 0;
  /// Bit i: the derivative by operand i is not identically zero.
  unsigned differentiable_in = 0;
  /// Floating-point operations of one evaluation; null: one an element of the output.
  double (*flops)(const Attrs& attrs, std::span<const Shape> in, const Shape& out) = nullptr;
  /// kernels::Elementwise of this op, for kind == elementwise.
  int elementwise = -1;
};

/// Errors UsageError: no such op.
const OpDef& op(std::string_view name);
std::span<const OpDef> all_ops();

/// What differentiation needs of a vector space; defined with the ops.
Value add(Value a, Value b);

}  // namespace gi
