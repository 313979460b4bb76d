// Every pixel counts its neighbours below and to the right. The images of a trial are cut into slices, their number given by the
// geometry; a block sums one in f64, and another sums a trial's slices. The gradient is a thread a pixel.
#include "kernels/total_variation/total_variation.h"

#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kThreads = 256;
/// Of a slice: enough for a thread to have several, few enough that one image alone fills the device.
constexpr int kPixelsOfSlice = 2048;
/// A second block sums at most so many, a few numbers a thread; beyond, slices grow.
constexpr int kMostSlices = 1024;

/// The images of a trial.
struct Images {
  int count, h, w;            ///< pixels of all of them; extents of one
  int slices, slice, blocks;  ///< into how many pieces of how many pixels they are cut; blocks of a thread a pixel
  double down, across;        ///< one over the number of neighbours of a kind in a trial; 0 where an axis has none
};

Images images_of(const ConstView& x) {
  const std::int64_t h = x.dims[3], w = x.dims[4], planes = x.dims[1] * x.dims[2], count = planes * h * w;
  std::int64_t slices = ceil_div(count, kPixelsOfSlice);
  if (slices > kMostSlices) slices = kMostSlices;
  return {.count = static_cast<int>(count),
          .h = static_cast<int>(h),
          .w = static_cast<int>(w),
          .slices = static_cast<int>(slices),
          .slice = static_cast<int>(ceil_div(count, slices)),
          .blocks = static_cast<int>(ceil_div(count, kThreads)),
          .down = h > 1 ? 1.0 / static_cast<double>(planes * (h - 1) * w) : 0.0,
          .across = w > 1 ? 1.0 / static_cast<double>(planes * h * (w - 1)) : 0.0};
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads) sum_slices(Images images, const Scalar* x, std::int64_t x_step, double* sums) {
  const int t = static_cast<int>(blockIdx.x) / images.slices, slice = static_cast<int>(blockIdx.x) % images.slices;
  const Scalar* const of = x + t * x_step;
  const int first = slice * images.slice, last = min(first + images.slice, images.count);
  double down = 0, across = 0;
  for (int i = first + static_cast<int>(threadIdx.x); i < last; i += kThreads) {
    const int line = i / images.w;
    const double here = of[i];
    if (line % images.h < images.h - 1) down += abs(static_cast<double>(of[i + images.w]) - here);
    if (i % images.w < images.w - 1) across += abs(static_cast<double>(of[i + 1]) - here);
  }
  const double sum = sum_over_block(down * images.down + across * images.across);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// A block a trial.
__global__ void __launch_bounds__(kThreads) sum_trials(int slices, const double* sums, double* y) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < slices; i += kThreads)
    sum += sums[static_cast<std::int64_t>(blockIdx.x) * slices + i];
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

template <class Scalar>
__device__ int sign(Scalar from, Scalar to) {
  return static_cast<int>(to > from) - static_cast<int>(to < from);
}

template <class Scalar>
__global__ void __launch_bounds__(kThreads) gradient(Images images, const Scalar* x, std::int64_t x_step, Scalar* y) {
  const int t = static_cast<int>(blockIdx.x) / images.blocks;
  const int i = static_cast<int>(blockIdx.x) % images.blocks * kThreads + static_cast<int>(threadIdx.x);
  if (i >= images.count) return;
  const int column = i % images.w, row = i / images.w % images.h;
  const Scalar* const here = x + t * x_step + i;
  // Beyond the edge lies the edge itself: a difference of zero.
  const int above = row > 0 ? images.w : 0, below = row < images.h - 1 ? images.w : 0;
  const int left = column > 0 ? 1 : 0, right = column < images.w - 1 ? 1 : 0;
  const int down = sign(here[-above], *here) - sign(*here, here[below]);
  const int across = sign(here[-left], *here) - sign(*here, here[right]);
  y[static_cast<std::int64_t>(t) * images.count + i] = static_cast<Scalar>(images.down * down + images.across * across);
}

std::size_t sums_bytes(const Problem& problem) {
  return static_cast<std::size_t>(problem.in[0].dims[0] * images_of(problem.in[0]).slices) * sizeof(double);
}

template <class Scalar>
void total_variation(const Arguments& args) {
  const ConstView& x = args.in[0];
  const Images images = images_of(x);
  const auto trials = static_cast<unsigned>(args.out[0].dims[0]);
  double* const y = args.out[0].as<double>();
  double* const sums = images.slices == 1 ? y : reinterpret_cast<double*>(args.scratch);
  launch(args, sum_slices<Scalar>, dim3(trials * static_cast<unsigned>(images.slices)), dim3(kThreads), 0, images, x.as<Scalar>(),
         trial_step(x), sums);
  if (images.slices > 1) launch(args, sum_trials, dim3(trials), dim3(kThreads), 0, images.slices, sums, y);
}

template <class Scalar>
void total_variation_grad(const Arguments& args) {
  const ConstView& x = args.in[0];
  const Images images = images_of(x);
  launch(args, gradient<Scalar>, dim3(static_cast<unsigned>(args.out[0].dims[0] * images.blocks)), dim3(kThreads), 0, images,
         x.as<Scalar>(), trial_step(x), args.out[0].as<Scalar>());
}

constexpr Kernel kKernels[] = {
    {"total_variation", "cuda_slices", Isa::cuda, DType::f32, 1, dense_only, sums_bytes, total_variation<float>},
    {"total_variation", "cuda_slices", Isa::cuda, DType::f64, 1, dense_only, sums_bytes, total_variation<double>},
    {"total_variation_grad", "cuda_pixels", Isa::cuda, DType::f32, 1, dense_only, nullptr, total_variation_grad<float>},
    {"total_variation_grad", "cuda_pixels", Isa::cuda, DType::f64, 1, dense_only, nullptr, total_variation_grad<double>},
};

}  // namespace

std::span<const Kernel> total_variation_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
