#include "engine/ops/matmul.h"

#include <fmt/format.h>

#include <utility>

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/movement.h"
#include "engine/ops/op_tables.h"
#include "engine/ops/reduce.h"

namespace gi {

using kernels::MatmulGeometry;

Value matmul(Value a, Value b, bool transpose_a, bool transpose_b) {
  const Shape &sa = a.shape(), &sb = b.shape();
  const int rank = sa.rank();
  if ((rank != 3 && rank != 4) || sb.rank() != rank)
    throw ShapeError(
        fmt::format("matmul: expected [T,M,K] and [T,K,N], or [T,B,M,K] and [T,B,K,N], got {} and {}", sa.str(), sb.str()));
  const MatmulGeometry geometry{.m = sa[transpose_a ? rank - 1 : rank - 2],
                                .n = sb[transpose_b ? rank - 2 : rank - 1],
                                .k = sa[transpose_a ? rank - 2 : rank - 1],
                                .transpose_a = transpose_a,
                                .transpose_b = transpose_b,
                                .batch = rank == 4 ? sa[1] : 1};
  const std::array<Value, 2> in{a, b};
  return a.graph->apply(op("matmul"), in, Attrs(geometry));
}

Value linear(Value h, Value weight, Value bias) {
  const Value z = matmul(h, weight, false, true);
  if (!bias) return z;
  const Shape& s = z.shape();
  return add(z, broadcast_to(reshape(bias, Shape{s[0], 1, s[2]}), s));
}

namespace ops {
namespace {

Shape infer_matmul(const Attrs& attrs, std::span<const Shape> in) {
  const auto& d = attrs.as<MatmulGeometry>();
  const auto matrix = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    if (transposed) std::swap(rows, columns);
    return in[0].rank() == 4 ? Shape{in[0].trials(), d.batch, rows, columns} : Shape{in[0].trials(), rows, columns};
  };
  const Shape a = matrix(d.m, d.k, d.transpose_a != 0), b = matrix(d.k, d.n, d.transpose_b != 0);
  if (in[0] != a || in[1] != b)
    throw ShapeError(fmt::format("matmul{}{}: operands {} and {} do not fit", d.transpose_a != 0 ? " (a transposed)" : "",
                                 d.transpose_b != 0 ? " (b transposed)" : "", in[0].str(), in[1].str()));
  return matrix(d.m, d.n, false);
}

// y = op(a) op(b). With A = op(a), B = op(b): dA = u B', dB = A' u, and a transposed operand takes the transposed product.
Cotangents vjp_matmul(const VjpArgs& args) {
  const auto d = args.attrs<MatmulGeometry>();
  const bool ta = d.transpose_a != 0, tb = d.transpose_b != 0;
  const Value a = args.in(0), b = args.in(1), u = args.cotangent;
  Cotangents ct;
  if (args.needs(0)) ct[0] = ta ? matmul(b, u, tb, true) : matmul(u, b, false, !tb);
  if (args.needs(1)) ct[1] = tb ? matmul(u, a, true, ta) : matmul(a, u, !ta, false);
  return ct;
}

double flops_matmul(const Attrs& attrs, std::span<const Shape> in, const Shape&) {
  const auto& d = attrs.as<MatmulGeometry>();
  return 2.0 * static_cast<double>(d.m * d.n * d.k * d.batch * in[0].trials());
}

}  // namespace

std::vector<OpDef> matmul_ops() {
  return {{.name = "matmul",
           .operands = 2,
           .infer = infer_matmul,
           .vjp = vjp_matmul,
           .linear_in = 3,
           .differentiable_in = 3,
           .flops = flops_matmul}};
}

}  // namespace ops
}  // namespace gi
