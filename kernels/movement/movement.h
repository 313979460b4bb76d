// Moving elements without arithmetic.
//
//   pad(x)        zeros around x: extent d becomes before[d] + x[d] + after[d]
//   crop(x)       its adjoint: the inner part
//   transpose(x)  y's axis i is x's axis axes[i]; axis 0 (trials) stays
//   reshape(x)    the same elements in row-major order, a view; the trial axis stays
//
// Axis 0 is never padded or cropped. Inputs dense from axis 1 on.
#pragma once

#include <array>
#include <cstdint>

namespace gi::kernels {

struct PadAttrs {  // also of crop
  std::array<std::int64_t, 5> before{};
  std::array<std::int64_t, 5> after{};
};

struct TransposeAttrs {
  std::array<std::int64_t, 5> axes{0, 1, 2, 3, 4};
};

}  // namespace gi::kernels
