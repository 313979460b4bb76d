#include "engine/ops/conv2d.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/op_tables.h"

namespace gi {

Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  if (x.rank() != 5 || w.rank() != 5)
    throw ShapeError(fmt::format("conv2d: expected x [T,N,C,H,W] and w [T,K,C,R,S], got {} and {}", x.str(), w.str()));
  if (o.stride < 1 || o.pad < 0 || o.groups < 1)
    throw ShapeError(fmt::format("conv2d: stride {}, pad {}, groups {}", o.stride, o.pad, o.groups));
  if (x[2] % o.groups != 0 || w[1] % o.groups != 0 || w[2] != x[2] / o.groups)
    throw ShapeError(fmt::format("conv2d: filter {} has {} input channels, image {} in {} group(s) has {}", w.str(), w[2], x.str(),
                                 o.groups, x[2] / o.groups));
  if (w[3] > x[3] + 2 * o.pad || w[4] > x[4] + 2 * o.pad)
    throw ShapeError(fmt::format("conv2d: filter {} is larger than image {} padded by {}", w.str(), x.str(), o.pad));
  return {.c = x[2],
          .k = w[1],
          .h = x[3],
          .w = x[4],
          .r = w[3],
          .s = w[4],
          .p = kernels::conv_output_extent(x[3], w[3], o.stride, o.pad),
          .q = kernels::conv_output_extent(x[4], w[4], o.stride, o.pad),
          .stride_h = o.stride,
          .stride_w = o.stride,
          .pad_h = o.pad,
          .pad_w = o.pad,
          .groups = o.groups};
}

Value conv2d(Value x, Value w, const Conv2dGeometry& geometry) {
  const std::array<Value, 2> in{x, w};
  return x.graph->apply(op("conv2d"), in, Attrs(geometry));
}
Value conv2d_grad_input(Value g, Value w, const Conv2dGeometry& geometry) {
  const std::array<Value, 2> in{g, w};
  return g.graph->apply(op("conv2d_grad_input"), in, Attrs(geometry));
}
Value conv2d_grad_weight(Value x, Value g, const Conv2dGeometry& geometry) {
  const std::array<Value, 2> in{x, g};
  return x.graph->apply(op("conv2d_grad_weight"), in, Attrs(geometry));
}

namespace ops {
namespace {

// The three shapes of the form T(x, w, g) = <conv2d(x, w), g>.
Shape shape_x(const Conv2dGeometry& d, std::int64_t t, std::int64_t n) { return {t, n, d.c, d.h, d.w}; }
Shape shape_w(const Conv2dGeometry& d, std::int64_t t) { return {t, d.k, d.c_per_group(), d.r, d.s}; }
Shape shape_g(const Conv2dGeometry& d, std::int64_t t, std::int64_t n) { return {t, n, d.k, d.p, d.q}; }

void expect(const char* name, const char* operand, const Shape& got, const Shape& expected) {
  if (got != expected)
    throw ShapeError(fmt::format("{}: {} is {}, the geometry expects {}", name, operand, got.str(), expected.str()));
}

Shape infer_conv2d(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<Conv2dGeometry>();
  expect("conv2d", "x", in[0], shape_x(d, in[0].trials(), in[0][1]));
  expect("conv2d", "w", in[1], shape_w(d, in[0].trials()));
  return shape_g(d, in[0].trials(), in[0][1]);
}
Shape infer_grad_input(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<Conv2dGeometry>();
  expect("conv2d_grad_input", "g", in[0], shape_g(d, in[0].trials(), in[0][1]));
  expect("conv2d_grad_input", "w", in[1], shape_w(d, in[0].trials()));
  return shape_x(d, in[0].trials(), in[0][1]);
}
Shape infer_grad_weight(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<Conv2dGeometry>();
  expect("conv2d_grad_weight", "x", in[0], shape_x(d, in[0].trials(), in[0][1]));
  expect("conv2d_grad_weight", "g", in[1], shape_g(d, in[0].trials(), in[0][1]));
  return shape_w(d, in[0].trials());
}

// Each rule differentiates one partial of T, in graph values only.
Cotangents vjp_conv2d(const VjpArgs& a) {  // inputs x, w; cotangent u
  const auto geometry = a.attrs<Conv2dGeometry>();
  const Value x = a.in(0), w = a.in(1), u = a.cotangent;
  Cotangents ct;  // empty = symbolic zero
  if (a.needs(0)) ct[0] = conv2d_grad_input(u, w, geometry);
  if (a.needs(1)) ct[1] = conv2d_grad_weight(x, u, geometry);
  return ct;
}
Cotangents vjp_conv2d_grad_input(const VjpArgs& a) {  // inputs g, w; cotangent u
  const auto geometry = a.attrs<Conv2dGeometry>();
  const Value g = a.in(0), w = a.in(1), u = a.cotangent;
  Cotangents ct;
  if (a.needs(0)) ct[0] = conv2d(u, w, geometry);
  if (a.needs(1)) ct[1] = conv2d_grad_weight(u, g, geometry);
  return ct;
}
Cotangents vjp_conv2d_grad_weight(const VjpArgs& a) {  // inputs x, g; cotangent u
  const auto geometry = a.attrs<Conv2dGeometry>();
  const Value x = a.in(0), g = a.in(1), u = a.cotangent;
  Cotangents ct;
  if (a.needs(0)) ct[0] = conv2d_grad_input(g, u, geometry);
  if (a.needs(1)) ct[1] = conv2d(x, u, geometry);
  return ct;
}

/// Images times filters, whatever the form's member: x and g name N, w does not.
double flops_conv2d(const Attrs& attrs, std::span<const Shape> in, const Shape&) {
  return 2.0 * static_cast<double>(attrs.as<Conv2dGeometry>().macs() * in[0].trials() * in[0][1]);
}

}  // namespace

std::vector<OpDef> conv2d_ops() {
  const auto member = [](const char* name, auto infer, auto vjp) {
    return OpDef{
        .name = name, .operands = 2, .infer = infer, .vjp = vjp, .linear_in = 3, .differentiable_in = 3, .flops = flops_conv2d};
  };
  return {member("conv2d", infer_conv2d, vjp_conv2d), member("conv2d_grad_input", infer_grad_input, vjp_conv2d_grad_input),
          member("conv2d_grad_weight", infer_grad_weight, vjp_conv2d_grad_weight)};
}

}  // namespace ops
}  // namespace gi
