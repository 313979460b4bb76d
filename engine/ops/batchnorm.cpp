#include "engine/ops/batchnorm.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/movement.h"
#include "engine/ops/op_tables.h"
#include "engine/ops/reduce.h"
#include "kernels/batchnorm/batchnorm.h"

namespace gi {

using kernels::BatchnormAttrs;

Value batchnorm(Value x, double eps) { return x.graph->apply(op("batchnorm"), std::span(&x, 1), Attrs(BatchnormAttrs{eps})); }
Value batchnorm_grad(Value g, Value x, double eps) {
  const std::array<Value, 2> in{g, x};
  return x.graph->apply(op("batchnorm_grad"), in, Attrs(BatchnormAttrs{eps}));
}
Value batchnorm_grad2(Value u, Value g, Value x, double eps) {
  const std::array<Value, 3> in{u, g, x};
  return x.graph->apply(op("batchnorm_grad2"), in, Attrs(BatchnormAttrs{eps}));
}

Value per_channel(Value v, const Shape& like) {
  if (v.shape() != Shape{like[0], like[2]})
    throw ShapeError(fmt::format("batchnorm: {} values for the channels of {}", v.shape().str(), like.str()));
  return broadcast_to(reshape(v, Shape{like[0], 1, like[2], 1, 1}), like);
}

Value batchnorm_train(Value x, Value weight, Value bias, double eps) {
  return add(mul(batchnorm(x, eps), per_channel(weight, x.shape())), per_channel(bias, x.shape()));
}

Value batchnorm_eval(Value x, Value weight, Value bias, Value mean, Value var, double eps) {
  const Value inverse = rsqrt(offset(var, eps));  // of constants: formed once
  const Value normalised = mul(sub(x, per_channel(mean, x.shape())), per_channel(inverse, x.shape()));
  return add(mul(normalised, per_channel(weight, x.shape())), per_channel(bias, x.shape()));
}

namespace ops {
namespace {

Shape infer_batchnorm(const Attrs&, std::span<const Shape> in) {
  for (const Shape& s : in)
    if (s.rank() != 5 || s != in[0])
      throw ShapeError(fmt::format("batchnorm: expected [T,N,C,H,W] throughout, got {} and {}", in[0].str(), s.str()));
  return in[0];
}

// What the definitions share: statistics over N, H, W, spread back over x.
struct Parts {
  explicit Parts(Value x, double eps) : shape(x.shape()) {
    centred = sub(x, mean(x));
    inverse = rsqrt(offset(mean(square(centred)), eps));
    normalised = mul(centred, inverse);
  }
  Value mean(Value v) const {
    const Shape channel = shape.with(1, 1).with(3, 1).with(4, 1);
    return broadcast_to(scale(sum_to(v, channel), 1.0 / static_cast<double>(shape[1] * shape[3] * shape[4])), shape);
  }
  Shape shape;
  Value centred, inverse, normalised;
};

Value define_batchnorm(std::span<const Value> in, const Attrs& attrs) {
  return Parts(in[0], attrs.as<BatchnormAttrs>().eps).normalised;
}

Value define_batchnorm_grad(std::span<const Value> in, const Attrs& attrs) {
  const Parts p(in[1], attrs.as<BatchnormAttrs>().eps);
  const Value g = in[0], along = mul(p.normalised, p.mean(mul(g, p.normalised)));
  return mul(p.inverse, sub(sub(g, p.mean(g)), along));
}

Value define_batchnorm_grad2(std::span<const Value> in, const Attrs& attrs) {
  const Parts p(in[2], attrs.as<BatchnormAttrs>().eps);
  const Value u = sub(in[0], p.mean(in[0])), g = sub(in[1], p.mean(in[1])), xh = p.normalised;
  const Value a = p.mean(mul(u, xh)), b = p.mean(mul(g, xh)), c = p.mean(mul(u, g));
  const Value bracket = add(mul(xh, sub(c, scale(mul(a, b), 3.0))), add(mul(b, u), mul(a, g)));
  return neg(mul(square(p.inverse), bracket));
}

Cotangents vjp_batchnorm(const VjpArgs& a) { return {batchnorm_grad(a.cotangent, a.in(0), a.attrs<BatchnormAttrs>().eps)}; }
Cotangents vjp_batchnorm_grad(const VjpArgs& a) {
  const double eps = a.attrs<BatchnormAttrs>().eps;
  Cotangents ct;
  if (a.needs(0)) ct[0] = batchnorm_grad(a.cotangent, a.in(1), eps);
  if (a.needs(1)) ct[1] = batchnorm_grad2(a.cotangent, a.in(0), a.in(1), eps);
  return ct;
}

template <int kFlops>
double flops_per_element(const Attrs&, std::span<const Shape>, const Shape& out) {
  return kFlops * static_cast<double>(out.count());
}

}  // namespace

std::vector<OpDef> batchnorm_ops() {
  return {
      {.name = "batchnorm",
       .infer = infer_batchnorm,
       .vjp = vjp_batchnorm,
       .decompose = define_batchnorm,
       .differentiable_in = 1,
       .flops = flops_per_element<6>},
      {.name = "batchnorm_grad",
       .operands = 2,
       .infer = infer_batchnorm,
       .vjp = vjp_batchnorm_grad,
       .decompose = define_batchnorm_grad,
       .linear_in = 1,
       .differentiable_in = 3,
       .flops = flops_per_element<12>},
      {.name = "batchnorm_grad2",
       .operands = 3,
       .infer = infer_batchnorm,
       .decompose = define_batchnorm_grad2,
       .linear_in = 3,
       .differentiable_in = 7,
       .flops = flops_per_element<18>},
  };
}

}  // namespace ops
}  // namespace gi
