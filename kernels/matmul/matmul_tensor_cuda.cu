// Matrix products in f32 on the tensor cores, by 3xTF32 or, on request, TF32 (cuda_tensor_tile.h).
#include "kernels/common/cuda_tensor_tile.h"
#include "kernels/common/families_cuda.h"
#include "kernels/matmul/matmul_blocks.h"

namespace gi::kernels::GI_DEVICE {

namespace {

static_assert(kStep == kTensorStep);

struct TensorTile {
  static constexpr int kRows = 128, kColumns = 64;
  static constexpr int kWarpRows = 64, kWarpColumns = 32;  // of two by two warps
};

/// Fills a stage from `outers` rows or columns, the first given, and the terms [first_k, last_k), Numbers at a time.
template <int Numbers, class Stage>
__device__ __forceinline__ void bring(Stage& stage, const float* from, int pitch, int first, int outers, int first_k, int last_k) {
  constexpr bool kByK = Stage::kByK;
  constexpr int kPerLine = Stage::kAlong / Numbers, kApart = kThreads / kPerLine;
  const int i = static_cast<int>(threadIdx.x), line = i / kPerLine, along = i % kPerLine * Numbers;
  const int outer = first + (kByK ? line : along), k = first_k + (kByK ? along : line);
  const float* source = from + (kByK ? outer * pitch + k : k * pitch + outer);
  float* to = &stage.numbers[0] + line * Stage::kPitch + along;
#pragma unroll
  for (int e = 0; e < Stage::kLines / kApart; ++e, source += kApart * pitch, to += kApart * Stage::kPitch) {
    const bool there = outer + (kByK ? e * kApart : 0) < outers && k + (kByK ? 0 : e * kApart) < last_k;
    copy_async<4 * Numbers>(to, there ? source : from, there ? 4 * Numbers : 0);
  }
}
template <class Stage>
__device__ __forceinline__ void bring(bool wide, Stage& stage, const float* from, int pitch, int first, int outers, int first_k,
                                      int last_k) {
  if (wide) bring<4>(stage, from, pitch, first, outers, first_k, last_k);
  else bring<1>(stage, from, pitch, first, outers, first_k, last_k);
}

template <Tf32 Kind, bool AByK, bool BByK>
__global__ void __launch_bounds__(kThreads, 2) matmul_tensor(Job job, float* y) {
  using StageA = TensorStage<TensorTile::kRows, AByK>;
  using StageB = TensorStage<TensorTile::kColumns, BByK>;
  GI_SHARED(StageA, a_stages, [2]);
  GI_SHARED(StageB, b_stages, [2]);
  const MatrixPart p = part_of<TensorTile>(job);
  const float* const a[2] = {matrix_of<float>(job.a[0], p), matrix_of<float>(job.a[1], p)};
  const float* const b[2] = {matrix_of<float>(job.b[0], p), matrix_of<float>(job.b[1], p)};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / 2 * TensorTile::kWarpRows, warp_column = warp % 2 * TensorTile::kWarpColumns;
  const int per_pair = static_cast<int>(ceil_div(p.last_k - p.first_k, kStep)), steps = per_pair * job.pairs;

  const auto bring_step = [&](int step) {
    const bool second = step >= per_pair;
    const int k = p.first_k + (second ? step - per_pair : step) * kStep;
    bring(second ? job.a[1].wide : job.a[0].wide, a_stages[step % 2], second ? a[1] : a[0], AByK ? job.k : job.m, p.row, job.m, k,
          p.last_k);
    bring(second ? job.b[1].wide : job.b[0].wide, b_stages[step % 2], second ? b[1] : b[0], BByK ? job.k : job.n, p.column, job.n,
          k, p.last_k);
    copy_async_commit();
  };
  TensorSums<Kind, TensorTile::kWarpRows, TensorTile::kWarpColumns> sums;
  bring_step(0);
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<0>();
    __syncthreads();  // this stage is there for all, and all are done with the other
    if (step + 1 < steps) bring_step(step + 1);
    sums.add_step(a_stages[step % 2], warp_row, b_stages[step % 2], warp_column);
  }
  sums.for_each_pair([&](int of_row, int of_column, const float* pair) {
    const int row = p.row + warp_row + of_row, column = p.column + warp_column + of_column;
    float* const to = y + p.y + static_cast<std::int64_t>(row) * job.n + column;
    if (row >= job.m) return;
    if (job.y_wide && column < job.n) {
      *reinterpret_cast<float2*>(to) = {pair[0], pair[1]};
    } else {
      if (column < job.n) to[0] = pair[0];
      if (column + 1 < job.n) to[1] = pair[1];
    }
  });
}

template <Tf32 Kind>
void run_tensor(const Arguments& args) {
  in_slices<TensorTile, float>(args, [&args](const Job& job, float* y) {
    launch_tiles<TensorTile>(args,
                             job.a_by_k   ? job.b_by_k ? matmul_tensor<Kind, true, true> : matmul_tensor<Kind, true, false>
                               : job.b_by_k ? matmul_tensor<Kind, false, true>
                                          : matmul_tensor<Kind, false, false>,
                             job, y);
  });
}

const char* too_small(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  if (geo.m < 32 || geo.n < 16 || geo.k < 32) return "too small for tiles of the tensor cores";
  return dense_only(problem);
}

template <Tf32 Kind>
constexpr Kernel entry(const char* name, const char* (*declines)(const Problem&)) {
  return {.op = "matmul",
          .name = name,
          .isa = Isa::cuda,
          .dtype = DType::f32,
          .lanes = 1,
          .declines = declines,
          .scratch_bytes = scratch_bytes<float, TensorTile>,
          .run = run_tensor<Kind>,
          .on_request = Kind == Tf32::once};
}

/// Who asks for TF32 gets it for all products, however small.
constexpr Kernel kKernels[] = {
    entry<Tf32::thrice>("cuda_3xtf32", too_small),
    entry<Tf32::once>("cuda_tensor_tf32", dense_only),
};

}  // namespace

std::span<const Kernel> matmul_tensor_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
