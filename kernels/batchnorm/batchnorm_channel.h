// A channel is read twice: for its sums, then for the result. Sums are f64 and relative to a sample's mean, which makes one pass as
// good as two: with d = x - s, mean((x - mean x)(g - mean g)) is mean(dx dg) - mean(dx) mean(dg), where nothing much cancels as the
// sample lies among what it is taken from. With xc = x - mean(x) and so on, all three orders are linear in the centred operands:
//
//   order 0   r xc                                                     r = 1 / sqrt(mean(xc xc) + eps)
//   order 1   r gc - r^3 mean(xc gc) xc
//   order 2   -r^3 [mean(uc gc) - 3 r^2 mean(xc uc) mean(xc gc)] xc - r^3 mean(xc gc) uc - r^3 mean(xc uc) gc
//
// Only for batchnorm_cuda.cu.
#pragma once

#include "kernels/common/cuda_block.h"
#include "kernels/common/cuda_elementwise.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kMostThreads = 256;
inline constexpr int kNumbersOfThread = 4;  ///< at least, in small channels
/// Numbers of a channel that a block does alone: 12 to 16 a thread, of which the second reading finds many in the cache.
inline constexpr int kNumbersOfSlice = 4096;
inline constexpr int kMostSlices = 128;

/// [T, images, channels, pixels] of numbers.
struct Geometry {
  int channels, pixels, stride;  ///< stride: from a channel of an image to that of the next
  int numbers;                   ///< of a channel
  int threads, slices, slice;    ///< of a block; pieces of how many numbers
  int step_pixels, step;         ///< what `threads` numbers further is: pixels, and in memory if the image does not end
  double eps;
};

inline Geometry geometry_of(const Problem& problem, double eps) {
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
          .eps = eps};
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

  /// From the sums over all of the channel to the values of a slice, for `sink` to do with them what it does.
  template <class Sink>
  __device__ void normalise(const Geometry& geo, int slice, const Sums<kOperands>& sums, Sink sink) const {
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
      Group<Scalar, kAtOnce> values;
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        double value = factor[0] * batch.difference(0, j, mean[0]);
#pragma unroll
        for (int k = 1; k < kOperands; ++k) value += factor[k] * batch.difference(k, j, mean[k]);
        values.number[j] = static_cast<Scalar>(value);
      }
      sink(values, batch);
    });
  }
};

}  // namespace gi::kernels::GI_DEVICE
