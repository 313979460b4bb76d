#include "engine/ops/movement.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/op_tables.h"

namespace gi {

using kernels::TransposeAttrs;

namespace {

struct ReshapeAttrs {
  std::int64_t rank = 0;
  std::array<std::int64_t, kMaxRank> dims{};
};

}  // namespace

Value reshape(Value x, Shape shape) {
  if (x.shape() == shape) return x;
  ReshapeAttrs a;
  a.rank = shape.rank();
  std::copy(shape.dims().begin(), shape.dims().end(), a.dims.begin());
  const Node& n = x.graph->node(x.id);
  if (n.op->name == "reshape") x = {x.graph, n.inputs[0]};
  if (x.shape() == shape) return x;
  return x.graph->apply(op("reshape"), std::span(&x, 1), Attrs(a));
}

Value transpose(Value x, std::span<const int> axes) {
  if (static_cast<int>(axes.size()) != x.shape().rank())
    throw ShapeError(fmt::format("transpose: {} axes for {}", axes.size(), x.shape().str()));
  TransposeAttrs a;
  for (std::size_t i = 0; i < axes.size(); ++i) a.axes[i] = axes[i];
  return x.graph->apply(op("transpose"), std::span(&x, 1), Attrs(a));
}

Value pad(Value x, const PadAttrs& amounts) {
  if (Attrs(amounts) == Attrs(PadAttrs{})) return x;
  return x.graph->apply(op("pad"), std::span(&x, 1), Attrs(amounts));
}
Value crop(Value x, const PadAttrs& amounts) {
  if (Attrs(amounts) == Attrs(PadAttrs{})) return x;
  return x.graph->apply(op("crop"), std::span(&x, 1), Attrs(amounts));
}

Value slice(Value x, int axis, std::int64_t start, std::int64_t length) {
  const Shape& s = x.shape();
  if (axis < 1 || axis >= s.rank() || start < 0 || length < 1 || start + length > s[axis])
    throw ShapeError(fmt::format("slice: {} elements from {} on axis {} of {}", length, start, axis, s.str()));
  PadAttrs a;
  a.before[axis] = start;
  a.after[axis] = s[axis] - start - length;
  return crop(x, a);
}

Value concat(std::span<const Value> xs, int axis) {
  if (xs.empty()) throw ShapeError("concat: nothing given");
  std::int64_t extent = 0, start = 0;
  for (Value x : xs) {
    if (axis < 1 || axis >= x.shape().rank() || x.shape().with(axis, 1) != xs[0].shape().with(axis, 1))
      throw ShapeError(fmt::format("concat: {} and {} along axis {}", xs[0].shape().str(), x.shape().str(), axis));
    extent += x.shape()[axis];
  }
  Value result;
  for (Value x : xs) {
    PadAttrs a;
    a.before[axis] = start;
    start += x.shape()[axis];
    a.after[axis] = extent - start;
    result = result ? add(result, pad(x, a)) : pad(x, a);
  }
  return result;
}

namespace ops {
namespace {

Shape infer_reshape(const Attrs& attrs, std::span<const Shape> in) {
  const auto& a = attrs.as<ReshapeAttrs>();
  const Shape out(std::span(a.dims.data(), static_cast<std::size_t>(a.rank)));
  if (out.count() != in[0].count() || out.trials() != in[0].trials() || out.scalar() != in[0].scalar())
    throw ShapeError(fmt::format("reshape: {} to {}: element and trial counts must stay, and rank 1 too", in[0].str(), out.str()));
  return out;
}

Shape infer_transpose(const Attrs& attrs, std::span<const Shape> in) {
  const auto& axes = attrs.as<TransposeAttrs>().axes;
  Shape out = in[0];
  unsigned seen = 0;
  for (int i = 0; i < out.rank(); ++i) {
    if (axes[i] < 0 || axes[i] >= out.rank() || (seen >> axes[i] & 1u) != 0 || axes[0] != 0)
      throw ShapeError(fmt::format("transpose: axes {} for {}", fmt::join(axes, ","), in[0].str()));
    seen |= 1u << axes[i];
    out = out.with(i, in[0][static_cast<int>(axes[i])]);
  }
  return out;
}

Shape resized(const char* name, const PadAttrs& a, const Shape& in, std::int64_t direction) {
  std::array<std::int64_t, kMaxRank> dims{};
  for (int i = 0; i < kMaxRank; ++i) {
    const bool used = a.before[i] != 0 || a.after[i] != 0;
    if (used && (i == 0 || i >= in.rank() || a.before[i] < 0 || a.after[i] < 0))
      throw ShapeError(fmt::format("{}: {} before and {} after on axis {} of {}", name, a.before[i], a.after[i], i, in.str()));
    if (i < in.rank()) dims[i] = in[i] + direction * (a.before[i] + a.after[i]);
  }
  return Shape(std::span(dims.data(), static_cast<std::size_t>(in.rank())));
}
Shape infer_pad(const Attrs& a, std::span<const Shape> in) { return resized("pad", a.as<PadAttrs>(), in[0], 1); }
Shape infer_crop(const Attrs& a, std::span<const Shape> in) { return resized("crop", a.as<PadAttrs>(), in[0], -1); }

Cotangents vjp_reshape(const VjpArgs& a) { return {reshape(a.cotangent, a.in(0).shape())}; }
Cotangents vjp_pad(const VjpArgs& a) { return {crop(a.cotangent, a.attrs<PadAttrs>())}; }
Cotangents vjp_crop(const VjpArgs& a) { return {pad(a.cotangent, a.attrs<PadAttrs>())}; }
Cotangents vjp_transpose(const VjpArgs& a) {
  const auto& axes = a.attrs<TransposeAttrs>().axes;
  std::array<int, kMaxRank> inverse{};
  const int rank = a.in(0).shape().rank();
  for (int i = 0; i < rank; ++i) inverse[axes[i]] = i;
  return {transpose(a.cotangent, std::span(inverse.data(), static_cast<std::size_t>(rank)))};
}

}  // namespace

std::vector<OpDef> movement_ops() {
  return {
      {.name = "reshape", .kind = OpKind::view, .infer = infer_reshape, .vjp = vjp_reshape, .linear_in = 1, .differentiable_in = 1},
      {.name = "transpose", .infer = infer_transpose, .vjp = vjp_transpose, .linear_in = 1, .differentiable_in = 1},
      {.name = "pad", .infer = infer_pad, .vjp = vjp_pad, .linear_in = 1, .differentiable_in = 1},
      {.name = "crop", .infer = infer_crop, .vjp = vjp_crop, .linear_in = 1, .differentiable_in = 1},
  };
}

}  // namespace ops
}  // namespace gi
