#include "engine/ops/winograd.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/ops/op_tables.h"

namespace gi {

using kernels::WinogradFilter;

namespace {
template <class Pod>
Value apply(const char* name, Value x, const Pod& attrs) {
  return x.graph->apply(op(name), std::span(&x, 1), Attrs(attrs));
}
}  // namespace

Value winograd_input(Value x, const WinogradGeometry& d) { return apply("winograd_input", x, d); }
Value winograd_input_grad(Value q, const WinogradGeometry& d) { return apply("winograd_input_grad", q, d); }
Value winograd_output(Value m, const WinogradGeometry& d) { return apply("winograd_output", m, d); }
Value winograd_output_grad(Value g, const WinogradGeometry& d) { return apply("winograd_output_grad", g, d); }
Value winograd_filter(Value w, std::int64_t tile) { return apply("winograd_filter", w, WinogradFilter{tile}); }
Value winograd_filter_grad(Value u, std::int64_t tile) { return apply("winograd_filter_grad", u, WinogradFilter{tile}); }

namespace ops {
namespace {

/// [T,N,C,height,width] -> [T,side^2,C,columns].
Shape to_products(const char* name, const WinogradGeometry& d, const Shape& s, std::int64_t height, std::int64_t width) {
  if (s.rank() != 5 || s[1] != d.n || s[3] != height || s[4] != width)
    throw ShapeError(fmt::format("{}: operand {}, the geometry expects [T,{},C,{},{}]", name, s.str(), d.n, height, width));
  return {s[0], d.side() * d.side(), s[2], d.columns};
}
Shape from_products(const char* name, const WinogradGeometry& d, const Shape& s, std::int64_t height, std::int64_t width) {
  if (s.rank() != 4 || s[1] != d.side() * d.side() || s[3] != d.columns)
    throw ShapeError(
        fmt::format("{}: operand {}, the geometry expects [T,{},C,{}]", name, s.str(), d.side() * d.side(), d.columns));
  return {s[0], d.n, s[2], height, width};
}

Shape infer_input(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradGeometry>();
  return to_products("winograd_input", d, in[0], d.h, d.w);
}
Shape infer_input_grad(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradGeometry>();
  return from_products("winograd_input_grad", d, in[0], d.h, d.w);
}
Shape infer_output(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradGeometry>();
  return from_products("winograd_output", d, in[0], d.p, d.q);
}
Shape infer_output_grad(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradGeometry>();
  return to_products("winograd_output_grad", d, in[0], d.p, d.q);
}
Shape infer_filter(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradFilter>();
  if (in[0].rank() != 5 || in[0][3] != 3 || in[0][4] != 3)
    throw ShapeError(fmt::format("winograd_filter: expected [T,K,C,3,3], got {}", in[0].str()));
  return {in[0][0], d.side() * d.side(), in[0][1], in[0][2]};
}
Shape infer_filter_grad(const Attrs& a, std::span<const Shape> in) {
  const auto& d = a.as<WinogradFilter>();
  if (in[0].rank() != 4 || in[0][1] != d.side() * d.side())
    throw ShapeError(fmt::format("winograd_filter_grad: expected [T,{},K,C], got {}", d.side() * d.side(), in[0].str()));
  return {in[0][0], in[0][2], in[0][3], 3, 3};
}

Cotangents vjp_input(const VjpArgs& a) { return {winograd_input_grad(a.cotangent, a.attrs<WinogradGeometry>())}; }
Cotangents vjp_input_grad(const VjpArgs& a) { return {winograd_input(a.cotangent, a.attrs<WinogradGeometry>())}; }
Cotangents vjp_output(const VjpArgs& a) { return {winograd_output_grad(a.cotangent, a.attrs<WinogradGeometry>())}; }
Cotangents vjp_output_grad(const VjpArgs& a) { return {winograd_output(a.cotangent, a.attrs<WinogradGeometry>())}; }
Cotangents vjp_filter(const VjpArgs& a) { return {winograd_filter_grad(a.cotangent, a.attrs<WinogradFilter>().tile)}; }
Cotangents vjp_filter_grad(const VjpArgs& a) { return {winograd_filter(a.cotangent, a.attrs<WinogradFilter>().tile)}; }

/// As the kernels do it, sparse coefficients not counted apart: two products with a matrix of at most side x side a window.
double flops(const Attrs&, std::span<const Shape> in, const Shape& out) {
  return 4.0 * static_cast<double>(std::max(in[0].count(), out.count()));
}

OpDef linear(const char* name, Shape (*infer)(const Attrs&, std::span<const Shape>), Cotangents (*vjp)(const VjpArgs&)) {
  return {.name = name, .infer = infer, .vjp = vjp, .linear_in = 1, .differentiable_in = 1, .flops = flops};
}

}  // namespace

std::vector<OpDef> winograd_ops() {
  return {linear("winograd_input", infer_input, vjp_input),    linear("winograd_input_grad", infer_input_grad, vjp_input_grad),
          linear("winograd_output", infer_output, vjp_output), linear("winograd_output_grad", infer_output_grad, vjp_output_grad),
          linear("winograd_filter", infer_filter, vjp_filter), linear("winograd_filter_grad", infer_filter_grad, vjp_filter_grad)};
}

}  // namespace ops
}  // namespace gi
