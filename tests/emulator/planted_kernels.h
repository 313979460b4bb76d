// Kernels with one bug each, and without it: the same source, so that what is reported is the bug and nothing else.
#pragma once

#include "tests/emulator/kernels.h"

namespace gi::kernels::GI_DEVICE {

// Only sanitizers see these for sure. `y` has 64 numbers on the heap.

template <bool kPlanted>
__global__ void read_past_end(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x + (kPlanted ? 1 : 0)];
}

template <bool kPlanted>
__global__ void write_before_begin(float* y) {
  y[static_cast<int>(threadIdx.x) - (kPlanted ? 1 : 0)] = 1;
}

template <bool kPlanted>
__global__ void shared_past_end(float* y) {
  GI_SHARED(float, tile, [64]);
  float* const flat = tile;
  flat[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = flat[threadIdx.x + (kPlanted ? 1 : 0)];
}

template <bool kPlanted>
__global__ void dynamic_past_end(float* y) {
  GI_DYNAMIC_SHARED(float, tile);
  tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x + (kPlanted ? 1 : 0)];
}

/// The last copy begins where the numbers end.
template <bool kPlanted>
__global__ void copy_past_end(const float* x, float* y) {
  GI_DYNAMIC_SHARED(float, tile);
  copy_async<16>(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, kPlanted || threadIdx.x < 15 ? 16 : 0);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  for (int i = 0; i < 4; ++i) y[4 * threadIdx.x + i] = tile[4 * threadIdx.x + i];
}

/// The same warp, so a device may well get by without the barrier.
template <bool kPlanted>
__global__ void missing_syncwarp(const float* x, float* y) {
  GI_SHARED(float, tile, [32]);
  tile[threadIdx.x] = x[threadIdx.x];
  if constexpr (!kPlanted) __syncwarp();
  y[threadIdx.x] = tile[31 - threadIdx.x];
}

template <bool kPlanted>
__global__ void missing_syncthreads(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  tile[threadIdx.x] = x[threadIdx.x];
  if constexpr (!kPlanted) __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

/// The second barrier of a loop: a tile is filled again while others read.
template <bool kPlanted>
__global__ void missing_second_syncthreads(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  float sum = 0;
  for (int round = 0; round < 2; ++round) {
    tile[threadIdx.x] = x[threadIdx.x] + static_cast<float>(round);
    __syncthreads();
    sum += tile[63 - threadIdx.x];
    if constexpr (!kPlanted) __syncthreads();
  }
  y[threadIdx.x] = sum;
}

/// A shuffle waits for lanes and orders no memory.
template <bool kPlanted>
__global__ void shuffle_for_syncwarp(const float* x, float* y) {
  GI_SHARED(float, tile, [32]);
  tile[threadIdx.x] = x[threadIdx.x];
  const float other = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
  if constexpr (!kPlanted) __syncwarp();
  y[threadIdx.x] = tile[31 - threadIdx.x] + other;
}

template <bool kPlanted>
__global__ void race_in_block(float* y) {
  if (!kPlanted || threadIdx.x < 2) y[kPlanted ? 0 : threadIdx.x] = static_cast<float>(threadIdx.x);
}

template <bool kPlanted>
__global__ void race_between_blocks(int* counts) {
  if (threadIdx.x != 0) return;
  if constexpr (kPlanted) counts[0] = counts[0] + 1;
  else atomicAdd(&counts[0], 1);
}

/// Barriers order the threads of a block, not blocks.
template <bool kPlanted>
__global__ void race_behind_barriers(float* y) {
  __syncthreads();
  y[kPlanted ? threadIdx.x : blockIdx.x * blockDim.x + threadIdx.x] = static_cast<float>(blockIdx.x);
  __syncthreads();
  __syncwarp();
}

/// The last block to come sums what all have left.
template <bool kPlanted>
__global__ void missing_fence(const float* x, float* parts, int* count, float* y) {
  if (threadIdx.x != 0) return;
  parts[blockIdx.x] = x[blockIdx.x];
  if constexpr (!kPlanted) __threadfence();
  if (atomicAdd(count, 1) != static_cast<int>(gridDim.x) - 1) return;
  if constexpr (!kPlanted) __threadfence();
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i];
  y[0] = sum;
}

/// A thread's own wait is not the others'.
template <bool kPlanted>
__global__ void copy_without_barrier(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
  copy_async_commit();
  copy_async_wait<0>();
  if constexpr (!kPlanted) __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

template <bool kPlanted>
__global__ void index_overflow(float* y, int rows) {
  const int i = rows * (kPlanted ? 65536 : 16) + static_cast<int>(threadIdx.x);
  y[i & 63] = 1;
}

template <bool kPlanted>
__global__ void misaligned_vector(const float* x, float* y) {
  const float4 four = *reinterpret_cast<const float4*>(x + (kPlanted ? 1 : 4));
  y[threadIdx.x] = four.x + four.w;
}

/// A shared array is aligned as its type, not as the vectors it is read in.
template <bool kPlanted>
__global__ void misaligned_shared_vector(float* y) {
  using Element = std::conditional_t<kPlanted, float, float4>;
  GI_SHARED(Element, tile, [64]);
  auto* const flat = reinterpret_cast<float*>(tile);
  flat[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = reinterpret_cast<const float4*>(flat)[threadIdx.x / 4].x;
}

// These show in every build: as NaN in what the kernel gives ...

template <bool kPlanted>
__global__ void uninitialised_shared(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  if (!kPlanted || threadIdx.x != 5) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

template <bool kPlanted>
__global__ void uninitialised_dynamic(const float* x, float* y) {
  GI_DYNAMIC_SHARED(float, tile);
  if (!kPlanted || threadIdx.x != 5) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

template <bool kPlanted>
__global__ void weak_async_wait(const float* x, float* y) {
  GI_SHARED(float, tile, [2][64]);
  for (int stage = 0; stage < 2; ++stage) {
    copy_async<4>(&tile[stage][threadIdx.x], x + threadIdx.x);
    copy_async_commit();
  }
  copy_async_wait<kPlanted ? 1 : 0>();
  __syncthreads();
  y[threadIdx.x] = tile[1][63 - threadIdx.x];
  __syncthreads();
  copy_async_wait<0>();
}

template <bool kPlanted>
__global__ void group_left_open(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
  if constexpr (!kPlanted) copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
  __syncthreads();
  copy_async_commit();
  copy_async_wait<0>();
}

// ... or as a fault that launch() throws.

template <bool kPlanted>
__global__ void divergent_barrier(float* y) {
  if (kPlanted && threadIdx.x < 32) __syncthreads();
  else __syncthreads();
  y[threadIdx.x] = 1;
}

template <bool kPlanted>
__global__ void exit_before_barrier(float* y) {
  if (kPlanted && threadIdx.x == 3) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}

template <bool kPlanted>
__global__ void barrier_for_some(float* y) {
  if (!kPlanted || threadIdx.x < 32) __syncthreads();
  else __syncwarp();
  y[threadIdx.x] = 1;
}

template <bool kPlanted>
__global__ void barrier_against_warp(float* y) {
  if (kPlanted && threadIdx.x == 0) __syncwarp();
  __syncthreads();
  y[threadIdx.x] = 1;
}

template <bool kPlanted>
__global__ void own_lane_left_out(float* y) {
  const unsigned mask = kPlanted ? 0x0000ffffu : 0xffffffffu;
  y[threadIdx.x] = __shfl_sync(mask, y[threadIdx.x], 0);
}

template <bool kPlanted>
__global__ void masks_differ(float* y) {
  const unsigned mask = kPlanted && threadIdx.x % 32 < 16 ? 0x0001ffffu : 0xffffffffu;
  y[threadIdx.x] = __shfl_down_sync(mask, y[threadIdx.x], 1);
}

template <bool kPlanted>
__global__ void shuffle_from_outside(float* y) {
  if (threadIdx.x % 32 < 16) y[threadIdx.x] = __shfl_sync(0x0000ffffu, y[threadIdx.x], kPlanted ? 16 : 15);
}

template <bool kPlanted>
__global__ void shuffle_from_ended(float* y) {
  if (threadIdx.x >= 40) return;
  y[threadIdx.x] = __shfl_down_sync(kPlanted || threadIdx.x < 32 ? 0xffffffffu : 0x000000ffu, y[threadIdx.x], 1, 8);
}

template <bool kPlanted>
__global__ void operations_differ(float* y) {
  if (kPlanted && threadIdx.x % 2 == 0) __syncwarp();
  else y[threadIdx.x] = static_cast<float>(__ballot_sync(0xffffffffu, 1) & 1u);
}

template <bool kPlanted>
__global__ void stale_copy(const float* x, float* y) {
  GI_SHARED(float, tile, [64]);
  copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
  copy_async_commit();
  if constexpr (!kPlanted) copy_async_wait<0>();
  y[threadIdx.x] = 1;
}

template <bool kPlanted>
__global__ void misaligned_copy(const float* x, float* y) {
  GI_SHARED(float4, tile, [16]);
  if (threadIdx.x < 8) copy_async<16>(&tile[threadIdx.x], x + 4 * threadIdx.x + (kPlanted ? 1 : 0));
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x % 8].x;
}

template <bool kPlanted>
__global__ void too_much_static(float* y) {
  GI_SHARED(float, tile, [kPlanted ? 12 * 1024 + 1 : 12 * 1024]);
  tile[threadIdx.x] = 1;
  y[threadIdx.x] = tile[threadIdx.x];
}

template <bool kPlanted>
__global__ void shared_write_past_end(float* y) {
  GI_SHARED(float, tile, [64]);
  float* const flat = tile;
  flat[threadIdx.x] = 1;
  if (kPlanted && threadIdx.x == 63) flat[threadIdx.x + 3] = 1;
  y[threadIdx.x] = flat[threadIdx.x];
}

}  // namespace gi::kernels::GI_DEVICE
