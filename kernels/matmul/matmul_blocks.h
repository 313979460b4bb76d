// How matrix products are cut into blocks on the device. Only for matmul_*_cuda.cu files.
//
// A block computes one tile of y; its k axis is walked in steps of kStep, and with four inputs on through the second pair of
// factors, into the same sums. Where b serves all trials and a is stored by rows, the trials of a are simply more rows. Where one
// product has few tiles, its k axis is cut into slices, as many as the geometry says whatever T is; their sums wait in scratch and
// are added in order. So the number sequence behind one element of y is the same for every T and every tile.
#pragma once

#include <algorithm>

#include "kernels/common/cuda.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kThreads = 128, kStep = 16;
inline constexpr int kBlocksWanted = 128, kMaxSlices = 64, kMinSlice = 128;

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
struct MatrixPart {
  int row, column, first_k, last_k;
  int trial, product;  ///< the product within the trial
  std::int64_t y;      ///< where its matrix begins in y, or among the sums of slices
};

template <class Tile>
__device__ MatrixPart part_of(const Job& job) {
  int rest = static_cast<int>(blockIdx.x);
  const auto next = [&rest](int extent) {
    const int index = rest % extent;
    rest /= extent;
    return index;
  };
  MatrixPart p;
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
__device__ const Scalar* matrix_of(const Factor& f, const MatrixPart& p) {
  return static_cast<const Scalar*>(f.data) + p.trial * f.trial + p.product * f.product;
}

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

}  // namespace gi::kernels::GI_DEVICE
