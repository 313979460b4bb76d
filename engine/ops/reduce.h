// Sums, inner products and broadcasts.   Semantics kernels/reduce/reduce.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"

namespace gi {

/// Sum over the axes whose extent is 1 in `shape`; `shape` [T] sums all of a trial, [1] all. Errors ShapeError: not such a shape.
Value sum_to(Value x, Shape shape);
/// The adjoint of sum_to. [T] broadcasts to any shape of T trials, [1] to any.
Value broadcast_to(Value x, Shape shape);
/// [T]: sum of a trial's elements.
Value sum(Value x);
/// [T]: sum of a*b over a trial's elements, f64 in every Plan.
Value dot(Value a, Value b);
/// [T]: sqrt(dot(x, x)).
Value norm(Value x);
/// [T,N,C,H,W] -> [T,N,C,1,1].
Value global_avg_pool(Value x);

}  // namespace gi
