// Products of f32 matrices by warps on the tensor cores, out of tiles in shared memory. Only for *_cuda.cu files.
//
// For the accuracy of f32 a number is hi + lo, both TF32, and a product lo*hi + hi*lo + hi*hi, the small ones first: what is lost
// (lo*lo, the last bit of either lo) is at most 3 * 2^-22 of it. An infinity becomes NaN. Tensor cores round every sum towards
// zero, so errors of a long chain would all point one way; a chain here is one step long, and its sum is added to the result by an
// ordinary, rounded addition. The order of these sums is the same wherever an element lies in a tile.
#pragma once

#include "kernels/common/cuda_ptx.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kTensorStep = 16;  ///< terms of a step

/// What a product of two f32 numbers is made of: three of TF32, or one, exact to 2^-11 of each factor.
enum class Tf32 { thrice, once };

/// `Outer` rows or columns by kTensorStep terms in shared memory, with neighbours in terms (ByK) or in rows or columns. The pitches
/// put what the lanes of a fragment read into different banks.
template <int Outer, bool ByK>
struct alignas(16) TensorStage {
  static constexpr bool kByK = ByK;
  static constexpr int kPitch = ByK ? kTensorStep + 4 : Outer + 8;
  static constexpr int kLines = ByK ? Outer : kTensorStep, kAlong = ByK ? kTensorStep : Outer;
  float numbers[kLines * kPitch];

  __device__ float* at(int outer, int k) { return &numbers[0] + (ByK ? outer * kPitch + k : k * kPitch + outer); }
};

template <Tf32 Kind>
__device__ __forceinline__ void split(float value, unsigned& hi, unsigned& lo) {
  hi = to_tf32(value);
  lo = Kind == Tf32::thrice ? to_tf32(value - from_tf32(hi)) : 0;
}

/// The sums of a warp's Rows by Columns, an mma fragment each for 16 by 8 of them.
template <Tf32 Kind, int Rows, int Columns>
struct TensorSums {
  static constexpr int kDown = Rows / 16, kAcross = Columns / 8, kDeep = kTensorStep / 8;
  float sums[kDown][kAcross][4] = {};

  /// Adds the products of one step, of the rows of `a` and the columns of `b` from these on.
  template <class StageA, class StageB>
  __device__ __forceinline__ void add_step(StageA& a, int row, StageB& b, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    unsigned b_hi[kAcross][kDeep][2], b_lo[kAcross][kDeep][2];
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          split<Kind>(*b.at(column + 8 * j + g, 8 * deep + t + 4 * e), b_hi[j][deep][e], b_lo[j][deep][e]);
#pragma unroll
    for (int i = 0; i < kDown; ++i) {
      unsigned a_hi[kDeep][4], a_lo[kDeep][4];
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          split<Kind>(*a.at(row + 16 * i + g + 8 * (e % 2), 8 * deep + t + e / 2 * 4), a_hi[deep][e], a_lo[deep][e]);
      float chain[kAcross][4] = {};
      // Neighbours in this order belong to different chains, so none waits for the one before it.
      if constexpr (Kind == Tf32::thrice) {
#pragma unroll
        for (int deep = 0; deep < kDeep; ++deep) {
#pragma unroll
          for (int j = 0; j < kAcross; ++j) mma_16x8x8_tf32(chain[j], a_lo[deep], b_hi[j][deep]);
#pragma unroll
          for (int j = 0; j < kAcross; ++j) mma_16x8x8_tf32(chain[j], a_hi[deep], b_lo[j][deep]);
        }
      }
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) mma_16x8x8_tf32(chain[j], a_hi[deep], b_hi[j][deep]);
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] += chain[j][e];
    }
  }

  /// visit(row, column, pair) for this lane's sums: pair[0] is that of the column, which is even, pair[1] of the next.
  template <class Visit>
  __device__ __forceinline__ void for_each_pair(Visit visit) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) visit(16 * i + g + 8 * half, 8 * j + 2 * t, &sums[i][j][2 * half]);
  }
};

}  // namespace gi::kernels::GI_DEVICE
