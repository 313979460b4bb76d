// Pooling in gather form: a thread computes a number of the output from all it depends on, so nothing is added to by two threads.
// Where a window is large a warp shares it. The adjoint of choosing first writes down what each window chose, then every pixel
// asks the few windows it lies in.
#include "kernels/pool/pool.h"

#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;
/// From here on a warp sums a window; its lanes would idle in smaller ones.
constexpr int kLargeWindow = 32;

/// Division of numbers below 2^31 by the same one again and again, as a product and a shift.
/// Source: Granlund and Montgomery 1994, "Division by invariant integers using multiplication", figure 4.1.
struct Divider {
  unsigned by, factor, shift;

  explicit Divider(std::int64_t divisor) : by(static_cast<unsigned>(divisor)), shift(0) {
    while ((std::uint64_t{1} << shift) < by) ++shift;
    factor = static_cast<unsigned>((((std::uint64_t{1} << shift) - by) << 32) / by + 1);
  }
  friend __device__ int operator/(int n, const Divider& d) {
    const auto u = static_cast<unsigned>(n);
    return static_cast<int>((static_cast<unsigned>((std::uint64_t{u} * d.factor) >> 32) + u) >> d.shift);
  }
};

/// The geometry in int, with what the launch adds: a thread or a warp for every number of a trial's planes.
struct Pool {
  int h, w, r, s, p, q, pad_h, pad_w;
  Divider stride_h, stride_w;
  int count;              ///< numbers of a trial's planes
  Divider rows, columns;  ///< their extents
  Divider blocks;         ///< of a trial
};

Pool pool_of(const Problem& problem, const Layout& planes, std::int64_t numbers_of_block) {
  const auto& geo = problem.attrs_as<PoolGeometry>();
  const auto n = [](std::int64_t value) { return static_cast<int>(value); };
  const std::int64_t count = planes.count_per_block();
  return {.h = n(geo.h),
          .w = n(geo.w),
          .r = n(geo.r),
          .s = n(geo.s),
          .p = n(geo.p),
          .q = n(geo.q),
          .pad_h = n(geo.pad_h),
          .pad_w = n(geo.pad_w),
          .stride_h = Divider(geo.stride_h),
          .stride_w = Divider(geo.stride_w),
          .count = n(count),
          .rows = Divider(planes.dims[3]),
          .columns = Divider(planes.dims[4]),
          .blocks = Divider(ceil_div(count, numbers_of_block))};
}

dim3 grid_of(const Pool& pool, std::int64_t trials) { return dim3(static_cast<unsigned>(pool.blocks.by * trials)); }

/// What a thread, or a warp, computes: number `i` of trial `t`, in some plane; beyond `pool.count` there is none.
struct Place {
  int t, i, plane, row, column;

  __device__ explicit Place(const Pool& pool, int threads = 1) {
    const int block = static_cast<int>(blockIdx.x);
    t = block / pool.blocks;
    i = (block - t * static_cast<int>(pool.blocks.by)) * (kThreads / threads) + static_cast<int>(threadIdx.x) / threads;
    const int line = i / pool.columns;
    column = i - line * static_cast<int>(pool.columns.by);
    plane = line / pool.rows;
    row = line - plane * static_cast<int>(pool.rows.by);
  }
  __device__ std::int64_t in_output(const Pool& pool) const { return static_cast<std::int64_t>(t) * pool.count + i; }
};

/// Indices [first, last) of rows and of columns.
struct Range {
  int first, last;
};
struct Ranges {
  Range rows, columns;
};

__device__ Range inside(int at, const Divider& stride, int pad, int window, int extent) {
  const int origin = at * static_cast<int>(stride.by) - pad;
  return {max(origin, 0), min(origin + window, extent)};
}
/// The pixels of a window that lie inside the image.
__device__ Ranges pixels_of(const Pool& pool, const Place& at) {
  return {inside(at.row, pool.stride_h, pool.pad_h, pool.r, pool.h), inside(at.column, pool.stride_w, pool.pad_w, pool.s, pool.w)};
}

__device__ Range over(int at, const Divider& stride, int pad, int window, int windows) {
  const int end = at + pad;
  return {end < window ? 0 : (end - window) / stride + 1, min(end / stride + 1, windows)};
}
/// The windows that a pixel lies in.
__device__ Ranges windows_over(const Pool& pool, const Place& at) {
  return {over(at.row, pool.stride_h, pool.pad_h, pool.r, pool.p), over(at.column, pool.stride_w, pool.pad_w, pool.s, pool.q)};
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads) average(Pool pool, Scalar scale, const Scalar* x, std::int64_t x_step, Scalar* y) {
  const Place at(pool);
  if (at.i >= pool.count) return;
  const Scalar* const plane = x + at.t * x_step + at.plane * pool.h * pool.w;
  const auto [rows, columns] = pixels_of(pool, at);
  Scalar sum = 0;
  for (int h = rows.first; h < rows.last; ++h)
    for (int w = columns.first; w < columns.last; ++w) sum += plane[h * pool.w + w];
  y[at.in_output(pool)] = sum * scale;
}

/// The same, a warp a window.
template <class Scalar>
__global__ void __launch_bounds__(kThreads)
    average_large(Pool pool, Scalar scale, const Scalar* x, std::int64_t x_step, Scalar* y) {
  const Place at(pool, kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (at.i >= pool.count) return;  // all lanes of a warp
  const Scalar* const plane = x + at.t * x_step + at.plane * pool.h * pool.w;
  const auto [rows, columns] = pixels_of(pool, at);
  const int across = columns.last - columns.first, numbers = (rows.last - rows.first) * across;
  Scalar sum = 0;
  for (int k = lane; k < numbers; k += kWarp) sum += plane[(rows.first + k / across) * pool.w + columns.first + k % across];
  for (int step = kWarp / 2; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (lane == 0) y[at.in_output(pool)] = sum * scale;
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads)
    average_grad(Pool pool, Scalar scale, const Scalar* g, std::int64_t g_step, Scalar* dx) {
  const Place at(pool);
  if (at.i >= pool.count) return;
  const Scalar* const plane = g + at.t * g_step + at.plane * pool.p * pool.q;
  const auto [rows, columns] = windows_over(pool, at);
  Scalar sum = 0;
  for (int p = rows.first; p < rows.last; ++p)
    for (int q = columns.first; q < columns.last; ++q) sum += plane[p * pool.q + q];
  dx[at.in_output(pool)] = sum * scale;
}

/// Where in its plane the window at `at` has its first largest number, a NaN being larger than anything; -1 if it has none.
template <class Scalar>
__device__ int argmax(const Pool& pool, const Place& at, const Scalar* plane) {
  const auto [rows, columns] = pixels_of(pool, at);
  int where = -1;
  Scalar best = 0;
  for (int h = rows.first; h < rows.last; ++h)
    for (int w = columns.first; w < columns.last; ++w) {
      const Scalar candidate = plane[h * pool.w + w];
      if (where < 0 || (best == best && !(candidate <= best))) best = candidate, where = h * pool.w + w;
    }
  return where;
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads)
    select(Pool pool, const Scalar* v, std::int64_t v_step, const Scalar* d, std::int64_t d_step, Scalar* y) {
  const Place at(pool);
  if (at.i >= pool.count) return;
  const int plane = at.plane * pool.h * pool.w;
  const int where = argmax(pool, at, d + at.t * d_step + plane);
  y[at.in_output(pool)] = where < 0 ? Scalar(0) : v[at.t * v_step + plane + where];
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads) choose(Pool pool, const Scalar* d, std::int64_t d_step, int* choices) {
  const Place at(pool);
  if (at.i >= pool.count) return;
  choices[at.in_output(pool)] = argmax(pool, at, d + at.t * d_step + at.plane * pool.h * pool.w);
}

/// `choices` are those of a trial's `windows`, one trial after the other.
template <class Scalar>
__global__ void __launch_bounds__(kThreads)
    scatter(Pool pool, int windows, const int* choices, const Scalar* g, std::int64_t g_step, Scalar* dx) {
  const Place at(pool);
  if (at.i >= pool.count) return;
  const int plane = at.plane * pool.p * pool.q, here = at.row * pool.w + at.column;
  const int* const choice = choices + static_cast<std::int64_t>(at.t) * windows + plane;
  const Scalar* const of = g + at.t * g_step + plane;
  const auto [rows, columns] = windows_over(pool, at);
  Scalar sum = 0;
  for (int p = rows.first; p < rows.last; ++p)
    for (int q = columns.first; q < columns.last; ++q)
      if (choice[p * pool.q + q] == here) sum += of[p * pool.q + q];
  dx[at.in_output(pool)] = sum;
}

template <class Scalar>
Scalar scale_of(const Pool& pool) {
  return static_cast<Scalar>(1.0 / (static_cast<double>(pool.r) * pool.s));
}

template <class Scalar>
void avg_pool(const Arguments& args) {
  const auto& geo = args.attrs_as<PoolGeometry>();
  const ConstView& x = args.in[0];
  const View& y = args.out[0];
  const bool large = geo.r * geo.s >= kLargeWindow;
  const Pool pool = pool_of(args, y, large ? kThreads / kWarp : kThreads);
  launch(args, large ? average_large<Scalar> : average<Scalar>, grid_of(pool, y.dims[0]), dim3(kThreads), 0, pool,
         scale_of<Scalar>(pool), x.as<Scalar>(), trial_step(x), y.as<Scalar>());
}

template <class Scalar>
void avg_pool_grad(const Arguments& args) {
  const ConstView& g = args.in[0];
  const View& dx = args.out[0];
  const Pool pool = pool_of(args, dx, kThreads);
  launch(args, average_grad<Scalar>, grid_of(pool, dx.dims[0]), dim3(kThreads), 0, pool, scale_of<Scalar>(pool), g.as<Scalar>(),
         trial_step(g), dx.as<Scalar>());
}

template <class Scalar>
void max_select(const Arguments& args) {
  const ConstView &v = args.in[0], &d = args.in[1];
  const View& y = args.out[0];
  const Pool pool = pool_of(args, y, kThreads);
  launch(args, select<Scalar>, grid_of(pool, y.dims[0]), dim3(kThreads), 0, pool, v.as<Scalar>(), trial_step(v), d.as<Scalar>(),
         trial_step(d), y.as<Scalar>());
}

std::size_t choices_bytes(const Problem& problem) { return static_cast<std::size_t>(problem.in[0].count()) * sizeof(int); }

template <class Scalar>
void max_scatter(const Arguments& args) {
  const ConstView &g = args.in[0], &d = args.in[1];
  const View& dx = args.out[0];
  int* const choices = reinterpret_cast<int*>(args.scratch);
  const Pool windows = pool_of(args, g, kThreads), pixels = pool_of(args, dx, kThreads);
  launch(args, choose<Scalar>, grid_of(windows, dx.dims[0]), dim3(kThreads), 0, windows, d.as<Scalar>(), trial_step(d), choices);
  launch(args, scatter<Scalar>, grid_of(pixels, dx.dims[0]), dim3(kThreads), 0, pixels, windows.count, choices, g.as<Scalar>(),
         trial_step(g), dx.as<Scalar>());
}

constexpr Kernel kKernels[] = {
    {"avg_pool", "cuda_gather", Isa::cuda, DType::f32, 1, dense_only, nullptr, avg_pool<float>},
    {"avg_pool", "cuda_gather", Isa::cuda, DType::f64, 1, dense_only, nullptr, avg_pool<double>},
    {"avg_pool_grad", "cuda_gather", Isa::cuda, DType::f32, 1, dense_only, nullptr, avg_pool_grad<float>},
    {"avg_pool_grad", "cuda_gather", Isa::cuda, DType::f64, 1, dense_only, nullptr, avg_pool_grad<double>},
    {"max_select", "cuda_gather", Isa::cuda, DType::f32, 1, dense_only, nullptr, max_select<float>},
    {"max_select", "cuda_gather", Isa::cuda, DType::f64, 1, dense_only, nullptr, max_select<double>},
    {"max_scatter", "cuda_gather", Isa::cuda, DType::f32, 1, dense_only, choices_bytes, max_scatter<float>},
    {"max_scatter", "cuda_gather", Isa::cuda, DType::f64, 1, dense_only, choices_bytes, max_scatter<double>},
};

}  // namespace

std::span<const Kernel> pool_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
