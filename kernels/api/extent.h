// Extents of what slides a window over an axis: convolution and pooling.
#pragma once

#include <cstdint>

namespace gi::kernels {

/// Output extent along one axis: floor((extent + 2 pad - filter) / stride) + 1.
constexpr std::int64_t conv_output_extent(std::int64_t extent, std::int64_t filter, std::int64_t stride, std::int64_t pad) {
  return (extent + 2 * pad - filter) / stride + 1;
}

}  // namespace gi::kernels
