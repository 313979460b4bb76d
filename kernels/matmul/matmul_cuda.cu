// Matrix products on the device. A block computes one tile of y; its k axis is walked in steps of kStep through two stages of
// shared memory, and with four inputs on through the second pair of factors, into the same sums.
//
//   cuda_3xtf32  f32 on the tensor cores. A number is hi + lo, both TF32, and a product lo*hi + hi*lo + hi*hi, the small ones
//                first: what is lost (lo*lo, the last bit of lo) is 2^-22 of it. Tensor cores round every sum towards zero, so
//                errors of a long chain would all point one way; a chain here is one step long, and its sum is added to the
//                result by an ordinary, rounded addition.
//   cuda_tiles   f32 and f64 by fused multiply-adds, any size: square tiles, or oblong ones where y has few rows or columns.
//
// Where b serves all trials and a is stored by rows, the trials of a are simply more rows. Where one product has few tiles, its
// k axis is cut into slices, as many as the geometry says whatever T is; their sums wait in scratch and are added in order. So
// the number sequence behind one element of y is the same for every T and every tile.
#include <algorithm>

#include "kernels/common/cuda_ptx.h"
#include "kernels/common/families_cuda.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 128, kStep = 16;
constexpr int kBlocksWanted = 128, kMaxSlices = 64, kMinSlice = 128;

template <class Scalar>
struct alignas(16) Four {
  Scalar v[4];
};

/// A factor as it is stored: rows of `pitch` numbers, which go along k (by_k) or along the rows or columns of y.
struct Factor {
  const void* data;
  std::int64_t trial, product;  ///< numbers from one to the next
  bool wide;                    ///< four at a time are aligned
};

struct Job {
  int m, n, k, batch, trials, slices, slice;
  bool a_by_k, b_by_k, y_wide;
  int pairs;
  Factor a[2], b[2];
};

/// What a block does.
struct Part {
  int row, column, first_k, last_k;
  int trial, product;  ///< the product within the trial
  std::int64_t y;      ///< where its matrix begins in y, or among the sums of slices
};

template <class Tile>
__device__ Part part_of(const Job& job) {
  int rest = static_cast<int>(blockIdx.x);
  const auto next = [&rest](int extent) {
    const int index = rest % extent;
    rest /= extent;
    return index;
  };
  Part p;
  p.column = next(static_cast<int>(ceil_div(job.n, Tile::kColumns))) * Tile::kColumns;
  p.row = next(static_cast<int>(ceil_div(job.m, Tile::kRows))) * Tile::kRows;
  const int slice = next(job.slices);
  p.first_k = slice * job.slice;
  p.last_k = p.first_k + job.slice < job.k ? p.first_k + job.slice : job.k;
  p.product = next(job.batch);
  p.trial = rest;
  p.y = (static_cast<std::int64_t>(slice) * job.trials * job.batch + p.trial * job.batch + p.product) * job.m * job.n;
  return p;
}

template <class Scalar>
__device__ const Scalar* matrix_of(const Factor& f, const Part& p) {
  return static_cast<const Scalar*>(f.data) + p.trial * f.trial + p.product * f.product;
}

// ---- fused multiply-adds --------------------------------------------------------------------------------------------------

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
  const Part p = part_of<Tile>(job);
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

// ---- tensor cores ---------------------------------------------------------------------------------------------------------

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

// ---- the host's part ------------------------------------------------------------------------------------------------------

template <class Scalar>
__global__ void __launch_bounds__(kThreads) add_slices(const Scalar* sums, int slices, int count, Scalar* y) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= count) return;
  Scalar sum = sums[i];
  for (int slice = 1; slice < slices; ++slice) sum += sums[static_cast<std::int64_t>(slice) * count + i];
  y[i] = sum;
}

/// Numbers of k that one slice of a product has, by tiles of the given size.
template <class Tile>
int slice_of(const MatmulGeometry& geo) {
  const std::int64_t blocks = geo.batch * ceil_div(geo.m, Tile::kRows) * ceil_div(geo.n, Tile::kColumns);
  const std::int64_t wanted = std::min<std::int64_t>({kBlocksWanted / blocks, geo.k / kMinSlice, kMaxSlices});
  return static_cast<int>(ceil_div(ceil_div(geo.k, std::max<std::int64_t>(wanted, 1)), kStep) * kStep);
}

template <class Scalar, class Tile>
std::size_t scratch_bytes(const Problem& problem) {
  const auto& geo = problem.attrs_as<MatmulGeometry>();
  const std::int64_t slices = ceil_div(geo.k, slice_of<Tile>(geo));
  return slices == 1 ? 0 : static_cast<std::size_t>(slices * problem.out[0].count()) * sizeof(Scalar);
}

template <class Scalar>
Job job_of(const Arguments& args, int slice, const Scalar* y) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  Job job{.m = static_cast<int>(geo.m),
          .n = static_cast<int>(geo.n),
          .k = static_cast<int>(geo.k),
          .batch = static_cast<int>(geo.batch),
          .trials = static_cast<int>(args.out[0].dims[0]),
          .slices = static_cast<int>(ceil_div(geo.k, slice)),
          .slice = slice,
          .a_by_k = geo.transpose_a == 0,
          .b_by_k = geo.transpose_b != 0,
          .y_wide = geo.n % 4 == 0 && aligned(y),
          .pairs = static_cast<int>(args.in.size() / 2),
          .a = {},
          .b = {}};
  const auto factor = [&](const ConstView& v, std::int64_t outer, bool by_k) {
    return Factor{v.data, trial_step(v), outer * geo.k,
                  (by_k ? geo.k : outer) % 4 == 0 && trial_step(v) % 4 == 0 && aligned(v.data)};
  };
  bool more_rows = job.batch == 1 && job.a_by_k;
  for (int pair = 0; pair < 2; ++pair) {
    const std::size_t first = pair < job.pairs ? 2 * static_cast<std::size_t>(pair) : 0;
    job.a[pair] = factor(args.in[first], geo.m, job.a_by_k);
    job.b[pair] = factor(args.in[first + 1], geo.n, job.b_by_k);
    more_rows = more_rows && job.b[pair].trial == 0 && job.a[pair].trial == geo.m * geo.k;
  }
  if (more_rows) job.m *= job.trials, job.trials = 1;
  return job;
}

template <class Tile, class Scalar>
void launch_tiles(const Arguments& args, void (*kernel)(Job, Scalar*), const Job& job, Scalar* y) {
  const std::int64_t blocks = ceil_div(job.m, Tile::kRows) * ceil_div(job.n, Tile::kColumns) * job.slices * job.batch * job.trials;
  launch(args, kernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, job, y);
}

/// `Tile` is what slices are counted by, enqueue(job, y) launches what computes them.
template <class Tile, class Scalar, class Enqueue>
void in_slices(const Arguments& args, Enqueue enqueue) {
  const int slice = slice_of<Tile>(args.attrs_as<MatmulGeometry>());
  Scalar* const y = args.out[0].as<Scalar>();
  Scalar* const sums = slice < args.attrs_as<MatmulGeometry>().k ? reinterpret_cast<Scalar*>(args.scratch) : y;
  const Job job = job_of<Scalar>(args, slice, sums);
  enqueue(job, sums);
  const int count = static_cast<int>(args.out[0].count());
  if (job.slices > 1)
    launch(args, add_slices<Scalar>, dim3(static_cast<unsigned>(ceil_div(count, kThreads))), dim3(kThreads), 0, sums, job.slices,
           count, y);
}

template <class Scalar>
void run_tiles(const Arguments& args) {
  in_slices<Square, Scalar>(args, [&args](const Job& job, Scalar* y) {
    if (job.m <= Flat::kRows) launch_tiles<Flat>(args, tiles<Scalar, Flat>, job, y);
    else if (job.n <= Tall::kColumns) launch_tiles<Tall>(args, tiles<Scalar, Tall>, job, y);
    else launch_tiles<Square>(args, tiles<Scalar, Square>, job, y);
  });
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
    {"matmul", "cuda_tiles", Isa::cuda, DType::f32, 1, dense_only, scratch_bytes<float, Square>, run_tiles<float>},
    {"matmul", "cuda_tiles", Isa::cuda, DType::f64, 1, dense_only, scratch_bytes<double, Square>, run_tiles<double>},
};

}  // namespace

std::span<const Kernel> matmul_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
