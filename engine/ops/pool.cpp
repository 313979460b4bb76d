#include "engine/ops/pool.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/op_tables.h"
#include "kernels/conv2d/conv2d.h"

namespace gi {

PoolGeometry pool_geometry(const Shape& x, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  if (x.rank() != 5) throw ShapeError(fmt::format("pool: expected [T,N,C,H,W], got {}", x.str()));
  if (window < 1 || stride < 1 || pad < 0 || 2 * pad > window || window > x[3] + 2 * pad || window > x[4] + 2 * pad)
    throw ShapeError(fmt::format("pool: window {}, stride {}, pad {} on {}", window, stride, pad, x.str()));
  return {.h = x[3],
          .w = x[4],
          .r = window,
          .s = window,
          .p = kernels::conv_output_extent(x[3], window, stride, pad),
          .q = kernels::conv_output_extent(x[4], window, stride, pad),
          .stride_h = stride,
          .stride_w = stride,
          .pad_h = pad,
          .pad_w = pad};
}

namespace {
Value apply1(const char* name, Value x, const PoolGeometry& d) { return x.graph->apply(op(name), std::span(&x, 1), Attrs(d)); }
Value apply2(const char* name, Value x, Value y, const PoolGeometry& d) {
  const std::array<Value, 2> in{x, y};
  return x.graph->apply(op(name), in, Attrs(d));
}
}  // namespace

Value avg_pool(Value x, const PoolGeometry& d) { return apply1("avg_pool", x, d); }
Value avg_pool_grad(Value g, const PoolGeometry& d) { return apply1("avg_pool_grad", g, d); }
Value max_select(Value v, Value d, const PoolGeometry& geometry) { return apply2("max_select", v, d, geometry); }
Value max_scatter(Value g, Value d, const PoolGeometry& geometry) { return apply2("max_scatter", g, d, geometry); }

namespace ops {
namespace {

Shape images(const Shape& s, std::int64_t h, std::int64_t w) { return s.with(3, h).with(4, w); }

void expect(const char* name, const Shape& got, std::int64_t h, std::int64_t w) {
  if (got.rank() != 5 || got[3] != h || got[4] != w)
    throw ShapeError(fmt::format("{}: operand {}, the geometry expects [T,N,C,{},{}]", name, got.str(), h, w));
}

Shape infer_avg_pool(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<PoolGeometry>();
  expect("avg_pool", in[0], d.h, d.w);
  return images(in[0], d.p, d.q);
}
Shape infer_avg_pool_grad(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<PoolGeometry>();
  expect("avg_pool_grad", in[0], d.p, d.q);
  return images(in[0], d.h, d.w);
}
Shape infer_max_select(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<PoolGeometry>();
  expect("max_select", in[0], d.h, d.w);
  if (in[0] != in[1]) throw ShapeError(fmt::format("max_select: operands {} and {} differ", in[0].str(), in[1].str()));
  return images(in[0], d.p, d.q);
}
Shape infer_max_scatter(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<PoolGeometry>();
  expect("max_scatter", in[0], d.p, d.q);
  if (in[1] != images(in[0], d.h, d.w))
    throw ShapeError(fmt::format("max_scatter: operands {} and {} do not fit", in[0].str(), in[1].str()));
  return in[1];
}

Cotangents vjp_avg_pool(const VjpArgs& a) { return {avg_pool_grad(a.cotangent, a.attrs<PoolGeometry>())}; }
Cotangents vjp_avg_pool_grad(const VjpArgs& a) { return {avg_pool(a.cotangent, a.attrs<PoolGeometry>())}; }
Cotangents vjp_max_select(const VjpArgs& a) { return {max_scatter(a.cotangent, a.in(1), a.attrs<PoolGeometry>())}; }
Cotangents vjp_max_scatter(const VjpArgs& a) { return {max_select(a.cotangent, a.in(1), a.attrs<PoolGeometry>())}; }

double flops_pool(const Attrs& attrs, std::span<const Shape> in, const Shape&) {
  const auto& d = attrs.as<PoolGeometry>();
  return static_cast<double>(in[0].trials() * in[0][1] * in[0][2] * d.p * d.q * d.r * d.s);
}

}  // namespace

std::vector<OpDef> pool_ops() {
  return {
      {.name = "avg_pool",
       .infer = infer_avg_pool,
       .vjp = vjp_avg_pool,
       .linear_in = 1,
       .differentiable_in = 1,
       .flops = flops_pool},
      {.name = "avg_pool_grad",
       .infer = infer_avg_pool_grad,
       .vjp = vjp_avg_pool_grad,
       .linear_in = 1,
       .differentiable_in = 1,
       .flops = flops_pool},
      {.name = "max_select",
       .operands = 2,
       .infer = infer_max_select,
       .vjp = vjp_max_select,
       .linear_in = 1,
       .differentiable_in = 1,
       .flops = flops_pool},
      {.name = "max_scatter",
       .operands = 2,
       .infer = infer_max_scatter,
       .vjp = vjp_max_scatter,
       .linear_in = 1,
       .differentiable_in = 1,
       .flops = flops_pool},
  };
}

}  // namespace ops
}  // namespace gi
