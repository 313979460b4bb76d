// Convolutions of groups with few channels, depthwise ones above all: as matrix products they have a row or two, too few for the
// tiles of conv2d_cuda.cu. They are bound by memory, so nothing is shared by hand; the caches do.
//
// conv2d and grad_input: a thread a number of the output, neighbours beside each other.
// grad_weight: a block for up to nine taps of a filter. A thread sums over every 128th output pixel, which it reads once for all of
// them; the threads' sums are added as a tree.
#include "kernels/common/cuda_block.h"
#include "kernels/common/families_cuda.h"
#include "kernels/conv2d/conv2d_index.h"

namespace gi::kernels::GI_DEVICE {

namespace {

constexpr int kMostChannels = 4;  // of a group: beyond, tiles waste less than this reads again
constexpr int kThreads = 256, kSumThreads = 128;
constexpr int kTaps = 9;  // a whole 3x3 filter

const char* declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  if (geo.c_per_group() > kMostChannels || geo.k_per_group() > kMostChannels) return "groups of more than 4 channels";
  return dense_only(problem);
}

/// `blocks` to a phase.
template <class Scalar, ConvOp Op>
__global__ void __launch_bounds__(kThreads, 1)
    conv2d_numbers(Conv conv, ConvOperands<Scalar> in, int blocks, int trials, std::int64_t trial_step, Scalar* out) {
  const int phase = static_cast<int>(blockIdx.x) / blocks;
  const Product m = product_of<Op>(conv, phase);
  const std::int64_t i = static_cast<std::int64_t>(static_cast<int>(blockIdx.x) - phase * blocks) * kThreads + threadIdx.x;
  const int rows = conv.groups * m.rows;
  if (i >= static_cast<std::int64_t>(trials) * rows * m.cols) return;
  const int number = static_cast<int>(i), line = number / m.cols, trial = line / rows;
  const int group = (line - trial * rows) / m.rows, row = line - trial * rows - group * m.rows;
  const Place col = m.col.at(number - line * m.cols, m.width);

  const int channels = m.terms == 0 ? 0 : m.terms / (m.term.extent_v * m.term.extent_w);
  Scalar sum = 0;
  for (int pair = 0; pair < in.pairs; ++pair) {
    const Scalar* const a = (pair == 0 ? in.a[0] : in.a[1]) + trial * (pair == 0 ? in.a_trial[0] : in.a_trial[1]) +
                            group * m.a_group + row * m.a_row + m.term.other;
    const Scalar* const b =
        (pair == 0 ? in.b[0] : in.b[1]) + trial * (pair == 0 ? in.b_trial[0] : in.b_trial[1]) + group * m.b_group;
    for (int u = 0; u < channels; ++u)
      for (int v = 0; v < m.term.extent_v; ++v)
        for (int w = 0; w < m.term.extent_w; ++w) {
          const int y = v * m.term.step_h, x = w * m.term.step_w;
          if (!m.inside(col.h + y, col.w + x)) continue;
          sum += a[u * m.term.other_u + v * m.term.other_v + w * m.term.other_w] * b[col.b + u * m.term.b_u + y * m.width + x];
        }
  }
  out[trial * trial_step + group * m.out_group + row * m.out_row + col.other] = sum;
}

/// A block for each trial, group, filter and run of kTaps columns, the last fastest.
template <class Scalar>
__global__ void __launch_bounds__(kSumThreads, 1)
    conv2d_taps(Conv conv, ConvOperands<Scalar> in, int runs, std::int64_t trial_step, Scalar* out) {
  const Product m = product_of<ConvOp::grad_weight>(conv, 0);
  const int index = static_cast<int>(blockIdx.x), line = index / runs, first = (index - line * runs) * kTaps;
  const int rows = conv.groups * m.rows, trial = line / rows;
  const int group = (line - trial * rows) / m.rows, row = line - trial * rows - group * m.rows;
  const Scalar* const a = in.a[0] + trial * in.a_trial[0] + group * m.a_group + row * m.a_row;
  const Scalar* const b = in.b[0] + trial * in.b_trial[0] + group * m.b_group;

  GI_SHARED(Place, of_tap, [kTaps]);
  if (threadIdx.x < kTaps) {
    const int col = first + static_cast<int>(threadIdx.x);
    of_tap[threadIdx.x] = col < m.cols ? m.col.at(col, m.width) : no_place();
  }
  __syncthreads();
  Scalar sum[kTaps] = {};
  for (int term = static_cast<int>(threadIdx.x); term < m.terms; term += kSumThreads) {
    const Place pixel = m.term.at(term, m.width);
    const Scalar g = a[pixel.other];
#pragma unroll
    for (int tap = 0; tap < kTaps; ++tap) {
      const Place col = of_tap[tap];
      if (m.inside(pixel.h + col.h, pixel.w + col.w)) sum[tap] += g * b[pixel.b + col.b];
    }
  }
#pragma unroll
  for (int tap = 0; tap < kTaps; ++tap) {
    const Scalar all = sum_over_block(sum[tap]);
    if (threadIdx.x == 0 && of_tap[tap].other >= 0)
      out[trial * trial_step + group * m.out_group + row * m.out_row + of_tap[tap].other] = all;
  }
}

template <class Scalar, ConvOp Op>
void run(const Arguments& args) {
  const Conv g = conv_of<Op>(args);
  const Product m = product_of<Op>(g, 0);  // the phase with the most pixels
  const View& out = args.out[0];
  const std::int64_t lines = out.dims[0] * g.groups * m.rows;
  if constexpr (Op == ConvOp::grad_weight) {
    const std::int64_t runs = ceil_div(m.cols, kTaps);
    launch(args, conv2d_taps<Scalar>, dim3(static_cast<unsigned>(lines * runs)), dim3(kSumThreads), 0, g, operands_of<Scalar>(args),
           static_cast<int>(runs), out.count_per_block(), out.as<Scalar>());
  } else {
    const std::int64_t blocks = ceil_div(lines * m.cols, kThreads);
    launch(args, conv2d_numbers<Scalar, Op>, dim3(static_cast<unsigned>(blocks * g.phases_h * g.phases_w)), dim3(kThreads), 0, g,
           operands_of<Scalar>(args), static_cast<int>(blocks), static_cast<int>(out.dims[0]), out.count_per_block(),
           out.as<Scalar>());
  }
}

template <class Scalar, ConvOp Op>
constexpr Kernel entry(const char* op) {
  return {op, "cuda_depthwise", Isa::cuda, kDType<Scalar>, 1, declined, nullptr, run<Scalar, Op>};
}

constexpr Kernel kKernels[] = {
    entry<float, ConvOp::forward>("conv2d"),
    entry<double, ConvOp::forward>("conv2d"),
    entry<float, ConvOp::grad_input>("conv2d_grad_input"),
    entry<double, ConvOp::grad_input>("conv2d_grad_input"),
    entry<float, ConvOp::grad_weight>("conv2d_grad_weight"),
    entry<double, ConvOp::grad_weight>("conv2d_grad_weight"),
};

}  // namespace

std::span<const Kernel> conv2d_depthwise_kernels() { return kKernels; }

}  // namespace gi::kernels::GI_DEVICE
