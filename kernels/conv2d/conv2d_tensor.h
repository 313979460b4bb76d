// The convolutions as implicit matrix products (conv2d_index.h) on the tensor cores, in f32 by 3xTF32 or, on request, TF32
// (cuda_tensor_tile.h). A block is four warps and makes a tile of the output. The terms go by in steps of 16 through a ring of
// three stages in shared memory: while one is multiplied, asynchronous copies fill the other two, gathering straight from the
// image, with zeros where a tap falls outside. Where four neighbours are neighbours in memory too, one copy takes them all:
//   a      filters along their terms (conv2d), 1x1 filters along input channels (grad_input), gradients along pixels (grad_weight)
//   b      images under 1x1 filters without stride or padding
//
// Slices are those of conv2d_slices.h. A number of the output is a chain over the steps of a slice, then one over the slices,
// whatever the tile. A pair of convolutions is one with twice the terms.
#pragma once

#include "kernels/common/cuda_tensor_tile.h"
#include "kernels/common/families_cuda.h"
#include "kernels/conv2d/conv2d_block.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kTensorThreads = 128, kTensorStages = 3;
static_assert(kDepth == kTensorStep);

template <int Rows, int Cols>
struct TensorTile {
  static constexpr int kRows = Rows, kCols = Cols;
  static constexpr int kWarpCols = 32, kWarpRows = Rows * Cols / (4 * kWarpCols), kWarpsAcross = Cols / kWarpCols;
  static constexpr int kBlocks = kWarpRows == 64 ? 2 : 3;  // to a multiprocessor: as many as registers hold
  static_assert(kWarpRows * (4 / kWarpsAcross) == Rows);
};

/// Where numbers may be moved several at a time.
struct Wide {
  bool a, b;  ///< in fours
  bool out;   ///< in twos
};

/// Fills a stage, Numbers at a time, with source[index(of_outer(row or column), of_k(term))], or zeros where that is negative.
template <int Numbers, class Stage, class OfOuter, class OfK, class Index>
__device__ __forceinline__ void bring(Stage& stage, const float* source, OfOuter of_outer, OfK of_k, Index index) {
  constexpr int kPerLine = Stage::kAlong / Numbers, kApart = kTensorThreads / kPerLine;
  constexpr int kPasses = (Stage::kLines + kApart - 1) / kApart;
  const int thread = static_cast<int>(threadIdx.x), along = thread % kPerLine * Numbers;
  const auto all_passes = [&](auto copy) {
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int line = thread / kPerLine + pass * kApart;
      if (Stage::kLines % kApart == 0 || line < Stage::kLines) copy(line);
    }
  };
  const auto copy = [&](float* to, int from) {
    copy_async<4 * Numbers>(to, source + (from < 0 ? 0 : from), from < 0 ? 0 : 4 * Numbers);
  };
  if constexpr (Stage::kByK) {
    const auto k = of_k(along);
    all_passes([&](int outer) { copy(stage.at(outer, along), index(of_outer(outer), k)); });
  } else {
    const auto outer = of_outer(along);
    all_passes([&](int k) { copy(stage.at(along, k), index(outer, of_k(k))); });
  }
}

template <class Stage, class... Rest>
__device__ __forceinline__ void bring(bool wide, Stage& stage, Rest... rest) {
  if (wide) bring<4>(stage, rest...);
  else bring<1>(stage, rest...);
}

/// RowsFirst: neighbours in a are rows rather than terms.
template <Tf32 Kind, class Tile, ConvOp Op, bool RowsFirst>
__global__ void __launch_bounds__(kTensorThreads, Tile::kBlocks)
    conv2d_tensor(Conv conv, ConvOperands<float> in, Spread spread, Wide wide, float* out) {
  using StageA = TensorStage<Tile::kRows, !RowsFirst>;
  using StageB = TensorStage<Tile::kCols, Op == ConvOp::grad_weight>;  // there the terms are pixels
  GI_SHARED(StageA, a_stages, [kTensorStages]);
  GI_SHARED(StageB, b_stages, [kTensorStages]);
  GI_SHARED(Place, of_col, [Tile::kCols]);
  GI_SHARED(Place, of_term, [2][kDepth]);
  GI_SHARED(Common<float>, common, [1]);

  const int thread = static_cast<int>(threadIdx.x);
  const BlockPart part = block_part_of<Tile>(conv, spread);
  const int first_col = part.first_col, first_row = part.first_row;
  if (thread == 0) set_up<Op>(*common, conv, in, part);
  __syncthreads();
  const Product& m = common->m;
  if (first_col >= m.cols) return;  // phases differ in size
  out += part.first_slice * spread.all + part.trial * spread.trial + part.group * m.out_group;
  for (int i = thread; i < Tile::kCols; i += kTensorThreads) of_col[i] = place_of_col(m, first_col + i);
  const int steps_a_slice = (common->steps + spread.slices - 1) / spread.slices;

  // Places of the terms of a step, by the first threads.
  const auto look_up = [&](int step) {
    if (thread < kDepth) of_term[step & 1][thread] = place_of_term(*common, step, thread);
  };
  const auto fetch = [&](int step, int stage) {
    const Place* const terms = of_term[step & 1];
    const int pair = step >= common->steps_each ? 1 : 0;
    const float *const a = common->a[pair], *const b = common->b[pair];
    const int rows = m.rows, a_row = m.a_row, height = m.height, width = m.width;
    bring(
        wide.a, a_stages[stage], a, [&](int row) { return first_row + row; }, [&](int k) { return terms[k].other; },
        [&](int row, int term) { return row < rows && term >= 0 ? row * a_row + term : -1; });
    bring(
        wide.b, b_stages[stage], b, [&](int col) { return of_col[col]; }, [&](int k) { return terms[k]; },
        [&](Place col, Place term) {
          const bool inside = static_cast<unsigned>(col.h + term.h) < static_cast<unsigned>(height) &&
                              static_cast<unsigned>(col.w + term.w) < static_cast<unsigned>(width);
          return inside ? col.b + term.b : -1;
        });
  };

  const int warp = thread / 32;
  const int warp_row = warp / Tile::kWarpsAcross * Tile::kWarpRows, warp_col = warp % Tile::kWarpsAcross * Tile::kWarpCols;
  for (int slice = part.first_slice; slice < part.last_slice; ++slice) {
    const int begin = slice * steps_a_slice, end = begin + steps_a_slice < common->steps ? begin + steps_a_slice : common->steps;
    TensorSums<Kind, Tile::kWarpRows, Tile::kWarpCols> sums;
    __syncthreads();  // the slice before may still be read
    look_up(begin);
    look_up(begin + 1);
    __syncthreads();
    for (int step = begin; step < begin + kTensorStages - 1; ++step) {
      if (step < end) fetch(step, step - begin);
      copy_async_commit();
    }
    __syncthreads();  // the first step's places are not needed any more
    look_up(begin + kTensorStages - 1);
    int stage = 0;
    for (int step = begin; step < end; ++step) {
      copy_async_wait<kTensorStages - 2>();
      __syncthreads();  // this stage is there for all, and all are done with the one before
      const int next = step + kTensorStages - 1;
      if (next < end) fetch(next, stage == 0 ? kTensorStages - 1 : stage - 1);
      copy_async_commit();
      look_up(next + 1);
      sums.add_step(a_stages[stage], warp_row, b_stages[stage], warp_col);
      stage = stage == kTensorStages - 1 ? 0 : stage + 1;
    }
    copy_async_wait<0>();
    const int rows = m.rows, out_row = m.out_row;
    const bool first = slice == part.first_slice;
    sums.for_each_pair([&](int row, int col, const float* pair) {
      const int at_row = first_row + warp_row + row, at = of_col[warp_col + col].other;
      if (at < 0 || at_row >= rows) return;
      float* const to = out + (at_row * out_row + at);
      if (wide.out) {
        float2& both = *reinterpret_cast<float2*>(to);
        both = first ? float2{pair[0], pair[1]} : float2{both.x + pair[0], both.y + pair[1]};
        return;
      }
      to[0] = first ? pair[0] : to[0] + pair[0];
      if (const int next = of_col[warp_col + col + 1].other; next >= 0) {
        float& second = to[next - at];
        second = first ? pair[1] : second + pair[1];
      }
    });
  }
}

template <ConvOp Op>
Wide wide_of(const Conv& g, const ConvOperands<float>& in, const float* out) {
  const auto aligned = [](const float* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  const Product m = product_of<Op>(g, 0);
  const bool dense = g.r * g.s * g.stride_h * g.stride_w == 1 && g.pad_h + g.pad_w == 0;  // 1x1 filters upon every pixel
  Wide wide{};
  // Terms or rows that are neighbours come in whole fours, from the start of a group or image on.
  if constexpr (Op == ConvOp::forward) wide.a = m.terms % 4 == 0;
  else if constexpr (Op == ConvOp::grad_weight) wide.a = m.a_row % 4 == 0;
  else wide.a = g.r * g.s == 1 && m.rows % 4 == 0;
  wide.b = dense && g.h * g.w % 4 == 0;
  for (int i = 0; i < in.pairs; ++i) {
    wide.a = wide.a && aligned(in.a[i]) && in.a_trial[i] % 4 == 0;
    wide.b = wide.b && aligned(in.b[i]) && in.b_trial[i] % 4 == 0;
  }
  wide.out = g.phases_h * g.phases_w == 1 && m.out_row % 2 == 0 && aligned(out);
  return wide;
}

template <Tf32 Kind, ConvOp Op>
void run_tensor(const Arguments& args) {
  const ConvOperands<float> in = operands_of<float>(args);
  run_product<float, Op>(
      args, [&]<int Rows, int Cols>(TileSize<Rows, Cols>, const Conv& g, const Spread& spread, dim3 blocks, float* to) {
        using Tile = TensorTile<Rows, Cols>;
        auto* kernel = conv2d_tensor<Kind, Tile, Op, false>;
        if constexpr (Op == ConvOp::grad_input)
          if (g.r * g.s == 1) kernel = conv2d_tensor<Kind, Tile, Op, true>;
        launch(args, kernel, blocks, dim3(kTensorThreads), 0, g, in, spread, wide_of<Op>(g, in, to), to);
      });
}

}  // namespace gi::kernels::GI_DEVICE
