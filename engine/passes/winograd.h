// Convolutions as products of Winograd's transforms (kernels/winograd/winograd.h).
#pragma once

#include <cstdint>
#include <functional>

#include "engine/graph/program.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::passes {

/// How a convolution is rewritten.
struct WinogradWay {
  std::int64_t tile = 0;  ///< 2, 4, or 0 to leave it as it is
  /// It stays a convolution and tells its kernel the tile. Else transforms and products become steps, and transforms are shared.
  bool within_kernel = false;
};

/// Which convolutions are rewritten, and how.
struct WinogradRule {
  /// Asked for 3x3 filters of stride 1 in one group, and `images` images; the answer holds for the convolution and its gradient by
  /// the input alike, so that they share the transforms.
  std::function<WinogradWay(const kernels::Conv2dGeometry&, std::int64_t images)> way;
  /// How conv2d_grad_weight goes where the others go that way: likewise, or not at all, or within its kernel with a tile of its
  /// own. It alone transforms its result, a whole bank of filters.
  std::function<WinogradWay(const kernels::Conv2dGeometry&, std::int64_t images, WinogradWay)> grad_weight;
  /// Columns of products are rounded up to whole multiples of this.
  std::int64_t column_multiple = 1;
};

/// Rewrites conv2d and its two gradients. A transform of a value is one node however often it is used, what does not change is
/// transformed once, and sums of two convolutions become sums of products: the other passes see to all three.
Program use_winograd(const Program& program, const WinogradRule& rule);

}  // namespace gi::passes
