#include "engine/ops/losses.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/movement.h"
#include "engine/ops/op_tables.h"
#include "engine/ops/reduce.h"

namespace gi {
namespace {

Value apply1(const char* name, Value x) { return x.graph->apply(op(name), std::span(&x, 1)); }
Value apply2(const char* name, Value x, Value y) {
  const std::array<Value, 2> in{x, y};
  return x.graph->apply(op(name), in);
}

}  // namespace

Value log_softmax(Value logits) { return apply1("log_softmax", logits); }
Value softmax_residual(Value logits, Value labels) { return apply2("softmax_residual", logits, labels); }
Value softmax_vjp(Value logits, Value u) { return apply2("softmax_vjp", logits, u); }
Value cross_entropy(Value logits, Value labels) { return apply2("cross_entropy", logits, labels); }
Value total_variation(Value x) { return apply1("total_variation", x); }
Value total_variation_grad(Value x) { return apply1("total_variation_grad", x); }

namespace {

Value sum_of_dots(std::span<const Value> a, std::span<const Value> b) {
  if (a.empty() || a.size() != b.size()) throw ShapeError(fmt::format("distance: lists of {} and {} tensors", a.size(), b.size()));
  Value total;
  for (std::size_t i = 0; i < a.size(); ++i) total = total ? add(total, dot(a[i], b[i])) : dot(a[i], b[i]);
  return total;
}

}  // namespace

Value cosine_distance(std::span<const Value> a, std::span<const Value> b) {
  const Value norms = mul(sqrt(sum_of_dots(a, a)), sqrt(sum_of_dots(b, b)));
  return offset(neg(div(sum_of_dots(a, b), norms)), 1.0);
}

Value l2_distance(std::span<const Value> a, std::span<const Value> b) {
  if (a.size() != b.size()) throw ShapeError(fmt::format("distance: lists of {} and {} tensors", a.size(), b.size()));
  std::vector<Value> difference;
  for (std::size_t i = 0; i < a.size(); ++i) difference.push_back(sub(a[i], b[i]));
  return sum_of_dots(difference, difference);
}

namespace ops {
namespace {

Shape infer_rows(const Attrs&, std::span<const Shape> in) {
  for (const Shape& s : in)
    if (s.rank() != 3 || s != in[0])
      throw ShapeError(fmt::format("softmax: expected [T,N,K] throughout, got {} and {}", in[0].str(), s.str()));
  return in[0];
}
Shape infer_cross_entropy(const Attrs& attrs, std::span<const Shape> in) { return {infer_rows(attrs, in).trials()}; }
Shape infer_image(const Attrs&, std::span<const Shape> in) {
  if (in[0].rank() != 5) throw ShapeError(fmt::format("total_variation: expected [T,N,C,H,W], got {}", in[0].str()));
  return in[0];
}
Shape infer_total_variation(const Attrs& attrs, std::span<const Shape> in) { return {infer_image(attrs, in).trials()}; }

/// Sum over the last axis, spread back over it.
Value row_sum(Value v) { return broadcast_to(sum_to(v, v.shape().with(2, 1)), v.shape()); }

Cotangents vjp_log_softmax(const VjpArgs& a) { return {sub(a.cotangent, mul(exp(a.out()), row_sum(a.cotangent)))}; }

Cotangents vjp_cross_entropy(const VjpArgs& a) {  // mean over N of sum_k l_k (lse - z_k)
  const Value z = a.in(0), l = a.in(1);
  const Value u = scale(broadcast_to(a.cotangent, z.shape()), 1.0 / static_cast<double>(z.shape()[1]));
  Cotangents ct;
  if (a.needs(0)) ct[0] = mul(u, softmax_residual(z, l));
  if (a.needs(1)) ct[1] = neg(mul(u, log_softmax(z)));
  return ct;
}

Cotangents vjp_softmax_residual(const VjpArgs& a) {  // r = p sum(l) - l
  const Value z = a.in(0), l = a.in(1), c = a.cotangent;
  Cotangents ct;
  if (a.needs(0)) ct[0] = mul(row_sum(l), softmax_vjp(z, c));
  if (a.needs(1)) ct[1] = sub(row_sum(mul(exp(log_softmax(z)), c)), c);
  return ct;
}

// y = p (u - <p,u>), symmetric in u and the cotangent c: <c, y> as a function of p has the gradient
// c u - c <p,u> - u <p,c>, and dp = softmax_vjp(z, .) of it.
Cotangents vjp_softmax_vjp(const VjpArgs& a) {
  const Value z = a.in(0), u = a.in(1), c = a.cotangent;
  Cotangents ct;
  if (a.needs(0)) {
    const Value p = exp(log_softmax(z));
    ct[0] = softmax_vjp(z, sub(mul(c, sub(u, row_sum(mul(p, u)))), mul(u, row_sum(mul(p, c)))));
  }
  if (a.needs(1)) ct[1] = softmax_vjp(z, c);
  return ct;
}

Cotangents vjp_total_variation(const VjpArgs& a) {
  return {mul(broadcast_to(a.cotangent, a.in(0).shape()), total_variation_grad(a.in(0)))};
}

Value define_total_variation(std::span<const Value> in, const Attrs&) {
  const Value x = in[0];
  Value total;
  for (int axis : {3, 4}) {
    const std::int64_t extent = x.shape()[axis];
    if (extent == 1) continue;
    const Value difference = sub(slice(x, axis, 1, extent - 1), slice(x, axis, 0, extent - 1));
    const Value mean = scale(sum(abs(difference)), 1.0 / static_cast<double>(difference.shape().count_per_trial()));
    total = total ? add(total, mean) : mean;
  }
  return total ? total : x.graph->fill(Shape{x.shape().trials()}, 0.0);
}

Value define_total_variation_grad(std::span<const Value> in, const Attrs&) {
  const Value x = in[0];
  Value total = x.graph->fill(x.shape(), 0.0);
  for (int axis : {3, 4}) {
    const std::int64_t extent = x.shape()[axis];
    if (extent == 1) continue;
    const Value difference = sub(slice(x, axis, 1, extent - 1), slice(x, axis, 0, extent - 1));
    const Value s = scale(sign(difference), 1.0 / static_cast<double>(difference.shape().count_per_trial()));
    PadAttrs upper, lower;
    upper.before[axis] = lower.after[axis] = 1;
    total = add(total, sub(pad(s, upper), pad(s, lower)));
  }
  return total;
}

template <int kFlops>
double flops_of_input(const Attrs&, std::span<const Shape> in, const Shape&) {
  return kFlops * static_cast<double>(in[0].count());
}

}  // namespace

std::vector<OpDef> loss_ops() {
  return {
      {.name = "log_softmax", .infer = infer_rows, .vjp = vjp_log_softmax, .differentiable_in = 1, .flops = flops_of_input<5>},
      {.name = "cross_entropy",
       .operands = 2,
       .infer = infer_cross_entropy,
       .vjp = vjp_cross_entropy,
       .linear_in = 2,
       .differentiable_in = 3,
       .flops = flops_of_input<6>},
      {.name = "softmax_residual",
       .operands = 2,
       .infer = infer_rows,
       .vjp = vjp_softmax_residual,
       .linear_in = 2,
       .differentiable_in = 3,
       .flops = flops_of_input<8>},
      {.name = "softmax_vjp",
       .operands = 2,
       .infer = infer_rows,
       .vjp = vjp_softmax_vjp,
       .linear_in = 2,
       .differentiable_in = 3,
       .flops = flops_of_input<8>},
      {.name = "total_variation",
       .infer = infer_total_variation,
       .vjp = vjp_total_variation,
       .decompose = define_total_variation,
       .differentiable_in = 1,
       .flops = flops_of_input<6>},
      {.name = "total_variation_grad", .infer = infer_image, .decompose = define_total_variation_grad, .flops = flops_of_input<8>},
  };
}

}  // namespace ops
}  // namespace gi
