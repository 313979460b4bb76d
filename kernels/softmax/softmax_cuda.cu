// Softmax a block a row, all of it in f64: rows are short, and what is left of a confident row after cancellation is the point.
// Exponentials are relative to the largest logit, the first of them if several, whose own is 1, and are computed again where they
// are needed. Sums that leave one number out add, for a thread, its own numbers before and behind, then those of the other lanes,
// then those of the other warps. The loss of a row lies in scratch until a trial's are summed.
#include "kernels/softmax/softmax.h"

#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;  // of bounds that say "and one block at least": ptxas else saves registers until it spills
/// Up to here a warp does a row.
constexpr int kShortRow = 128;

/// [T, rows, size] of logits, and of another operand.
template <class Scalar>
struct Operands {
  int rows, size;
  const Scalar *z, *other;
  std::int64_t z_step, other_step;
};

/// One row: its operands, which number of all trials' rows it is, and what exponentials need.
template <class Scalar>
struct Row {
  const Scalar *z, *other;
  int index, size;
  double largest;  ///< logit
  int where;       ///< its place
  double others;   ///< sum of all exponentials but the largest

  __device__ double exponential(int k) const { return exp(static_cast<double>(z[k]) - largest); }
};

/// The block's row. Its threads take places threadIdx.x, threadIdx.x + blockDim.x, ...
template <class Scalar>
__device__ Row<Scalar> row_of_block(const Operands<Scalar>& operands) {
  Row<Scalar> row;
  row.index = static_cast<int>(blockIdx.x);
  row.size = operands.size;
  const int t = row.index / operands.rows, first = row.index % operands.rows * operands.size;
  row.z = operands.z + t * operands.z_step + first;
  row.other = operands.other + t * operands.other_step + first;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);

  double largest = row.z[0];
  for (int k = thread; k < row.size; k += threads) largest = row.z[k] > largest ? row.z[k] : largest;
  row.largest = over_block(largest, [](double a, double b) { return b > a ? b : a; });
  int where = row.size;
  for (int k = thread; k < row.size; k += threads)
    if (k < where && row.z[k] == row.largest) where = k;
  row.where = over_block(where, [](int a, int b) { return b < a ? b : a; });
  double others = 0;
  for (int k = thread; k < row.size; k += threads)
    if (k != row.where) others += row.exponential(k);
  row.others = sum_over_block(others);
  return row;
}

/// The sum of `value` over all other threads of the block, without subtracting its own.
__device__ double sum_over_others(double value) {
  GI_SHARED(double, of_warp, [kWarp]);
  double others = 0, all = value;
  for (int step = 1; step < kWarp; step *= 2) {  // `all` is of 2 step lanes, `others` of them but this one
    const double beside = __shfl_xor_sync(0xffffffffu, all, step);
    others += beside;
    all += beside;
  }
  const unsigned own = threadIdx.x / kWarp;
  if (threadIdx.x % kWarp == 0) of_warp[own] = all;
  __syncthreads();
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp)
    if (warp != own) others += of_warp[warp];
  __syncthreads();  // of_warp may be written again
  return others;
}

struct Two {
  double first, second;
};

/// visit(k, sums) with the sums of term(j) over all j but k, for the thread's k. `behind` is room for as many as the row has.
template <class Term, class Visit>
__device__ void for_each_without(int size, Two* behind, Term term, Visit visit) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  Two own{0, 0};
  if (thread < size)
    for (int k = thread + (size - 1 - thread) / threads * threads; k >= 0; k -= threads) {
      behind[k] = own;
      const Two value = term(k);
      own.first += value.first, own.second += value.second;
    }
  Two before{sum_over_others(own.first), sum_over_others(own.second)};
  for (int k = thread; k < size; k += threads) {
    visit(k, Two{before.first + behind[k].first, before.second + behind[k].second});
    const Two value = term(k);
    before.first += value.first, before.second += value.second;
  }
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads, 1) log_probabilities(Operands<Scalar> operands, Scalar* y) {
  const Row<Scalar> row = row_of_block(operands);
  const double log_total = log1p(row.others);
  Scalar* const to = y + static_cast<std::int64_t>(row.index) * row.size;
  for (int k = static_cast<int>(threadIdx.x); k < row.size; k += static_cast<int>(blockDim.x))
    to[k] = static_cast<Scalar>((static_cast<double>(row.z[k]) - row.largest) - log_total);
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads, 1) losses_of_rows(Operands<Scalar> operands, double* losses) {
  const Row<Scalar> row = row_of_block(operands);
  const double log_total = log1p(row.others);
  double sum = 0;
  for (int k = static_cast<int>(threadIdx.x); k < row.size; k += static_cast<int>(blockDim.x))
    sum += static_cast<double>(row.other[k]) * (log_total + (row.largest - static_cast<double>(row.z[k])));
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) losses[row.index] = sum;
}

/// A warp a trial.
__global__ void __launch_bounds__(kWarp) mean_of_rows(int rows, const double* losses, double* y) {
  double sum = 0;
  for (int n = static_cast<int>(threadIdx.x); n < rows; n += kWarp) sum += losses[static_cast<std::int64_t>(blockIdx.x) * rows + n];
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = sum / rows;
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads, 1) residual(Operands<Scalar> operands, Two* behind, Scalar* y) {
  const Row<Scalar> row = row_of_block(operands);
  const std::int64_t first = static_cast<std::int64_t>(row.index) * row.size;
  const double scale = 1.0 / (1.0 + row.others);
  for_each_without(
      row.size, behind + first,
      [&row](int k) {
        return Two{static_cast<double>(row.other[k]), row.exponential(k)};
      },
      [&](int k, Two sums) {
        const double value = row.exponential(k) * sums.first - static_cast<double>(row.other[k]) * sums.second;
        y[first + k] = static_cast<Scalar>(value * scale);
      });
}

/// u is taken relative to its value at the largest logit, so that the sums for the others stay as small as they are.
template <class Scalar>
__global__ void __launch_bounds__(kThreads, 1) jacobian_times(Operands<Scalar> operands, Two* behind, Scalar* y) {
  const Row<Scalar> row = row_of_block(operands);
  const std::int64_t first = static_cast<std::int64_t>(row.index) * row.size;
  const double scale = 1.0 / (1.0 + row.others);
  const double origin = row.where < row.size ? static_cast<double>(row.other[row.where]) : 0.0;
  const auto u = [&](int k) { return static_cast<double>(row.other[k]) - origin; };
  for_each_without(
      row.size, behind + first,
      [&](int k) {
        const double e = row.exponential(k);
        return Two{e, e * u(k)};
      },
      [&](int k, Two sums) {
        y[first + k] = static_cast<Scalar>((row.exponential(k) * scale) * (u(k) * sums.first - sums.second) * scale);
      });
}

/// Runs a kernel with a block for each row.
template <class Scalar, class... Parameters, class... Values>
void run_rows(const Arguments& args, void (*kernel)(Operands<Scalar>, Parameters...), Values... values) {
  const ConstView &z = args.in[0], &other = args.in[args.in.size() - 1];
  const Operands<Scalar> operands{.rows = static_cast<int>(z.dims[1]),
                                  .size = static_cast<int>(z.dims[2]),
                                  .z = z.as<Scalar>(),
                                  .other = other.as<Scalar>(),
                                  .z_step = trial_step(z),
                                  .other_step = trial_step(other)};
  const dim3 grid(static_cast<unsigned>(args.out[0].dims[0] * z.dims[1])), block(operands.size <= kShortRow ? kWarp : kThreads);
  launch(args, kernel, grid, block, 0, operands, values...);
}

template <class Scalar>
void log_softmax(const Arguments& args) {
  run_rows(args, log_probabilities<Scalar>, args.out[0].as<Scalar>());
}

std::size_t losses_bytes(const Problem& problem) {
  return static_cast<std::size_t>(problem.in[0].dims[0] * problem.in[0].dims[1]) * sizeof(double);
}

template <class Scalar>
void cross_entropy(const Arguments& args) {
  double* const losses = reinterpret_cast<double*>(args.scratch);
  run_rows(args, losses_of_rows<Scalar>, losses);
  launch(args, mean_of_rows, dim3(static_cast<unsigned>(args.out[0].dims[0])), dim3(kWarp), 0, static_cast<int>(args.in[0].dims[1]),
         losses, args.out[0].as<double>());
}

std::size_t behind_bytes(const Problem& problem) { return static_cast<std::size_t>(problem.out[0].count()) * sizeof(Two); }

template <class Scalar>
void softmax_residual(const Arguments& args) {
  run_rows(args, residual<Scalar>, reinterpret_cast<Two*>(args.scratch), args.out[0].as<Scalar>());
}

template <class Scalar>
void softmax_vjp(const Arguments& args) {
  run_rows(args, jacobian_times<Scalar>, reinterpret_cast<Two*>(args.scratch), args.out[0].as<Scalar>());
}

constexpr Kernel kKernels[] = {
    {"log_softmax", "cuda_rows", Isa::cuda, DType::f32, 1, dense_only, nullptr, log_softmax<float>},
    {"log_softmax", "cuda_rows", Isa::cuda, DType::f64, 1, dense_only, nullptr, log_softmax<double>},
    {"cross_entropy", "cuda_rows", Isa::cuda, DType::f32, 1, dense_only, losses_bytes, cross_entropy<float>},
    {"cross_entropy", "cuda_rows", Isa::cuda, DType::f64, 1, dense_only, losses_bytes, cross_entropy<double>},
    {"softmax_residual", "cuda_rows", Isa::cuda, DType::f32, 1, dense_only, behind_bytes, softmax_residual<float>},
    {"softmax_residual", "cuda_rows", Isa::cuda, DType::f64, 1, dense_only, behind_bytes, softmax_residual<double>},
    {"softmax_vjp", "cuda_rows", Isa::cuda, DType::f32, 1, dense_only, behind_bytes, softmax_vjp<float>},
    {"softmax_vjp", "cuda_rows", Isa::cuda, DType::f64, 1, dense_only, behind_bytes, softmax_vjp<double>},
};

}  // namespace

std::span<const Kernel> softmax_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
