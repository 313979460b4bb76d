// Matrix products by fused multiply-adds, f32 and f64, any size: square tiles, or oblong ones where y has few rows or columns. What
// a step reads passes through two stages of shared memory.
#include "kernels/common/families_cuda.h"
#include "kernels/matmul/matmul_blocks.h"

namespace gi::kernels::GI_DEVICE {

namespace {

template <int RowThreads, int RowsEach>
struct Tile {
  static constexpr int kColumnThreads = kThreads / RowThreads, kRowsEach = RowsEach, kColumnsEach = 4;
  static constexpr int kRows = RowThreads * RowsEach, kColumns = kColumnThreads * kColumnsEach;
};
using Square = Tile<8, 8>;  // 64 x 64
using Flat = Tile<4, 4>;    // 16 x 128
using Tall = Tile<32, 4>;   // 128 x 16

/// This thread's numbers of `Outer` rows or columns by kStep, zero beyond the edges. Neighbours read along what is contiguous, and
/// a thread's numbers are evenly spaced along the other.
template <int Outer, class Scalar>
struct Bring {
  static constexpr int kEach = Outer * kStep / kThreads, kPitch = Outer / 4 + 1;
  Scalar held[kEach];
  int outer, inner, outer_step, inner_step;

  __device__ explicit Bring(bool by_k) {
    const int i = static_cast<int>(threadIdx.x);
    outer = by_k ? i / kStep : i % Outer, inner = by_k ? i % kStep : i / Outer;
    outer_step = by_k ? kThreads / kStep : 0, inner_step = by_k ? 0 : kThreads / Outer;
  }
  __device__ void load(const Scalar* from, bool by_k, int pitch, int first, int outers, int first_k, int last_k) {
    const int o = first + outer, k = first_k + inner;
    from += by_k ? o * pitch + k : k * pitch + o;
#pragma unroll
    for (int e = 0; e < kEach; ++e, from += (by_k ? outer_step : inner_step) * pitch)
      held[e] = o + e * outer_step < outers && k + e * inner_step < last_k ? *from : Scalar(0);
  }
  __device__ void store(Four<Scalar> (&to)[kStep][kPitch]) const {
    Scalar* p = to[0][0].v + inner * (4 * kPitch) + outer;
#pragma unroll
    for (int e = 0; e < kEach; ++e, p += inner_step * (4 * kPitch) + outer_step) *p = held[e];
  }
};

template <class Scalar, class Tile>
__global__ void __launch_bounds__(kThreads) tiles(Job job, Scalar* y) {
  using BringA = Bring<Tile::kRows, Scalar>;
  using BringB = Bring<Tile::kColumns, Scalar>;
  GI_SHARED(Four<Scalar>, a_stages, [2][kStep][BringA::kPitch]);
  GI_SHARED(Four<Scalar>, b_stages, [2][kStep][BringB::kPitch]);
  const MatrixPart p = part_of<Tile>(job);
  const Scalar* const a[2] = {matrix_of<Scalar>(job.a[0], p), matrix_of<Scalar>(job.a[1], p)};
  const Scalar* const b[2] = {matrix_of<Scalar>(job.b[0], p), matrix_of<Scalar>(job.b[1], p)};
  const int row_thread = static_cast<int>(threadIdx.x) / Tile::kColumnThreads;
  const int column_thread = static_cast<int>(threadIdx.x) % Tile::kColumnThreads;
  const int per_pair = static_cast<int>(ceil_div(p.last_k - p.first_k, kStep)), steps = per_pair * job.pairs;

  BringA bring_a(job.a_by_k);
  BringB bring_b(job.b_by_k);
  const auto load = [&](int step) {
    const bool second = step >= per_pair;
    const int k = p.first_k + (second ? step - per_pair : step) * kStep;
    bring_a.load(second ? a[1] : a[0], job.a_by_k, job.a_by_k ? job.k : job.m, p.row, job.m, k, p.last_k);
    bring_b.load(second ? b[1] : b[0], job.b_by_k, job.b_by_k ? job.k : job.n, p.column, job.n, k, p.last_k);
  };
  const auto store = [&](int stage) {
    bring_a.store(a_stages[stage]);
    bring_b.store(b_stages[stage]);
  };
  Scalar sums[Tile::kRowsEach][4] = {};
  load(0);
  store(0);
  __syncthreads();
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) load(step + 1);
#pragma unroll
    for (int k = 0; k < kStep; ++k) {
      const Four<Scalar> columns = b_stages[step % 2][k][column_thread];
#pragma unroll
      for (int i = 0; i < Tile::kRowsEach; i += 4) {
        const Four<Scalar> rows = a_stages[step % 2][k][(row_thread * Tile::kRowsEach + i) / 4];
#pragma unroll
        for (int r = 0; r < 4; ++r)
#pragma unroll
          for (int c = 0; c < 4; ++c) sums[i + r][c] += rows.v[r] * columns.v[c];
      }
    }
    if (step + 1 < steps) store((step + 1) % 2);  // last read before the barrier that ended the step before this
    __syncthreads();
  }

  const int column = p.column + column_thread * 4;
#pragma unroll
  for (int i = 0; i < Tile::kRowsEach; ++i) {
    const int row = p.row + row_thread * Tile::kRowsEach + i;
    if (row >= job.m) continue;
    Scalar* const to = y + p.y + static_cast<std::int64_t>(row) * job.n + column;
    if (job.y_wide && column < job.n) {
      *reinterpret_cast<Four<Scalar>*>(to) = {sums[i][0], sums[i][1], sums[i][2], sums[i][3]};
    } else {
#pragma unroll
      for (int c = 0; c < 4; ++c)
        if (column + c < job.n) to[c] = sums[i][c];
    }
  }
}

template <class Scalar>
void run_tiles(const Arguments& args) {
  in_slices<Square, Scalar>(args, [&args](const Job& job, Scalar* y) {
    if (job.m <= Flat::kRows) launch_tiles<Flat>(args, tiles<Scalar, Flat>, job, y);
    else if (job.n <= Tall::kColumns) launch_tiles<Tall>(args, tiles<Scalar, Tall>, job, y);
    else launch_tiles<Square>(args, tiles<Scalar, Square>, job, y);
  });
}

constexpr Kernel kKernels[] = {
    {"matmul", "cuda_tiles", Isa::cuda, DType::f32, 1, dense_only, scratch_bytes<float, Square>, run_tiles<float>},
    {"matmul", "cuda_tiles", Isa::cuda, DType::f64, 1, dense_only, scratch_bytes<double, Square>, run_tiles<double>},
};

}  // namespace

std::span<const Kernel> matmul_tiles_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
