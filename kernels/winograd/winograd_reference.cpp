#include "kernels/winograd/winograd.h"

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"
#include "kernels/common/winograd_matrices.h"

namespace gi::kernels {
namespace {

using Coefficient = double (*)(std::int64_t tile, std::int64_t i, std::int64_t j);

/// visit(t, n, c, row, column, xi, tile's column, coefficient) for every term of a transform between images [T,N,C,..] of
/// `height` x `width` and products [T,side^2,C,columns]: the image's number at (row, column) times the coefficient belongs to the
/// product's number xi. A tile's window begins at tile * index - pad and has `window` numbers a side.
template <class Visit>
void for_each_term(const WinogradGeometry& geo, const Layout& image, std::int64_t window, std::int64_t pad_h, std::int64_t pad_w,
                   Coefficient coefficient, Visit visit) {
  const std::int64_t side = geo.side();
  for (std::int64_t t = 0; t < image.dims[0]; ++t)
    for (std::int64_t n = 0; n < geo.n; ++n)
      for (std::int64_t c = 0; c < image.dims[2]; ++c)
        for (std::int64_t i = 0; i < geo.tiles_h(); ++i)
          for (std::int64_t j = 0; j < geo.tiles_w(); ++j)
            for (std::int64_t r = 0; r < window; ++r)
              for (std::int64_t s = 0; s < window; ++s) {
                const std::int64_t row = i * geo.tile + r - pad_h, column = j * geo.tile + s - pad_w;
                if (row < 0 || row >= image.dims[3] || column < 0 || column >= image.dims[4]) continue;
                for (std::int64_t a = 0; a < side; ++a)
                  for (std::int64_t b = 0; b < side; ++b)
                    visit(t, n, c, row, column, a * side + b, (n * geo.tiles_h() + i) * geo.tiles_w() + j,
                          coefficient(geo.tile, a, r) * coefficient(geo.tile, b, s));
              }
}

double transposed_a(std::int64_t tile, std::int64_t i, std::int64_t j) { return winograd_a(tile, j, i); }

void to_products(const Arguments& args, bool input) {
  const auto& geo = args.attrs_as<WinogradGeometry>();
  fill_zero(args.out[0]);
  const auto from = elements(args.in[0]);
  const auto to = elements(args.out[0]);
  for_each_term(geo, args.in[0], input ? geo.side() : geo.tile, input ? geo.pad_h : 0, input ? geo.pad_w : 0,
                input ? winograd_b : transposed_a,
                [&](auto t, auto n, auto c, auto row, auto column, auto xi, auto tile, double k) {
                  to(t, xi, c, tile) += k * from(t, n, c, row, column);
                });
}
void from_products(const Arguments& args, bool input) {
  const auto& geo = args.attrs_as<WinogradGeometry>();
  fill_zero(args.out[0]);
  const auto from = elements(args.in[0]);
  const auto to = elements(args.out[0]);
  for_each_term(geo, args.out[0], input ? geo.side() : geo.tile, input ? geo.pad_h : 0, input ? geo.pad_w : 0,
                input ? winograd_b : transposed_a,
                [&](auto t, auto n, auto c, auto row, auto column, auto xi, auto tile, double k) {
                  to(t, n, c, row, column) += k * from(t, xi, c, tile);
                });
}

/// visit(t, k, c, r, s, xi, coefficient) for every term between filters [T,K,C,3,3] and their transforms [T,side^2,K,C].
template <class Visit>
void for_each_filter_term(const WinogradFilter& geo, const Layout& filters, Visit visit) {
  const std::int64_t side = geo.side();
  for (std::int64_t t = 0; t < filters.dims[0]; ++t)
    for (std::int64_t k = 0; k < filters.dims[1]; ++k)
      for (std::int64_t c = 0; c < filters.dims[2]; ++c)
        for (std::int64_t r = 0; r < 3; ++r)
          for (std::int64_t s = 0; s < 3; ++s)
            for (std::int64_t a = 0; a < side; ++a)
              for (std::int64_t b = 0; b < side; ++b)
                visit(t, k, c, r, s, a * side + b, winograd_g(geo.tile, a, r) * winograd_g(geo.tile, b, s));
}

}  // namespace

void winograd_input_reference(const Arguments& args) { to_products(args, true); }
void winograd_output_grad_reference(const Arguments& args) { to_products(args, false); }
void winograd_output_reference(const Arguments& args) { from_products(args, false); }
void winograd_input_grad_reference(const Arguments& args) { from_products(args, true); }

void winograd_filter_reference(const Arguments& args) {
  fill_zero(args.out[0]);
  const auto w = elements(args.in[0]);
  const auto u = elements(args.out[0]);
  for_each_filter_term(args.attrs_as<WinogradFilter>(), args.in[0],
                       [&](auto t, auto k, auto c, auto r, auto s, auto xi, double g) { u(t, xi, k, c) += g * w(t, k, c, r, s); });
}
void winograd_filter_grad_reference(const Arguments& args) {
  fill_zero(args.out[0]);
  const auto u = elements(args.in[0]);
  const auto dw = elements(args.out[0]);
  for_each_filter_term(args.attrs_as<WinogradFilter>(), args.out[0],
                       [&](auto t, auto k, auto c, auto r, auto s, auto xi, double g) { dw(t, k, c, r, s) += g * u(t, xi, k, c); });
}

}  // namespace gi::kernels
