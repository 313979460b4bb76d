// Sums and choices over the threads of a block, in a fixed order. Only for *_cuda.cu files.
#pragma once

#include "kernels/common/cuda.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kWarp = 32;

/// The combination of `value` over all threads of a block of whole warps, for every thread. `combine` is associative enough: the
/// order is that of a tree over lanes, then of the warps. A block's threads all call it.
template <class Value, class Combine>
__device__ Value over_block(Value value, Combine combine) {
  GI_SHARED(Value, of_warp, [kWarp]);
  for (int step = kWarp / 2; step > 0; step /= 2) value = combine(value, __shfl_down_sync(0xffffffffu, value, step));
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = of_warp[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) value = combine(value, of_warp[warp]);
  __syncthreads();  // of_warp may be written again
  return value;
}

template <class Value>
__device__ Value sum_over_block(Value value) {
  return over_block(value, [](Value a, Value b) { return a + b; });
}

}  // namespace gi::kernels::GI_DEVICE
