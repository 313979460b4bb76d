// Pooling.   Semantics kernels/pool/pool.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"
#include "kernels/pool/pool.h"

namespace gi {

using kernels::PoolGeometry;

/// Windows of `window`, `stride` apart, on images [.,.,.,H,W]. Errors ShapeError: the window is larger than the padded image,
/// or padding is half a window or more.
PoolGeometry pool_geometry(const Shape& x, std::int64_t window, std::int64_t stride, std::int64_t pad = 0);

Value avg_pool(Value x, const PoolGeometry& geometry);
Value avg_pool_grad(Value g, const PoolGeometry& geometry);
/// v at the first argmax of d in each window: linear in v, no derivative in d. max_pool(x) is max_select(x, x).
Value max_select(Value v, Value d, const PoolGeometry& geometry);
Value max_scatter(Value g, Value d, const PoolGeometry& geometry);
inline Value max_pool(Value x, const PoolGeometry& geometry) { return max_select(x, x, geometry); }

}  // namespace gi
