// What kernels for the matrix product of conv2d_index.h have in common, whatever multiplies in them: which part of it is a block's,
// where the columns and terms of that part lie, and how the blocks of a whole op are launched.
#pragma once

#include "kernels/conv2d/conv2d_slices.h"

namespace gi::kernels::GI_DEVICE {

/// A block's tile of the output, and the slices of the terms that it adds up.
struct BlockPart {
  int first_row, first_col, group, phase, first_slice, last_slice;
  std::int64_t trial;
};

__device__ inline int take(int& index, int extent) {
  const int rest = index / extent, taken = index - rest * extent;
  index = rest;
  return taken;
}

template <class Tile>
__device__ BlockPart block_part_of(const Conv& conv, const Spread& spread) {
  int index = static_cast<int>(blockIdx.x);
  BlockPart part{};
  part.first_col = take(index, spread.col_tiles) * Tile::kCols;
  part.first_row = take(index, spread.row_tiles) * Tile::kRows;
  part.group = take(index, conv.groups);
  part.phase = take(index, spread.phases);
  part.first_slice = spread.slice_blocks ? take(index, spread.slices) : 0;
  part.last_slice = spread.slice_blocks ? part.first_slice + 1 : spread.slices;
  part.trial = index;
  return part;
}

/// What the threads of a block have in common. In shared memory, for the registers are full of sums.
template <class Scalar>
struct Common {
  Product m;
  const Scalar *a[2], *b[2];
  int steps_each, steps;  ///< of one of a pair, of both
};

/// By one thread.
template <ConvOp Op, class Scalar>
__device__ void set_up(Common<Scalar>& common, const Conv& conv, const ConvOperands<Scalar>& in, const BlockPart& part) {
  const Product product = product_of<Op>(conv, part.phase);
  common.m = product;
  for (int pair = 0; pair < 2; ++pair) {
    common.a[pair] = in.a[pair] + part.trial * in.a_trial[pair] + part.group * product.a_group;
    common.b[pair] = in.b[pair] + part.trial * in.b_trial[pair] + part.group * product.b_group;
  }
  common.steps_each = (product.terms + kDepth - 1) / kDepth;
  common.steps = common.steps_each * in.pairs;
}

__device__ inline Place place_of_col(const Product& m, int col) { return col < m.cols ? m.col.at(col, m.width) : no_place(); }

/// Of a step's term i < kDepth.
template <class Scalar>
__device__ Place place_of_term(const Common<Scalar>& common, int step, int i) {
  const int term = (step < common.steps_each ? step : step - common.steps_each) * kDepth + i;
  return step < common.steps && term < common.m.terms ? common.m.term.at(term, common.m.width) : no_place();
}

template <class Scalar, ConvOp Op>
std::size_t scratch_bytes(const Problem& problem) {
  const Conv g = conv_of<Op>(problem);
  const Spread spread = spread_of<Op>(problem, g, largest_product<Op>(g));
  return spread.slice_blocks ? static_cast<std::size_t>(spread.slices * spread.all) * sizeof(Scalar) : 0;
}

/// Whether the images of all trials may pass for those of one: they meet the same filters and lie one after the other.
template <class Scalar>
bool one_batch(const Arguments& args, const ConvOperands<Scalar>& in) {
  for (int i = 0; i < in.pairs; ++i)
    if (in.a_trial[i] != 0 || in.b_trial[i] != args.in[static_cast<std::size_t>(2 * i)].count_per_block()) return false;
  return true;
}

template <int Rows, int Cols>
struct TileSize {
  static constexpr int kRows = Rows, kCols = Cols;
};

/// Enqueues an op: enqueue(TileSize, geometry, spread, blocks, to) launches the tiles, and what waits in scratch is added.
template <class Scalar, ConvOp Op, class Enqueue>
void run_product(const Arguments& args, Enqueue enqueue) {
  Conv g = conv_of<Op>(args);
  Spread spread = spread_of<Op>(args, g, largest_product<Op>(g));
  std::int64_t trials = args.out[0].dims[0];
  if (Op != ConvOp::grad_weight && one_batch(args, operands_of<Scalar>(args))) {
    g.images *= static_cast<int>(trials);
    trials = 1;
  }
  const Product m = largest_product<Op>(g);
  const std::int64_t copies = trials * (spread.slice_blocks ? spread.slices : 1);
  const auto tiles = [&]<int Rows, int Cols>(TileSize<Rows, Cols> size) {
    spread.row_tiles = static_cast<int>(ceil_div(m.rows, Rows));
    spread.col_tiles = static_cast<int>(ceil_div(m.cols, Cols));
    const std::int64_t blocks = copies * spread.phases * g.groups * spread.row_tiles * spread.col_tiles;
    Scalar* const out = args.out[0].as<Scalar>();
    Scalar* const to = spread.slice_blocks ? reinterpret_cast<Scalar*>(args.scratch) : out;
    enqueue(size, g, spread, dim3(static_cast<unsigned>(blocks)), to);
    if (spread.slice_blocks)
      launch(args, conv2d_add_slices<Scalar>, dim3(static_cast<unsigned>(ceil_div(spread.all, kAddThreads))), dim3(kAddThreads), 0,
             to, spread.slices, spread.all, out);
  };
  if (m.rows <= 16) return tiles(TileSize<16, 128>{});
  if constexpr (sizeof(Scalar) == 4) {
    if (m.rows <= 32) return tiles(TileSize<32, 128>{});
    if (m.cols > 64 && usual_tiles(g, m) * copies >= 4 * kEnoughBlocks) return tiles(TileSize<64, 128>{});
  }
  tiles(TileSize<64, 64>{});
}

}  // namespace gi::kernels::GI_DEVICE
