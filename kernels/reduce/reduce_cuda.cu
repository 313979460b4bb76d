// Sums and inner products on the device, accumulated in f64 in an order that the shapes fix.
//
// After merging neighbouring axes of one kind, what sum_to keeps and sums alternates and fits, within a trial,
//   x[keep0][sum0][keep1][sum1][keep2] -> y[keep0][keep1][keep2]
// and three kernels share the work:
//   each      sums of at most kShort terms: a thread a sum
//   rows      keep2 == 1, what is summed lies in rows: a block a sum
//   columns   keep2 > 1: neighbouring threads walk down neighbouring columns, several to a column
// Where sums are long and few, a block takes one of several slices of a sum; the f64 results go to scratch, those of one sum side
// by side, and are themselves rows to be summed.
//
// An inner product, or the sum of many, is cut into slices of equal size, a block each, whose results are such rows too.
#include <algorithm>

#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"
#include "kernels/reduce/reduce.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;
constexpr int kShort = 32;          ///< terms
constexpr int kPiece = 4096;        ///< numbers of a row that are dealt to slices as one
constexpr int kBlocksWanted = 264;  ///< for the sums of one trial
constexpr int kNumbersOfSlice = 8192;
constexpr int kProductsAtOnce = 96;  ///< as many as the parameters of a kernel hold

struct Sum {
  int keep0 = 1, sum0 = 1, keep1 = 1, sum1 = 1, keep2 = 1;
  int added_trials = 1;    ///< that one sum goes over
  int trials = 1;          ///< that have sums of their own
  std::int64_t trial = 0;  ///< numbers from a trial to the next
  int slices = 1;

  __host__ __device__ int sums_per_trial() const { return keep0 * keep1 * keep2; }
  __host__ __device__ int sums() const { return trials * sums_per_trial(); }
  __host__ __device__ int rows() const { return added_trials * sum0; }
  __host__ __device__ int pieces() const { return (sum1 + kPiece - 1) / kPiece; }

  /// Of the first term of a sum, for indices of y without those within keep2.
  __device__ std::int64_t first_term(int index) const {
    const int row = sum1 * keep2, k1 = index % keep1, k0 = index / keep1 % keep0;
    return index / keep1 / keep0 * trial + static_cast<std::int64_t>(k0) * sum0 * keep1 * row + k1 * row;
  }
  __device__ std::int64_t row_term(int row) const {
    return row / sum0 * trial + static_cast<std::int64_t>(row % sum0) * keep1 * sum1 * keep2;
  }
};

template <class In, class Out>
__global__ void __launch_bounds__(kThreads) each(Sum s, const In* x, Out* y) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= s.sums()) return;
  const In* const first = x + s.first_term(i / s.keep2) + i % s.keep2;
  double sum = 0;
  for (int row = 0; row < s.rows(); ++row) {
    const In* const term = first + s.row_term(row);
    for (int j = 0; j < s.sum1; ++j) sum += static_cast<double>(term[static_cast<std::int64_t>(j) * s.keep2]);
  }
  y[i] = static_cast<Out>(sum);
}

/// `along` threads, a power of two, share a piece of a row.
template <class In, class Out>
__global__ void __launch_bounds__(kThreads, 1) rows(Sum s, int along, const In* x, Out* y) {
  const int sum_index = static_cast<int>(blockIdx.x) / s.slices, slice = static_cast<int>(blockIdx.x) % s.slices;
  const int thread = static_cast<int>(threadIdx.x) % along, group = static_cast<int>(threadIdx.x) / along,
            groups = kThreads / along;
  const In* const first = x + s.first_term(sum_index);
  const int pieces = s.pieces(), all = s.rows() * pieces;
  double sum = 0;
  for (int piece = slice * groups + group; piece < all; piece += s.slices * groups) {
    const int row = piece / pieces, begin = piece % pieces * kPiece;
    const int end = begin + kPiece < s.sum1 ? begin + kPiece : s.sum1;
    const In* const term = first + s.row_term(row);
#pragma unroll 4
    for (int j = begin + thread; j < end; j += along) sum += static_cast<double>(term[j]);
  }
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = static_cast<Out>(sum);
}

/// `across` neighbouring columns, a power of two, and the other threads of the block at other rows of them.
template <class In, class Out>
__global__ void __launch_bounds__(kThreads) columns(Sum s, int across, const In* x, Out* y) {
  GI_SHARED(double, sums, [kThreads]);
  const int tiles = (s.keep2 + across - 1) / across;
  const int tile = static_cast<int>(blockIdx.x) % tiles, rest = static_cast<int>(blockIdx.x) / tiles;
  const int slice = rest % s.slices, index = rest / s.slices;
  const int column = tile * across + static_cast<int>(threadIdx.x) % across, down = kThreads / across;
  const In* const first = x + s.first_term(index) + column;
  double sum = 0;
  if (column < s.keep2) {
#pragma unroll 4
    for (int term = slice * down + static_cast<int>(threadIdx.x) / across; term < s.rows() * s.sum1; term += s.slices * down)
      sum += static_cast<double>(first[s.row_term(term / s.sum1) + static_cast<std::int64_t>(term % s.sum1) * s.keep2]);
  }
  sums[threadIdx.x] = sum;
  for (int step = kThreads / 2; step >= across; step /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < step) sums[threadIdx.x] += sums[threadIdx.x + step];
  }
  if (static_cast<int>(threadIdx.x) < across && column < s.keep2)
    y[(static_cast<std::int64_t>(index) * s.keep2 + column) * s.slices + slice] = static_cast<Out>(sums[threadIdx.x]);
}

/// Inner products of one launch, in slices that are counted through them.
template <class In>
struct Products {
  int count;
  const In *a[kProductsAtOnce], *b[kProductsAtOnce];
  int a_trial[kProductsAtOnce], b_trial[kProductsAtOnce], numbers[kProductsAtOnce], first_slice[kProductsAtOnce];
};

/// A block a slice of a trial; `sums` of a trial are `stride` apart.
template <class In>
__global__ void __launch_bounds__(kThreads) products(Products<In> p, int slices, int stride, double* sums) {
  const int slice = static_cast<int>(blockIdx.x) % slices, trial = static_cast<int>(blockIdx.x) / slices;
  int i = 0;  // the last product that begins no later
  for (int end = p.count; end - i > 1;) {
    const int middle = (i + end) / 2;
    (p.first_slice[middle] <= slice ? i : end) = middle;
  }
  const In* const a = p.a[i] + static_cast<std::int64_t>(trial) * p.a_trial[i];
  const In* const b = p.b[i] + static_cast<std::int64_t>(trial) * p.b_trial[i];
  const int begin = (slice - p.first_slice[i]) * kNumbersOfSlice, end = min(begin + kNumbersOfSlice, p.numbers[i]);
  double sum = 0;
#pragma unroll 4
  for (int j = begin + static_cast<int>(threadIdx.x); j < end; j += kThreads)
    sum += static_cast<double>(a[j]) * static_cast<double>(b[j]);
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) sums[static_cast<std::int64_t>(trial) * stride + slice] = sum;
}

// ---- the host's part ------------------------------------------------------------------------------------------------------

/// The least power of two, up to `most`, that is not less.
int power_of_two(int n, int most) {
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

std::int64_t terms(const Sum& s) { return static_cast<std::int64_t>(s.rows()) * s.sum1; }
int along_of(const Sum& s) { return power_of_two(s.sum1, kThreads); }
int across_of(const Sum& s) { return power_of_two(s.keep2, kWarp); }

/// Slices of one sum: enough blocks for the sums of one trial, but work for every thread of a slice.
int slices_of(const Sum& s) {
  if (terms(s) <= kShort) return 1;
  std::int64_t blocks = s.sums_per_trial(),
               most = ceil_div(static_cast<std::int64_t>(s.rows()) * s.pieces(), kThreads / along_of(s));
  if (s.keep2 > 1) blocks = blocks / s.keep2 * ceil_div(s.keep2, across_of(s)), most = terms(s) * across_of(s) / (16 * kThreads);
  return static_cast<int>(std::clamp<std::int64_t>(kBlocksWanted / blocks, 1, std::max<std::int64_t>(most, 1)));
}

/// Axes of one trial, innermost first: the last slot in use takes an axis of its kind, an axis of the other kind opens the next.
Sum sum_of(const Problem& problem) {
  const ConstView& x = problem.in[0];
  const View& y = problem.out[0];
  Sum s;
  int* const slots[] = {&s.keep2, &s.sum1, &s.keep1, &s.sum0, &s.keep0};
  int slot = 0;
  for (int axis = static_cast<int>(x.rank) - 1; axis >= 1; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (x.dims[i] == 1) continue;
    const bool summed = y.rank == 1 || y.dims[i] == 1;
    if (summed != (slot % 2 == 1)) ++slot;
    *slots[slot] *= static_cast<int>(x.dims[i]);
  }
  (x.dims[0] == y.dims[0] ? s.trials : s.added_trials) = static_cast<int>(x.dims[0]);
  s.trial = trial_step(x);
  s.slices = slices_of(s);
  return s;
}

int slices_of(const ConstView& v) { return static_cast<int>(ceil_div(v.count_per_block(), kNumbersOfSlice)); }
/// Of all inner products.
int slices_of(const Problem& problem) {
  int slices = 0;
  for (std::size_t i = 0; i < problem.in.size(); i += 2) slices += slices_of(problem.in[i]);
  return slices;
}

dim3 blocks(std::int64_t n) { return dim3(static_cast<unsigned>(n)); }

template <class In, class Out>
void enqueue(const Arguments& args, const Sum& s, const In* x, Out* y) {
  if (s.keep2 > 1 && terms(s) > kShort)
    launch(args, columns<In, Out>, blocks(s.trials * s.keep0 * s.keep1 * ceil_div(s.keep2, across_of(s)) * s.slices),
           dim3(kThreads), 0, s, across_of(s), x, y);
  else if (terms(s) > kShort)
    launch(args, rows<In, Out>, blocks(std::int64_t{s.sums()} * s.slices), dim3(kThreads), 0, s, along_of(s), x, y);
  else launch(args, each<In, Out>, blocks(ceil_div(s.sums(), kThreads)), dim3(kThreads), 0, s, x, y);
}

/// Adds the slices of every sum, side by side in scratch.
template <class Out>
void add_slices(const Arguments& args, const Sum& s, Out* y) {
  Sum rest;
  rest.keep1 = s.sums();
  rest.sum1 = s.slices;
  enqueue(args, rest, reinterpret_cast<const double*>(args.scratch), y);
}

template <class In, class Out>
void sum_to(const Arguments& args) {
  const Sum s = sum_of(args);
  Out* const y = args.out[0].as<Out>();
  if (s.slices == 1) return enqueue(args, s, args.in[0].as<In>(), y);
  enqueue(args, s, args.in[0].as<In>(), reinterpret_cast<double*>(args.scratch));
  add_slices(args, s, y);
}

void run_sum_to(const Arguments& args) {
  if (args.in[0].dtype == DType::f64) sum_to<double, double>(args);
  else if (args.out[0].dtype == DType::f64) sum_to<float, double>(args);
  else sum_to<float, float>(args);
}

template <class In>
void run_dot(const Arguments& args) {
  const int trials = static_cast<int>(args.out[0].dims[0]), all = slices_of(args);
  double* const y = args.out[0].as<double>();
  double* const sums = all == 1 ? y : reinterpret_cast<double*>(args.scratch);
  int done = 0;
  for (std::size_t i = 0; i < args.in.size();) {
    Products<In> p{};
    int slices = 0;
    for (; i < args.in.size() && p.count < kProductsAtOnce; i += 2, ++p.count) {
      const ConstView &a = args.in[i], &b = args.in[i + 1];
      p.a[p.count] = a.as<In>(), p.b[p.count] = b.as<In>();
      p.a_trial[p.count] = static_cast<int>(trial_step(a)), p.b_trial[p.count] = static_cast<int>(trial_step(b));
      p.numbers[p.count] = static_cast<int>(a.count_per_block());
      p.first_slice[p.count] = slices;
      slices += slices_of(a);
    }
    launch(args, products<In>, blocks(std::int64_t{trials} * slices), dim3(kThreads), 0, p, slices, all, sums + done);
    done += slices;
  }
  if (all == 1) return;
  Sum rest;
  rest.keep1 = trials;
  rest.sum1 = all;
  enqueue(args, rest, sums, y);
}

std::size_t scratch_of(const Sum& s) {
  return s.slices == 1 ? 0 : sizeof(double) * static_cast<std::size_t>(s.sums()) * static_cast<std::size_t>(s.slices);
}
std::size_t sum_to_scratch(const Problem& problem) { return scratch_of(sum_of(problem)); }
std::size_t dot_scratch(const Problem& problem) {
  const int slices = slices_of(problem);
  return slices == 1 ? 0 : sizeof(double) * static_cast<std::size_t>(problem.out[0].dims[0] * slices);
}

/// What has rank 1 is f64 whatever the Plan computes in.
template <class Scalar>
const char* sum_to_declines(const Problem& problem) {
  if (problem.in[0].dtype != kDType<Scalar> && problem.in[0].rank != 1) return "the operand has another dtype";
  return dense_only(problem);
}

template <class Scalar>
const char* dot_declines(const Problem& problem) {
  if (problem.out.size() != 1) return "several products";
  for (const ConstView& v : problem.in)
    if (v.dtype != kDType<Scalar>) return "an operand has another dtype";
  return dense_only(problem);
}

constexpr Kernel kKernels[] = {
    {"sum_to", "cuda_blocks", Isa::cuda, DType::f32, 1, sum_to_declines<float>, sum_to_scratch, run_sum_to},
    {"sum_to", "cuda_blocks", Isa::cuda, DType::f64, 1, sum_to_declines<double>, sum_to_scratch, run_sum_to},
    {"dot", "cuda_blocks", Isa::cuda, DType::f32, 1, dot_declines<float>, dot_scratch, run_dot<float>},
    {"dot", "cuda_blocks", Isa::cuda, DType::f64, 1, dot_declines<double>, dot_scratch, run_dot<double>},
};

}  // namespace

std::span<const Kernel> reduce_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
