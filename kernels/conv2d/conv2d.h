// Geometry of the convolution family, shared by host and device.
//
//   conv2d(x, w)             y[t,n,k,p,q]  = sum_{c,r,s} x[t,n,c, p*stride_h + r - pad_h, q*stride_w + s - pad_w] * w[t,k,c,r,s]
//   conv2d_grad_input(g, w)  dx[t,n,c,h,w] = its gradient by x, contracted with g
//   conv2d_grad_weight(x, g) dw[t,k,c,r,s] = its gradient by w, contracted with g
//
// Operands  x, dx [T,N,C,H,W]; w, dw [T,K,C/groups,R,S]; y, g [T,N,K,P,Q]. Inputs dense from axis 1 on; any input may be
//           shared by the trials (Layout::shared()) in reference kernels; fast kernels take what they do not decline.
// Pairs     conv2d and conv2d_grad_input also take four inputs (a, b, c, d) and then write op(a, b) + op(c, d).
// Sums      conv2d_grad_weight_sum is conv2d_grad_weight summed over the trials, dw [1,...]: of packs only, x or g may be shared.
#pragma once

#include <cstdint>

#include "kernels/api/extent.h"

namespace gi::kernels {

/// Both extents are carried: for strides above 1 the output's does not give the input's.
struct Conv2dGeometry {
  std::int64_t c = 1, k = 1;  ///< channels in and out
  std::int64_t h = 1, w = 1;  ///< input extent
  std::int64_t r = 1, s = 1;  ///< filter extent
  std::int64_t p = 1, q = 1;  ///< output extent
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;  ///< zeros on each side
  std::int64_t groups = 1;            ///< divides c and k; groups == c is depthwise
  std::int64_t winograd = 0;          ///< tile of the minimal filtering that a kernel may use (winograd.h): 2, 4, or 0 for none

  constexpr std::int64_t c_per_group() const { return c / groups; }
  constexpr std::int64_t k_per_group() const { return k / groups; }
  /// Multiply-adds of one image of one trial.
  constexpr std::int64_t macs() const { return k * c_per_group() * r * s * p * q; }
};

}  // namespace gi::kernels
