#include "kernels/matmul/matmul.h"

#include <utility>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// Elements by (t, batch, row, column).
template <class V>
auto batched(const V& v) {
  auto e = elements(v);
  if (v.rank == 3) e.strides = {e.strides[0], 0, e.strides[1], e.strides[2], 0};
  return e;
}

}  // namespace

void matmul_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<MatmulGeometry>();
  const auto y = batched(args.out[0]);
  fill_zero(args.out[0]);
  for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
    auto a = batched(args.in[pair]), b = batched(args.in[pair + 1]);
    if (geo.transpose_a != 0) std::swap(a.strides[2], a.strides[3]);
    if (geo.transpose_b != 0) std::swap(b.strides[2], b.strides[3]);
    for (std::int64_t t = 0; t < args.out[0].dims[0]; ++t)
      for (std::int64_t i = 0; i < geo.batch; ++i)
        for (std::int64_t m = 0; m < geo.m; ++m)
          for (std::int64_t n = 0; n < geo.n; ++n)
            for (std::int64_t k = 0; k < geo.k; ++k) y(t, i, m, n) += a(t, i, m, k) * b(t, i, k, n);
  }
}

}  // namespace gi::kernels
