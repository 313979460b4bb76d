// A channel is read twice: for its sums, then for the result. Sums are f64 and relative to a sample's mean, which makes one pass as
// good as two: with d = x - s, mean((x - mean x)(g - mean g)) is mean(dx dg) - mean(dx) mean(dg), where nothing much cancels as the
// sample lies among what it is taken from. With xc = x - mean(x) and so on, all three orders are linear in the centred operands:
//
//   order 0   r xc                                                     r = 1 / sqrt(mean(xc xc) + eps)
//   order 1   r gc - r^3 mean(xc gc) xc
//   order 2   -r^3 [mean(uc gc) - 3 r^2 mean(xc uc) mean(xc gc)] xc - r^3 mean(xc gc) uc - r^3 mean(xc uc) gc
//
// A block does a channel of a trial. A large channel is cut into slices, their number given by the geometry: one launch leaves the
// sums of every slice in scratch, a second adds them up, each of its blocks for itself, and computes the results.
#include "kernels/batchnorm/batchnorm.h"

#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kMostThreads = 256;
constexpr int kBlocksAtLeast = 4;    ///< of a multiprocessor: 64 registers a thread, for several loads under way
constexpr int kNumbersOfThread = 4;  ///< at least, in small channels
/// Numbers of a channel that a block does alone: 12 to 16 a thread, of which the second reading finds many in the cache.
constexpr int kNumbersOfSlice = 4096;
constexpr int kMostSlices = 128;

/// [T, images, channels, pixels] of numbers.
struct Geometry {
  int channels, pixels, stride;  ///< stride: from a channel of an image to that of the next
  int numbers;                   ///< of a channel
  int threads, slices, slice;    ///< of a block; pieces of how many numbers
  int step_pixels, step;         ///< what `threads` numbers further is: pixels, and in memory if the image does not end
  double eps;
};

Geometry geometry_of(const Problem& problem) {
  const View& y = problem.out[0];
  const std::int64_t pixels = y.dims[3] * y.dims[4], stride = y.dims[2] * pixels, numbers = y.dims[1] * pixels;
  std::int64_t threads = ceil_div(numbers, kNumbersOfThread * kWarp) * kWarp;
  if (threads > kMostThreads) threads = kMostThreads;
  std::int64_t slices = ceil_div(numbers, kNumbersOfSlice);
  if (slices > kMostSlices) slices = kMostSlices;
  return {.channels = static_cast<int>(y.dims[2]),
          .pixels = static_cast<int>(pixels),
          .stride = static_cast<int>(stride),
          .numbers = static_cast<int>(numbers),
          .threads = static_cast<int>(threads),
          .slices = static_cast<int>(slices),
          .slice = static_cast<int>(ceil_div(numbers, slices)),
          .step_pixels = static_cast<int>(threads % pixels),
          .step = static_cast<int>(threads / pixels * stride + threads % pixels),
          .eps = problem.attrs_as<BatchnormAttrs>().eps};
}

/// Operands x; g, x; or u, g, x, last first: number 0 is x.
template <class Scalar, int kOperands>
struct Operands {
  const Scalar* data[kOperands];
  std::int64_t step[kOperands];
};

/// What is summed over a channel: differences to samples and their products, as far as there are operands.
enum Sum { kX, kXX, kG, kXG, kU, kXU, kUG };

template <int kOperands>
struct Sums {
  static constexpr int kCount = kOperands == 1 ? 2 : kOperands == 2 ? 4 : 7;
  double of[kCount];
};

/// Every value summed over the threads of the block, for all of them.
template <int kCount>
__device__ void sum_all_over_block(double (&values)[kCount]) {
  GI_SHARED(double, of_warp, [kMostThreads / kWarp][kCount]);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    for (int step = kWarp / 2; step > 0; step /= 2) values[i] += __shfl_down_sync(0xffffffffu, values[i], step);
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp][i] = values[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = of_warp[0][i];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] += of_warp[warp][i];
  }
  __syncthreads();  // of_warp may be written again
}

/// A block's channel.
template <class Scalar, int kOperands>
struct Channel {
  static constexpr int kAtOnce = kOperands == 1 ? 4 : 2;
  const Scalar* in[kOperands];
  double origin[kOperands];  ///< the mean of the first numbers, one a thread

  __device__ Channel(const Geometry& geo, const Operands<Scalar, kOperands>& operands, int t, int c) {
    const int i = static_cast<int>(threadIdx.x), sample = min(geo.threads, geo.numbers);
    const int at = i / geo.pixels * geo.stride + i % geo.pixels;
#pragma unroll
    for (int k = 0; k < kOperands; ++k) {
      in[k] = operands.data[k] + t * operands.step[k] + c * geo.pixels;
      origin[k] = i < sample ? static_cast<double>(in[k][at]) : 0.0;
    }
    sum_all_over_block(origin);
#pragma unroll
    for (int k = 0; k < kOperands; ++k) origin[k] /= sample;
  }

  /// Some of a thread's numbers of a slice, loaded together; where there are no more, the first once again.
  struct Batch {
    int at[kAtOnce];  ///< in memory
    bool there[kAtOnce];
    Scalar values[kOperands][kAtOnce];

    /// Operand k relative to something, 0 where there is none.
    __device__ double difference(int k, int j, double from) const {
      return there[j] ? static_cast<double>(values[k][j]) - from : 0.0;
    }
  };

  template <class Body>
  __device__ void for_each_batch(const Geometry& geo, int slice, Body body) const {
    const int end = min((slice + 1) * geo.slice, geo.numbers);
    int i = slice * geo.slice + static_cast<int>(threadIdx.x);
    int pixel = i % geo.pixels, at = i / geo.pixels * geo.stride + pixel;
#pragma unroll 1
    while (i < end) {
      Batch batch;
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        batch.there[j] = i < end;
        batch.at[j] = batch.there[j] ? at : batch.at[0];
#pragma unroll
        for (int k = 0; k < kOperands; ++k) batch.values[k][j] = __ldg(in[k] + batch.at[j]);
        i += geo.threads, pixel += geo.step_pixels, at += geo.step;
        if (pixel >= geo.pixels) pixel -= geo.pixels, at += geo.stride - geo.pixels;
      }
      body(batch);
    }
  }

  /// Over a slice, for all threads.
  __device__ Sums<kOperands> sums_of(const Geometry& geo, int slice) const {
    Sums<kOperands> sums{};
    for_each_batch(geo, slice, [&](const Batch& batch) {
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const double x = batch.difference(0, j, origin[0]);
        sums.of[kX] += x;
        sums.of[kXX] += x * x;
        if constexpr (kOperands > 1) {
          const double g = batch.difference(1, j, origin[1]);
          sums.of[kG] += g;
          sums.of[kXG] += x * g;
          if constexpr (kOperands > 2) {
            const double u = batch.difference(2, j, origin[2]);
            sums.of[kU] += u;
            sums.of[kXU] += x * u;
            sums.of[kUG] += u * g;
          }
        }
      }
    });
    sum_all_over_block(sums.of);
    return sums;
  }

  /// From the sums over all of the channel to the results of a slice.
  __device__ void results(const Geometry& geo, int slice, const Sums<kOperands>& sums, Scalar* y) const {
    const double scale = 1.0 / geo.numbers;
    const double x = sums.of[kX] * scale, xx = sums.of[kXX] * scale - x * x;
    const double r = 1.0 / sqrt((xx < 0 ? 0.0 : xx) + geo.eps);  // rounding may leave less than nothing
    double mean[kOperands], factor[kOperands];
    mean[0] = origin[0] + x;
    if constexpr (kOperands == 1) {
      factor[0] = r;
    } else {
      const double r3 = r * r * r, g = sums.of[kG] * scale, xg = sums.of[kXG] * scale - x * g;
      mean[1] = origin[1] + g;
      if constexpr (kOperands == 2) {
        factor[0] = -r3 * xg, factor[1] = r;
      } else {
        const double u = sums.of[kU] * scale, xu = sums.of[kXU] * scale - x * u, ug = sums.of[kUG] * scale - u * g;
        mean[2] = origin[2] + u;
        factor[0] = -r3 * (ug - 3.0 * r * r * xu * xg), factor[1] = -r3 * xu, factor[2] = -r3 * xg;
      }
    }
    for_each_batch(geo, slice, [&](const Batch& batch) {
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        double value = factor[0] * batch.difference(0, j, mean[0]);
#pragma unroll
        for (int k = 1; k < kOperands; ++k) value += factor[k] * batch.difference(k, j, mean[k]);
        if (batch.there[j]) y[batch.at[j]] = static_cast<Scalar>(value);
      }
    });
  }
};

template <class Scalar, int kOperands>
__global__ void __launch_bounds__(kMostThreads, kBlocksAtLeast)
    whole_channels(Geometry geo, Operands<Scalar, kOperands> operands, Scalar* y) {
  const int t = static_cast<int>(blockIdx.x) / geo.channels, c = static_cast<int>(blockIdx.x) % geo.channels;
  const Channel<Scalar, kOperands> channel(geo, operands, t, c);
  const std::int64_t of_trial = static_cast<std::int64_t>(geo.numbers) * geo.channels;
  channel.results(geo, 0, channel.sums_of(geo, 0), y + t * of_trial + c * geo.pixels);
}

template <class Scalar, int kOperands>
__global__ void __launch_bounds__(kMostThreads, kBlocksAtLeast)
    sum_slices(Geometry geo, Operands<Scalar, kOperands> operands, Sums<kOperands>* sums) {
  const int slice = static_cast<int>(blockIdx.x) % geo.slices, channels = static_cast<int>(blockIdx.x) / geo.slices;
  const Channel<Scalar, kOperands> channel(geo, operands, channels / geo.channels, channels % geo.channels);
  const Sums<kOperands> of_slice = channel.sums_of(geo, slice);
  if (threadIdx.x == 0) sums[blockIdx.x] = of_slice;
}

template <class Scalar, int kOperands>
__global__ void __launch_bounds__(kMostThreads, kBlocksAtLeast)
    normalise_slices(Geometry geo, Operands<Scalar, kOperands> operands, const Sums<kOperands>* sums, Scalar* y) {
  const int slice = static_cast<int>(blockIdx.x) % geo.slices, channels = static_cast<int>(blockIdx.x) / geo.slices;
  const int t = channels / geo.channels, c = channels % geo.channels;
  const Channel<Scalar, kOperands> channel(geo, operands, t, c);
  Sums<kOperands> all{};
  if (const int i = static_cast<int>(threadIdx.x); i < geo.slices) all = sums[channels * geo.slices + i];
  sum_all_over_block(all.of);
  const std::int64_t of_trial = static_cast<std::int64_t>(geo.numbers) * geo.channels;
  channel.results(geo, slice, all, y + t * of_trial + c * geo.pixels);
}
static_assert(kMostSlices <= kMostThreads);

template <int kOperands>
std::size_t sums_bytes(const Problem& problem) {
  const Geometry geo = geometry_of(problem);
  if (geo.slices == 1) return 0;
  return static_cast<std::size_t>(problem.out[0].dims[0] * geo.channels * geo.slices) * sizeof(Sums<kOperands>);
}

template <class Scalar, int kOperands>
void normalise(const Arguments& args) {
  const Geometry geo = geometry_of(args);
  Operands<Scalar, kOperands> operands;
  for (int k = 0; k < kOperands; ++k) {
    const ConstView& v = args.in[static_cast<std::size_t>(kOperands - 1 - k)];
    operands.data[k] = v.as<Scalar>(), operands.step[k] = trial_step(v);
  }
  Scalar* const y = args.out[0].as<Scalar>();
  auto* const sums = reinterpret_cast<Sums<kOperands>*>(args.scratch);
  const dim3 grid(static_cast<unsigned>(args.out[0].dims[0] * geo.channels * geo.slices)),
      block(static_cast<unsigned>(geo.threads));
  if (geo.slices == 1) {
    launch(args, whole_channels<Scalar, kOperands>, grid, block, 0, geo, operands, y);
  } else {
    launch(args, sum_slices<Scalar, kOperands>, grid, block, 0, geo, operands, sums);
    launch(args, normalise_slices<Scalar, kOperands>, grid, block, 0, geo, operands, sums, y);
  }
}

constexpr Kernel kKernels[] = {
    {"batchnorm", "cuda_channels", Isa::cuda, DType::f32, 1, dense_only, sums_bytes<1>, normalise<float, 1>},
    {"batchnorm", "cuda_channels", Isa::cuda, DType::f64, 1, dense_only, sums_bytes<1>, normalise<double, 1>},
    {"batchnorm_grad", "cuda_channels", Isa::cuda, DType::f32, 1, dense_only, sums_bytes<2>, normalise<float, 2>},
    {"batchnorm_grad", "cuda_channels", Isa::cuda, DType::f64, 1, dense_only, sums_bytes<2>, normalise<double, 2>},
    {"batchnorm_grad2", "cuda_channels", Isa::cuda, DType::f32, 1, dense_only, sums_bytes<3>, normalise<float, 3>},
    {"batchnorm_grad2", "cuda_channels", Isa::cuda, DType::f64, 1, dense_only, sums_bytes<3>, normalise<double, 3>},
};

}  // namespace

std::span<const Kernel> batchnorm_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
