#include "kernels/matmul/matmul.h"

#include <utility>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {

void matmul_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
    auto a = elements(args.in[pair]), b = elements(args.in[pair + 1]);
    if (geo.transpose_a != 0) std::swap(a.strides[1], a.strides[2]);
    if (geo.transpose_b != 0) std::swap(b.strides[1], b.strides[2]);
    for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
      for (std::int64_t m = 0; m < geo.m; ++m)
        for (std::int64_t n = 0; n < geo.n; ++n)
          for (std::int64_t k = 0; k < geo.k; ++k) y(t, m, n) += a(t, m, k) * b(t, k, n);
  }
}

}  // namespace gi::kernels
