// The terms of a convolution's product in slices. Few tiles and many terms, as a single small image gives, would leave most of the
// device idle; so the terms are cut into slices whose sums are added in order. With few trials a slice is a block of its own, and a
// second kernel adds; with many a block does all slices of its tile, one after the other, and adds them itself. How many there are
// follows from the geometry alone, and the bits are the same either way.
#pragma once

#include "kernels/conv2d/conv2d_index.h"

namespace gi::kernels::GI_DEVICE {

inline constexpr int kDepth = 16;  ///< terms of a step; slices are whole steps, so all tiles have the same
inline constexpr int kAddThreads = 256;
inline constexpr std::int64_t kEnoughBlocks = 264;  ///< two to each multiprocessor of the largest devices

/// How the work is spread over the grid.
struct Spread {
  int row_tiles, col_tiles, phases;
  int slices;
  bool slice_blocks;        ///< a block a slice, results to scratch
  std::int64_t trial, all;  ///< numbers of output
};

/// The second kernel: a number of the output is the sum of its slices.
template <class Scalar>
__global__ void __launch_bounds__(kAddThreads) conv2d_add_slices(const Scalar* parts, int slices, std::int64_t all, Scalar* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kAddThreads + threadIdx.x;
  if (i >= all) return;
  Scalar sum = parts[i];
  for (int slice = 1; slice < slices; ++slice) sum += parts[slice * all + i];
  out[i] = sum;
}

/// Tiles of 64x64, whatever the tile in use, so that the number of slices is the geometry's alone.
inline std::int64_t usual_tiles(const Conv& g, const Product& m) {
  return ceil_div(m.rows, 64) * ceil_div(m.cols, 64) * g.groups * g.phases_h * g.phases_w;
}

/// The extents over all phases: where they differ, the largest.
template <ConvOp Op>
Product largest_product(const Conv& g) {
  Product m = product_of<Op>(g, 0);
  for (int phase = 1; phase < g.phases_h * g.phases_w; ++phase) {
    const Product other = product_of<Op>(g, phase);
    if (other.terms > m.terms) m.terms = other.terms;
  }
  return m;
}

template <ConvOp Op>
Spread spread_of(const Problem& problem, const Conv& g, const Product& m) {
  const std::int64_t tiles = usual_tiles(g, m), pairs = static_cast<std::int64_t>(problem.in.size() / 2);
  const std::int64_t steps = pairs * ceil_div(m.terms, kDepth);
  constexpr std::int64_t kFewestSteps = 8, kMostSlices = 32;
  std::int64_t slices = ceil_div(kEnoughBlocks, tiles);
  if (slices > steps / kFewestSteps) slices = steps / kFewestSteps;
  if (slices > kMostSlices) slices = kMostSlices;
  if (slices < 1) slices = 1;
  Spread spread{};
  spread.phases = g.phases_h * g.phases_w;
  spread.slices = static_cast<int>(slices);
  spread.slice_blocks = slices > 1 && tiles * problem.out[0].dims[0] < 2 * kEnoughBlocks;
  spread.trial = problem.out[0].count_per_block();
  spread.all = problem.out[0].count();
  return spread;
}

}  // namespace gi::kernels::GI_DEVICE
