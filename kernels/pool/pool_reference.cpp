// Pooling visits, for every output position, the elements of its window that lie inside the image, in row-major order.
#include "kernels/pool/pool.h"

#include <cmath>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// visit(y_index, x_index) over the window of output position y_index.
template <class Visit>
void for_each_in_window(const PoolGeometry& geo, const Index& yi, Visit visit) {
  for (std::int64_t r = 0; r < geo.r; ++r)
    for (std::int64_t s = 0; s < geo.s; ++s) {
      const std::int64_t h = yi[3] * geo.stride_h + r - geo.pad_h, w = yi[4] * geo.stride_w + s - geo.pad_w;
      if (h >= 0 && h < geo.h && w >= 0 && w < geo.w) visit(Index{yi[0], yi[1], yi[2], h, w});
    }
}

/// The first position of the window where d is largest, a NaN being larger than anything.
Index argmax(const PoolGeometry& geo, const Strided<const double>& d, const Index& yi) {
  Index best{};
  bool found = false;
  for_each_in_window(geo, yi, [&](const Index& xi) {
    if (found && (std::isnan(d[best]) || d[xi] <= d[best])) return;
    best = xi;
    found = true;
  });
  return best;
}

}  // namespace

void avg_pool_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<PoolGeometry>();
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_index(args.out[0], [&](const Index& yi) {
    for_each_in_window(geo, yi, [&](const Index& xi) { y[yi] += x[xi]; });
    y[yi] /= static_cast<double>(geo.r * geo.s);
  });
}

void avg_pool_grad_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<PoolGeometry>();
  const auto g = elements(args.in[0]);
  const auto dx = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_index(args.in[0], [&](const Index& yi) {
    for_each_in_window(geo, yi, [&](const Index& xi) { dx[xi] += g[yi] / static_cast<double>(geo.r * geo.s); });
  });
}

void max_select_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<PoolGeometry>();
  const auto v = elements(args.in[0]), d = elements(args.in[1]);
  const auto y = elements(args.out[0]);
  for_each_index(args.out[0], [&](const Index& yi) { y[yi] = v[argmax(geo, d, yi)]; });
}

void max_scatter_reference(const Arguments& args) {
  const auto& geo = args.attrs_as<PoolGeometry>();
  const auto g = elements(args.in[0]), d = elements(args.in[1]);
  const auto dx = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_index(args.in[0], [&](const Index& yi) { dx[argmax(geo, d, yi)] += g[yi]; });
}

}  // namespace gi::kernels
