// Convolutions as products of Winograd's transforms (kernels/winograd/winograd.h).
#pragma once

#include <cstdint>
#include <functional>

#include "engine/graph/program.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::passes {

/// Which convolutions are rewritten, and how.
struct WinogradRule {
  /// Tile of a convolution of `images` images: 2, 4, or 0 to leave it as it is. Asked for 3x3 filters of stride 1 in one group;
  /// the answer holds for the convolution and its gradients alike, so that they share the transforms.
  std::function<std::int64_t(const kernels::Conv2dGeometry&, std::int64_t images)> tile;
  /// Whether conv2d_grad_weight goes the same way. It alone transforms its result, a whole bank of filters.
  std::function<bool(const kernels::Conv2dGeometry&, std::int64_t images, std::int64_t tile)> grad_weight;
  /// Columns of products are rounded up to whole multiples of this.
  std::int64_t column_multiple = 1;
  /// The convolutions stay, and tell their kernels the tile: what many trials transform is too large to pass through memory.
  bool within_kernels = false;
};

/// Rewrites conv2d and its two gradients. A transform of a value is one node however often it is used, what does not change is
/// transformed once, and sums of two convolutions become sums of products: the other passes see to all three.
Program use_winograd(const Program& program, const WinogradRule& rule);

}  // namespace gi::passes
