// Kernels whose results a person can work out.
#pragma once

#include "tests/emulator/kernels.h"

namespace gi::kernels::GI_DEVICE {

__global__ void indices(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] += static_cast<int>(blockIdx.x * 100000 + blockIdx.y * 10000 + blockIdx.z * 1000 +
                                                    threadIdx.x * 100 + threadIdx.y * 10 + threadIdx.z);
}

/// The sum of 1..threads by halves, `rounds` times.
__global__ void barriers(int rounds, int* out) {
  GI_SHARED(int, sum, [256]);
  for (int round = 0; round < rounds; ++round) {
    sum[threadIdx.x] = static_cast<int>(threadIdx.x) + 1;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) sum[threadIdx.x] += sum[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x == 0) out[round] = sum[0];
    __syncthreads();
  }
}

__global__ void block_votes(int* out) {
  const int some = __syncthreads_count(threadIdx.x % 3 == 0), one = __syncthreads_or(threadIdx.x == 5), none = __syncthreads_or(0);
  const int all = __syncthreads_and(1), most = __syncthreads_and(threadIdx.x != 7);
  out[threadIdx.x] = some * 10000 + one * 1000 + none * 100 + all * 10 + most;
}

/// Row i of out[12][32] is what a lane gets of 100 + lane, or of a vote.
__global__ void warp_operations(int* out) {
  const unsigned full = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x), value = 100 + lane;
  int row = 0;
  const auto put = [&](int result) { out[row++ * 32 + lane] = result; };
  put(__shfl_sync(full, value, 5));
  put(__shfl_sync(full, value, lane + 1, 8));
  put(__shfl_up_sync(full, value, 2));
  put(__shfl_up_sync(full, value, 1, 4));
  put(__shfl_down_sync(full, value, 3));
  put(__shfl_down_sync(full, value, 1, 16));
  put(__shfl_xor_sync(full, value, 1));
  put(__shfl_xor_sync(full, value, 6, 4));  // reaches earlier segments, not later ones
  put(static_cast<int>(__ballot_sync(full, lane % 2)));
  put(__any_sync(full, lane == 9) * 2 + __any_sync(full, 0));
  put(__all_sync(full, lane < 32) * 2 + __all_sync(full, lane < 31));
  put(static_cast<int>(__shfl_down_sync(full, 0.5 + lane, 31)));
}

/// Halves of a warp at operations of their own, as often as they like.
__global__ void halves(int* out) {
  const unsigned lane = threadIdx.x, mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  int value = static_cast<int>(lane);
  for (unsigned round = 0; round < (lane < 16 ? 3u : 7u); ++round) value += __shfl_xor_sync(mask, value, 1);
  out[lane] = value;
}

__global__ void atomics(int* sum, unsigned* most, int* least, unsigned long long* wide, unsigned* bits, int* taken) {
  atomicAdd(sum, static_cast<int>(threadIdx.x));
  atomicMax(most, threadIdx.x);
  atomicMin(least, -static_cast<int>(threadIdx.x));
  atomicAdd(wide, 1ull << 32);
  atomicOr(bits, 1u << (threadIdx.x % 8));
  if (atomicCAS(taken, 0, 1) == 0) atomicAdd(taken, 10);
}

/// Two variables and the dynamic part; the tile is reversed through them.
template <class Scalar>
__global__ void through_shared(const Scalar* x, Scalar* y) {
  GI_SHARED(Scalar, tile, [2][32]);
  GI_SHARED(Scalar, offset, [1]);
  GI_DYNAMIC_SHARED(Scalar, copy);
  if (threadIdx.x == 0) offset[0] = static_cast<Scalar>(blockIdx.x);
  tile[threadIdx.x / 32][threadIdx.x % 32] = x[threadIdx.x];
  __syncthreads();
  const unsigned from = 63 - threadIdx.x;
  copy[threadIdx.x] = tile[from / 32][from % 32];
  __syncthreads();
  y[blockIdx.x * 64 + threadIdx.x] = copy[threadIdx.x] + offset[0];
}

/// y = x, in stages of 64 of which one is under way; the last has 61 numbers, and zeros behind.
__global__ void staged_copy(const float* x, float* y, int stages) {
  GI_SHARED(float4, tile, [2][16]);
  const int t = static_cast<int>(threadIdx.x);
  const auto start = [&](int stage) {
    if (stage < stages) copy_async<16>(&tile[stage % 2][t], x + stage * 64 + t * 4, stage == stages - 1 && t == 15 ? 4 : 16);
    copy_async_commit();
  };
  start(0);
  for (int stage = 0; stage < stages; ++stage) {
    start(stage + 1);
    copy_async_wait<1>();
    __syncthreads();
    const float4 four = tile[stage % 2][15 - t];
    float* const to = y + stage * 64 + (15 - t) * 4;
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
    __syncthreads();
  }
  copy_async_wait<0>();
}

/// d[16][8] += a[16][8] b[8][8], by one warp.
__global__ void matrix_product(const float* a, const float* b, float* d) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const unsigned of_a[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                            to_tf32(a[(g + 8) * 8 + t + 4])};
  const unsigned of_b[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
  float of_d[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t], d[(g + 8) * 8 + 2 * t + 1]};
  mma_16x8x8_tf32(of_d, of_a, of_b);
  for (unsigned i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = of_d[i];
}

__global__ void block_sum(const double* x, double* y) {
  const double sum = sum_over_block(x[blockIdx.x * blockDim.x + threadIdx.x]);
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

}  // namespace gi::kernels::GI_DEVICE
