// Matrix products in f32 on the tensor cores. A number is hi + lo, both TF32, and a product lo*hi + hi*lo + hi*hi, the small ones
// first: what is lost (lo*lo, the last bit of lo) is 2^-22 of it. Tensor cores round every sum towards zero, so errors of a long
// chain would all point one way; a chain here is one step long, and its sum is added to the result by an ordinary, rounded
// addition.
#include "kernels/common/cuda_ptx.h"
#include "kernels/common/families_cuda.h"
#include "kernels/matmul/matmul_blocks.h"

namespace gi::kernels::GI_DEVICE {

namespace {

struct TensorTile {
  static constexpr int kRows = 128, kColumns = 64;
  static constexpr int kWarpRows = 64, kWarpColumns = 32;  // of two by two warps
};

/// `Outer` rows or columns by kStep in shared memory, in the order they have in global memory. The pitches put what the lanes of
/// a fragment read into different banks.
template <int Outer, bool ByK>
struct Stage {
  static constexpr int kPitch = ByK ? kStep + 4 : Outer + 8, kRows = ByK ? Outer : kStep, kAlong = ByK ? kStep : Outer;
  Four<float> fours[kRows * kPitch / 4];

  __device__ float* at(int outer, int k) {
    const int i = ByK ? outer * kPitch + k : k * kPitch + outer;
    return &fours[0].v[0] + i;
  }
  template <int Numbers>
  __device__ void bring(const float* from, int pitch, int first, int outers, int first_k, int last_k) {
    constexpr int kPerRow = kAlong / Numbers, kRowStep = kThreads / kPerRow;
    const int i = static_cast<int>(threadIdx.x), row = i / kPerRow, along = i % kPerRow * Numbers;
    const int outer = first + (ByK ? row : along), k = first_k + (ByK ? along : row);
    const float* source = from + (ByK ? outer * pitch + k : k * pitch + outer);
    float* to = &fours[0].v[0] + row * kPitch + along;
#pragma unroll
    for (int e = 0; e < kRows / kRowStep; ++e, source += kRowStep * pitch, to += kRowStep * kPitch) {
      const bool there = outer + (ByK ? e * kRowStep : 0) < outers && k + (ByK ? 0 : e * kRowStep) < last_k;
      copy_async<4 * Numbers>(to, there ? source : from, there ? 4 * Numbers : 0);
    }
  }
  __device__ void bring(bool wide, const float* from, int pitch, int first, int outers, int first_k, int last_k) {
    if (wide) bring<4>(from, pitch, first, outers, first_k, last_k);
    else bring<1>(from, pitch, first, outers, first_k, last_k);
  }
};

__device__ __forceinline__ void split(float value, unsigned& hi, unsigned& lo) {
  hi = to_tf32(value);
  lo = to_tf32(value - from_tf32(hi));
}

template <bool AByK, bool BByK>
__global__ void __launch_bounds__(kThreads, 2) three_tf32(Job job, float* y) {
  using StageA = Stage<TensorTile::kRows, AByK>;
  using StageB = Stage<TensorTile::kColumns, BByK>;
  GI_SHARED(StageA, a_stages, [2]);
  GI_SHARED(StageB, b_stages, [2]);
  constexpr int kDown = TensorTile::kWarpRows / 16, kAcross = TensorTile::kWarpColumns / 8, kDeep = kStep / 8;
  const Part p = part_of<TensorTile>(job);
  const float* const a[2] = {matrix_of<float>(job.a[0], p), matrix_of<float>(job.a[1], p)};
  const float* const b[2] = {matrix_of<float>(job.b[0], p), matrix_of<float>(job.b[1], p)};
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32, g = lane / 4, t = lane % 4;
  const int warp_row = warp / 2 * TensorTile::kWarpRows, warp_column = warp % 2 * TensorTile::kWarpColumns;
  const int per_pair = static_cast<int>(ceil_div(p.last_k - p.first_k, kStep)), steps = per_pair * job.pairs;

  const auto bring = [&](int step) {
    const bool second = step >= per_pair;
    const int k = p.first_k + (second ? step - per_pair : step) * kStep;
    a_stages[step % 2].bring(second ? job.a[1].wide : job.a[0].wide, second ? a[1] : a[0], AByK ? job.k : job.m, p.row, job.m, k,
                             p.last_k);
    b_stages[step % 2].bring(second ? job.b[1].wide : job.b[0].wide, second ? b[1] : b[0], BByK ? job.k : job.n, p.column, job.n, k,
                             p.last_k);
    copy_async_commit();
  };
  float sums[kDown][kAcross][4] = {};
  bring(0);
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<0>();
    __syncthreads();  // this stage is there for all, and all are done with the other
    if (step + 1 < steps) bring(step + 1);

    unsigned b_hi[kAcross][kDeep][2], b_lo[kAcross][kDeep][2];
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          split(*b_stages[step % 2].at(warp_column + 8 * j + g, 8 * deep + t + 4 * e), b_hi[j][deep][e], b_lo[j][deep][e]);
#pragma unroll
    for (int i = 0; i < kDown; ++i) {
      unsigned a_hi[kDeep][4], a_lo[kDeep][4];
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          split(*a_stages[step % 2].at(warp_row + 16 * i + g + 8 * (e % 2), 8 * deep + t + e / 2 * 4), a_hi[deep][e],
                a_lo[deep][e]);
      float chain[kAcross][4] = {};
      // Neighbours in this order belong to different chains, so none waits for the one before it.
#pragma unroll
      for (int deep = 0; deep < kDeep; ++deep) {
#pragma unroll
        for (int j = 0; j < kAcross; ++j) mma_16x8x8_tf32(chain[j], a_lo[deep], b_hi[j][deep]);
#pragma unroll
        for (int j = 0; j < kAcross; ++j) mma_16x8x8_tf32(chain[j], a_hi[deep], b_lo[j][deep]);
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

#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = p.row + warp_row + 16 * i + g + 8 * half, column = p.column + warp_column + 8 * j + 2 * t;
        float* const to = y + p.y + static_cast<std::int64_t>(row) * job.n + column;
        if (row >= job.m) continue;
        if (job.y_wide && column < job.n) {
          *reinterpret_cast<float2*>(to) = {sums[i][j][2 * half], sums[i][j][2 * half + 1]};
        } else {
          if (column < job.n) to[0] = sums[i][j][2 * half];
          if (column + 1 < job.n) to[1] = sums[i][j][2 * half + 1];
        }
      }
}

void run_three_tf32(const Arguments& args) {
  in_slices<TensorTile, float>(args, [&args](const Job& job, float* y) {
    launch_tiles<TensorTile>(args,
                             job.a_by_k   ? job.b_by_k ? three_tf32<true, true> : three_tf32<true, false>
                               : job.b_by_k ? three_tf32<false, true>
                                          : three_tf32<false, false>,
                             job, y);
  });
}

const char* too_small(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  if (geo.m < 32 || geo.n < 16 || geo.k < 32) return "too small for tiles of the tensor cores";
  return dense_only(problem);
}

constexpr Kernel kKernels[] = {
    {"matmul", "cuda_3xtf32", Isa::cuda, DType::f32, 1, too_small, scratch_bytes<float, TensorTile>, run_three_tf32},
};

}  // namespace

std::span<const Kernel> matmul_tensor_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
