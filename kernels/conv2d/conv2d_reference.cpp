// The family is one trilinear form, T(x, w, g) = sum x w g over all (output position, filter tap) pairs that meet inside
// the image. Each op is the loop over these terms that leaves one of the three out.
#include "kernels/conv2d/conv2d.h"

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// visit(x_index, w_index, y_index) for every term of the form.
template <class Visit>
void for_each_term(const Conv2dGeometry& geo, std::int64_t trials, std::int64_t images, Visit visit) {
  for (std::int64_t t = 0; t < trials; ++t)
    for (std::int64_t n = 0; n < images; ++n)
      for (std::int64_t k = 0; k < geo.k; ++k)
        for (std::int64_t p = 0; p < geo.p; ++p)
          for (std::int64_t q = 0; q < geo.q; ++q)
            for (std::int64_t c = 0; c < geo.c_per_group(); ++c)
              for (std::int64_t r = 0; r < geo.r; ++r)
                for (std::int64_t s = 0; s < geo.s; ++s) {
                  const std::int64_t h = p * geo.stride_h + r - geo.pad_h, w = q * geo.stride_w + s - geo.pad_w;
                  if (h < 0 || h >= geo.h || w < 0 || w >= geo.w) continue;
                  const std::int64_t channel = k / geo.k_per_group() * geo.c_per_group() + c;
                  visit(Index{t, n, channel, h, w}, Index{t, k, c, r, s}, Index{t, n, k, p, q});
                }
}

}  // namespace

void conv2d_reference(const Arguments& args) {
  const auto y = elements(args.out[0]);
  fill_zero(args.out[0]);
  for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
    const auto x = elements(args.in[pair]), w = elements(args.in[pair + 1]);
    for_each_term(args.attrs_as<Conv2dGeometry>(), args.out[0].dims[0], args.out[0].dims[1],
                  [&](const Index& xi, const Index& wi, const Index& yi) { y[yi] += x[xi] * w[wi]; });
  }
}

void conv2d_grad_input_reference(const Arguments& args) {
  const auto dx = elements(args.out[0]);
  fill_zero(args.out[0]);
  for (std::size_t pair = 0; pair < args.in.size(); pair += 2) {
    const auto g = elements(args.in[pair]), w = elements(args.in[pair + 1]);
    for_each_term(args.attrs_as<Conv2dGeometry>(), args.out[0].dims[0], args.out[0].dims[1],
                  [&](const Index& xi, const Index& wi, const Index& yi) { dx[xi] += g[yi] * w[wi]; });
  }
}

void conv2d_grad_weight_reference(const Arguments& args) {
  const auto x = elements(args.in[0]), g = elements(args.in[1]);
  const auto dw = elements(args.out[0]);
  fill_zero(args.out[0]);
  for_each_term(args.attrs_as<Conv2dGeometry>(), args.out[0].dims[0], args.in[0].dims[1],
                [&](const Index& xi, const Index& wi, const Index& yi) { dw[wi] += x[xi] * g[yi]; });
}

}  // namespace gi::kernels
