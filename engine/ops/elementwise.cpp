#include "engine/ops/elementwise.h"

#include <fmt/format.h>

#include <optional>

#include "engine/core/error.h"
#include "engine/ops/op_tables.h"
#include "kernels/api/elementwise.h"

namespace gi {

using kernels::Elementwise;
using kernels::ElementwiseAttrs;

namespace {

/// The constant all elements of v share, if its node says so: what the algebra below simplifies by.
std::optional<double> constant_of(Value v) {
  const Node& n = v.graph->node(v.id);
  if (n.op->name == "fill") return n.attrs.as<double>();
  if (n.op->name == "broadcast_to") return constant_of({v.graph, n.inputs[0]});
  return std::nullopt;
}

const OpDef& def(Elementwise e) { return op(kernels::kElementwiseNames[static_cast<int>(e)]); }

Value apply1(Elementwise e, Value x, double a = 0, double b = 0) {
  return x.graph->apply(def(e), std::span(&x, 1), Attrs(ElementwiseAttrs{a, b}));
}
Value apply2(Elementwise e, Value x, Value y, double a = 0, double b = 0) {
  const std::array<Value, 2> in{x, y};
  return x.graph->apply(def(e), in, Attrs(ElementwiseAttrs{a, b}));
}
Value fill_like(Value v, double c) { return v.graph->fill(v.shape(), c); }

}  // namespace

Value add(Value a, Value b) {
  const auto ca = constant_of(a), cb = constant_of(b);
  if (ca && a.shape() == b.shape()) return offset(b, *ca);
  if (cb && a.shape() == b.shape()) return offset(a, *cb);
  return apply2(Elementwise::add, a, b);
}
Value sub(Value a, Value b) {
  if (const auto cb = constant_of(b); cb && a.shape() == b.shape()) return offset(a, -*cb);
  return apply2(Elementwise::sub, a, b);
}
Value mul(Value a, Value b) {
  const auto ca = constant_of(a), cb = constant_of(b);
  if (ca && a.shape() == b.shape()) return scale(b, *ca);
  if (cb && a.shape() == b.shape()) return scale(a, *cb);
  return apply2(Elementwise::mul, a, b);
}
Value div(Value a, Value b) { return apply2(Elementwise::div, a, b); }
Value scale(Value x, double factor) {
  if (factor == 1.0) return x;
  if (const auto c = constant_of(x)) return fill_like(x, *c * factor);
  const Node& n = x.graph->node(x.id);
  if (n.op->elementwise == static_cast<int>(Elementwise::scale))
    return scale({x.graph, n.inputs[0]}, factor * n.attrs.as<ElementwiseAttrs>().a);
  return apply1(Elementwise::scale, x, factor);
}
Value offset(Value x, double summand) {
  if (summand == 0.0) return x;
  if (const auto c = constant_of(x)) return fill_like(x, *c + summand);
  return apply1(Elementwise::offset, x, summand);
}
Value neg(Value x) { return scale(x, -1.0); }
Value square(Value x) { return mul(x, x); }
Value exp(Value x) { return apply1(Elementwise::exp, x); }
Value log(Value x) { return apply1(Elementwise::log, x); }
Value sqrt(Value x) { return apply1(Elementwise::sqrt, x); }
Value rsqrt(Value x) { return apply1(Elementwise::rsqrt, x); }
Value recip(Value x) { return apply1(Elementwise::recip, x); }
Value tanh(Value x) { return apply1(Elementwise::tanh, x); }
Value sigmoid(Value x) { return apply1(Elementwise::sigmoid, x); }
Value abs(Value x) { return apply1(Elementwise::abs, x); }
Value sign(Value x) { return apply1(Elementwise::sign, x); }
Value maximum(Value a, Value b) { return apply2(Elementwise::maximum, a, b); }
Value minimum(Value a, Value b) { return apply2(Elementwise::minimum, a, b); }
Value relu_mask(Value g, Value d) { return apply2(Elementwise::relu_mask, g, d); }
Value leaky_relu_mask(Value g, Value d, double slope) { return apply2(Elementwise::leaky_relu_mask, g, d, slope); }
Value clamp(Value v, Value d, double low, double high) {
  if (!(low < high)) throw UsageError(fmt::format("clamp: low {} is not below high {}", low, high));
  return apply2(Elementwise::clamp, v, d, low, high);
}
Value clamp_mask(Value g, Value d, double low, double high) { return apply2(Elementwise::clamp_mask, g, d, low, high); }

namespace ops {
namespace {

Shape infer_equal(const Attrs&, std::span<const Shape> in) {
  for (const Shape& s : in)
    if (s != in[0]) throw ShapeError(fmt::format("elementwise: operands {} and {} differ", in[0].str(), s.str()));
  return in[0];
}

const ElementwiseAttrs& attrs(const VjpArgs& a) { return a.attrs<ElementwiseAttrs>(); }

Cotangents vjp_copy(const VjpArgs& a) { return {a.cotangent}; }
Cotangents vjp_add(const VjpArgs& a) { return {a.cotangent, a.cotangent}; }
Cotangents vjp_sub(const VjpArgs& a) {
  Cotangents ct{a.cotangent};
  if (a.needs(1)) ct[1] = neg(a.cotangent);
  return ct;
}
Cotangents vjp_mul(const VjpArgs& a) {
  Cotangents ct;
  if (a.needs(0)) ct[0] = mul(a.cotangent, a.in(1));
  if (a.needs(1)) ct[1] = mul(a.cotangent, a.in(0));
  return ct;
}
Cotangents vjp_div(const VjpArgs& a) {  // y = p/q: u/q and -u y/q
  const Value share = div(a.cotangent, a.in(1));
  Cotangents ct;
  if (a.needs(0)) ct[0] = share;
  if (a.needs(1)) ct[1] = neg(mul(share, a.out()));
  return ct;
}
Cotangents vjp_scale(const VjpArgs& a) { return {scale(a.cotangent, attrs(a).a)}; }
Cotangents vjp_exp(const VjpArgs& a) { return {mul(a.cotangent, a.out())}; }
Cotangents vjp_log(const VjpArgs& a) { return {div(a.cotangent, a.in(0))}; }
Cotangents vjp_sqrt(const VjpArgs& a) { return {scale(div(a.cotangent, a.out()), 0.5)}; }
Cotangents vjp_rsqrt(const VjpArgs& a) {  // y = x^-1/2, y' = -y^3/2
  return {scale(mul(a.cotangent, mul(a.out(), square(a.out()))), -0.5)};
}
Cotangents vjp_recip(const VjpArgs& a) { return {neg(mul(a.cotangent, square(a.out())))}; }
Cotangents vjp_tanh(const VjpArgs& a) { return {mul(a.cotangent, offset(neg(square(a.out())), 1.0))}; }
Cotangents vjp_sigmoid(const VjpArgs& a) {  // s' = s (1 - s)
  return {mul(a.cotangent, mul(a.out(), offset(neg(a.out()), 1.0)))};
}
Cotangents vjp_abs(const VjpArgs& a) { return {mul(a.cotangent, sign(a.in(0)))}; }
/// What decides the mask. An activation relu_mask(x, x) is above 0 where x is, and is kept anyway.
Value decider(const VjpArgs& a) { return a.in(0) == a.in(1) && attrs(a).a >= 0 ? a.out() : a.in(1); }
Cotangents vjp_relu_mask(const VjpArgs& a) { return {relu_mask(a.cotangent, decider(a))}; }
Cotangents vjp_leaky_relu_mask(const VjpArgs& a) { return {leaky_relu_mask(a.cotangent, decider(a), attrs(a).a)}; }
Cotangents vjp_clamp(const VjpArgs& a) { return {clamp_mask(a.cotangent, a.in(1), attrs(a).a, attrs(a).b)}; }
Cotangents vjp_maximum(const VjpArgs& a) {  // ties go to the second operand
  const Value first = relu_mask(a.cotangent, sub(a.in(0), a.in(1)));
  return {first, a.needs(1) ? sub(a.cotangent, first) : Value{}};
}
Cotangents vjp_minimum(const VjpArgs& a) {
  const Value first = relu_mask(a.cotangent, sub(a.in(1), a.in(0)));
  return {first, a.needs(1) ? sub(a.cotangent, first) : Value{}};
}

}  // namespace

std::vector<OpDef> elementwise_ops() {
  struct Row {
    Elementwise op;
    Cotangents (*vjp)(const VjpArgs&);
    unsigned linear_in, differentiable_in;
  };
  const Row rows[] = {
      {Elementwise::copy, vjp_copy, 1, 1},
      {Elementwise::add, vjp_add, 0, 3},
      {Elementwise::sub, vjp_sub, 0, 3},
      {Elementwise::mul, vjp_mul, 3, 3},
      {Elementwise::div, vjp_div, 1, 3},
      {Elementwise::scale, vjp_scale, 1, 1},
      {Elementwise::offset, vjp_copy, 0, 1},
      {Elementwise::exp, vjp_exp, 0, 1},
      {Elementwise::log, vjp_log, 0, 1},
      {Elementwise::sqrt, vjp_sqrt, 0, 1},
      {Elementwise::rsqrt, vjp_rsqrt, 0, 1},
      {Elementwise::recip, vjp_recip, 0, 1},
      {Elementwise::tanh, vjp_tanh, 0, 1},
      {Elementwise::sigmoid, vjp_sigmoid, 0, 1},
      {Elementwise::abs, vjp_abs, 0, 1},
      {Elementwise::sign, nullptr, 0, 0},
      {Elementwise::relu_mask, vjp_relu_mask, 1, 1},
      {Elementwise::leaky_relu_mask, vjp_leaky_relu_mask, 1, 1},
      {Elementwise::clamp, vjp_clamp, 0, 1},
      {Elementwise::clamp_mask, vjp_clamp, 1, 1},
      {Elementwise::maximum, vjp_maximum, 0, 3},
      {Elementwise::minimum, vjp_minimum, 0, 3},
  };
  std::vector<OpDef> table;
  for (const Row& r : rows)
    table.push_back({.name = kernels::kElementwiseNames[static_cast<int>(r.op)],
                     .kind = OpKind::elementwise,
                     .operands = kernels::arity(r.op),
                     .infer = infer_equal,
                     .vjp = r.vjp,
                     .linear_in = r.linear_in,
                     .differentiable_in = r.differentiable_in,
                     .elementwise = static_cast<int>(r.op)});
  return table;
}

}  // namespace ops
}  // namespace gi
