// Copies of images with their halo. Only for *_cpu.cpp files.
#pragma once

#include <cstring>

#include "kernels/common/copy_row.h"
#include "kernels/common/numbers.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels::GI_ISA {

/// The indices i < count for which 0 <= start + i * step < extent.
inline Range inside(std::int64_t start, std::int64_t step, std::int64_t extent, std::int64_t count) {
  const std::int64_t first = start >= 0 ? 0 : at_most(ceil_div(-start, step), count);
  return {first, at_least(first, start >= extent ? 0 : at_most(ceil_div(extent - start, step), count))};
}

/// Channels of an image x as [channel][rows][pitch], with zeros before and behind it as far as these extents reach.
template <class Scalar>
void copy_padded(const Conv2dGeometry& geo, const Scalar* x, std::int64_t channels, std::int64_t rows, std::int64_t pitch,
                 Scalar* to) {
  const Range across = inside(-geo.pad_w, 1, geo.w, pitch), down = inside(-geo.pad_h, 1, geo.h, rows);
  std::memset(to, 0, channels * rows * pitch * sizeof(Scalar));
  for (std::int64_t c = 0; c < channels; ++c, x += geo.h * geo.w, to += rows * pitch)
    for (std::int64_t i = down.first; i < down.last; ++i)
      copy_row<1>(x + (i - geo.pad_h) * geo.w + across.first - geo.pad_w, across.last - across.first,
                  to + i * pitch + across.first);
}

}  // namespace gi::kernels::GI_ISA
