// Products of matrices, a trial at a time.   Semantics kernels/matmul/matmul.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"
#include "kernels/matmul/matmul.h"

namespace gi {

/// op(a) op(b): a [T,M,K] (or [T,K,M] transposed), b [T,K,N] (or [T,N,K]) -> [T,M,N]. Errors ShapeError: extents disagree.
Value matmul(Value a, Value b, bool transpose_a = false, bool transpose_b = false);
/// h [T,N,F], weight [T,K,F], bias [T,K] or empty -> h weight' + bias, [T,N,K].
Value linear(Value h, Value weight, Value bias = {});

}  // namespace gi
