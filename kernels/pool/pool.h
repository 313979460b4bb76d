// Pooling over windows of [H,W], and what differentiates it.
//
//   avg_pool(x)         y[..,p,q] = sum over the window of x / (r*s); padding counts as zero and in the divisor
//   avg_pool_grad(g)    its adjoint, [T,N,C,P,Q] -> [T,N,C,H,W]
//   max_select(v, d)    y[..,p,q] = v at the first (row-major) position of the window where d is largest; padding never wins
//   max_scatter(g, d)   its adjoint in v: g added at that position, [T,N,C,P,Q] x [T,N,C,H,W] -> [T,N,C,H,W]
//
// Inputs dense from axis 1 on. max_select(x, x) is max pooling; a NaN in d counts as larger than anything.
#pragma once

#include <cstdint>

namespace gi::kernels {

struct PoolGeometry {
  std::int64_t h = 1, w = 1;  ///< input extent
  std::int64_t r = 1, s = 1;  ///< window
  std::int64_t p = 1, q = 1;  ///< output extent
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;
};

}  // namespace gi::kernels
