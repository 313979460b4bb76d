// The convolution family: three partial gradients of one trilinear form, closed under differentiation.
#pragma once

#include "engine/graph/graph.h"
#include "kernels/conv2d/conv2d.h"

namespace gi {

using kernels::Conv2dGeometry;

struct Conv2dOptions {
  std::int64_t stride = 1, pad = 0, groups = 1;
};

/// Geometry of images x [.,.,C,H,W] and filters w [.,K,C/groups,R,S]. Errors ShapeError: they do not fit.
Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2dOptions& options);

/// Cross-correlation of images with a bank of filters.
///
///   y[t,n,k,p,q] = sum_{c,r,s} x[t,n,c, p*stride + r - pad, q*stride + s - pad] * w[t,k,c,r,s]
///
/// Shapes   x [T,N,C,H,W], w [T,K,C/groups,R,S] (shared filters: broadcast_to of a leaf [1,...]) -> y [T,N,K,P,Q],
///          P = floor((H + 2 pad - R) / stride) + 1.
/// Errors   ShapeError: ranks, channel counts or trial counts disagree; filter larger than the padded image.
/// Source   trilinear family, see engine/README.md.   Tests tests/ops/   Bench gi_bench --filter=conv2d
Value conv2d(Value x, Value w, const Conv2dGeometry& geometry);
inline Value conv2d(Value x, Value w, const Conv2dOptions& options = {}) {
  return conv2d(x, w, conv2d_geometry(x.shape(), w.shape(), options));
}
/// g [T,N,K,P,Q], w [T,K,C/groups,R,S] -> [T,N,C,H,W].
Value conv2d_grad_input(Value g, Value w, const Conv2dGeometry& geometry);
/// x [T,N,C,H,W], g [T,N,K,P,Q] -> [T,K,C/groups,R,S].
Value conv2d_grad_weight(Value x, Value g, const Conv2dGeometry& geometry);

}  // namespace gi
