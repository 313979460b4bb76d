// matmul(a, b): y[t] = op(a[t]) op(b[t]), op transposes where asked.
//
// Operands  a [T,M,K] or, transposed, [T,K,M]; b [T,K,N] or, transposed, [T,N,K]; y [T,M,N]; or all with a batch axis after
//           the first, [T,B,M,K] and so on: B products. Inputs dense from axis 1 on, either may be shared by the trials.
// Pairs     with four inputs (a, b, c, d), all of one geometry, it writes op(a) op(b) + op(c) op(d).
// Sums      matmul_sum is one product summed over the trials, y [1,M,N]: of packs only, none shared.
#pragma once

#include <cstdint>

namespace gi::kernels {

struct MatmulGeometry {
  std::int64_t m = 1, n = 1, k = 1;
  std::int64_t transpose_a = 0, transpose_b = 0;
  std::int64_t batch = 1;
};

}  // namespace gi::kernels
