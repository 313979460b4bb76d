#include "engine/ops/reduce.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/op_tables.h"
#include "kernels/reduce/reduce.h"

namespace gi {
namespace {

struct ShapeAttrs {
  std::int64_t rank = 0;
  std::array<std::int64_t, kMaxRank> dims{};
};

Attrs target(const Shape& shape) {
  ShapeAttrs a;
  a.rank = shape.rank();
  std::copy(shape.dims().begin(), shape.dims().end(), a.dims.begin());
  return Attrs(a);
}

Shape target(const Attrs& attrs) {
  const auto& a = attrs.as<ShapeAttrs>();
  return Shape(std::span(a.dims.data(), static_cast<std::size_t>(a.rank)));
}

/// Whether `small` is `large` with some extents replaced by 1, or one number a trial, or of all trials.
bool reduces_to(const Shape& large, const Shape& small) {
  if (small.scalar()) return small.trials() == large.trials() || small.trials() == 1;
  if (small.rank() != large.rank()) return false;
  for (int i = 0; i < small.rank(); ++i)
    if (small[i] != large[i] && small[i] != 1) return false;
  return true;
}

}  // namespace

Value sum_to(Value x, Shape shape) {
  if (x.shape() == shape) return x;
  return x.graph->apply(op("sum_to"), std::span(&x, 1), target(shape));
}
Value broadcast_to(Value x, Shape shape) {
  if (x.shape() == shape) return x;
  return x.graph->apply(op("broadcast_to"), std::span(&x, 1), target(shape));
}
Value sum(Value x) { return sum_to(x, Shape{x.shape().trials()}); }
Value dot(Value a, Value b) {
  const std::array<Value, 2> in{a, b};
  return a.graph->apply(op("dot"), in);
}
Value norm(Value x) { return sqrt(dot(x, x)); }
Value global_avg_pool(Value x) {
  const Shape& s = x.shape();
  if (s.rank() != 5) throw ShapeError(fmt::format("global_avg_pool: expected [T,N,C,H,W], got {}", s.str()));
  return scale(sum_to(x, s.with(3, 1).with(4, 1)), 1.0 / static_cast<double>(s[3] * s[4]));
}

namespace ops {
namespace {

Shape infer_sum_to(const Attrs& attrs, std::span<const Shape> in) {
  const Shape out = target(attrs);
  if (!reduces_to(in[0], out)) throw ShapeError(fmt::format("sum_to: {} cannot be summed to {}", in[0].str(), out.str()));
  return out;
}
Shape infer_broadcast_to(const Attrs& attrs, std::span<const Shape> in) {
  const Shape out = target(attrs);
  if (!reduces_to(out, in[0])) throw ShapeError(fmt::format("broadcast_to: {} cannot be broadcast to {}", in[0].str(), out.str()));
  return out;
}
Shape infer_dot(const Attrs&, std::span<const Shape> in) {
  if (in[0] != in[1]) throw ShapeError(fmt::format("dot: operands {} and {} differ", in[0].str(), in[1].str()));
  return {in[0].trials()};
}

Cotangents vjp_sum_to(const VjpArgs& a) { return {broadcast_to(a.cotangent, a.in(0).shape())}; }
Cotangents vjp_broadcast_to(const VjpArgs& a) { return {sum_to(a.cotangent, a.in(0).shape())}; }
Cotangents vjp_dot(const VjpArgs& a) {
  const Value u = broadcast_to(a.cotangent, a.in(0).shape());
  Cotangents ct;
  if (a.needs(0)) ct[0] = mul(u, a.in(1));
  if (a.needs(1)) ct[1] = mul(u, a.in(0));
  return ct;
}

double flops_of_input(const Attrs&, std::span<const Shape> in, const Shape&) { return static_cast<double>(in[0].count()); }
double flops_dot(const Attrs&, std::span<const Shape> in, const Shape&) { return 2.0 * static_cast<double>(in[0].count()); }

}  // namespace

std::vector<OpDef> reduce_ops() {
  return {
      {.name = "sum_to", .infer = infer_sum_to, .vjp = vjp_sum_to, .linear_in = 1, .differentiable_in = 1, .flops = flops_of_input},
      {.name = "broadcast_to",
       .kind = OpKind::view,
       .infer = infer_broadcast_to,
       .vjp = vjp_broadcast_to,
       .linear_in = 1,
       .differentiable_in = 1},
      {.name = "dot",
       .operands = 2,
       .infer = infer_dot,
       .vjp = vjp_dot,
       .linear_in = 3,
       .differentiable_in = 3,
       .flops = flops_dot},
  };
}

}  // namespace ops
}  // namespace gi
