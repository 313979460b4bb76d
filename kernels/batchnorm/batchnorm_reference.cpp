#include "kernels/batchnorm/batchnorm.h"

#include <cmath>

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {
namespace {

/// One channel of one trial: means over it are what batch normalisation is made of.
struct Channel {
  const View& extents;
  std::int64_t t, c;

  template <class Visit>
  void for_each(Visit visit) const {
    for (std::int64_t n = 0; n < extents.dims[1]; ++n)
      for (std::int64_t h = 0; h < extents.dims[3]; ++h)
        for (std::int64_t w = 0; w < extents.dims[4]; ++w) visit(Index{t, n, c, h, w});
  }
  template <class Term>
  double mean(Term term) const {
    double sum = 0;
    for_each([&](const Index& i) { sum += term(i); });
    return sum / static_cast<double>(extents.dims[1] * extents.dims[3] * extents.dims[4]);
  }
};

/// (x - mu) r of one channel.
struct Normalised {
  Strided<const double> x;
  double mu, r;

  Normalised(const Channel& channel, const Strided<const double>& x, double eps) : x(x) {
    mu = channel.mean([&](const Index& i) { return x[i]; });
    r = 1.0 / std::sqrt(channel.mean([&](const Index& i) { return (x[i] - mu) * (x[i] - mu); }) + eps);
  }
  double operator[](const Index& i) const { return (x[i] - mu) * r; }
};

template <class Run>
void for_each_channel(const View& out, Run run) {
  for (std::int64_t t = 0; t < out.dims[0]; ++t)
    for (std::int64_t c = 0; c < out.dims[2]; ++c) run(Channel{out, t, c});
}

}  // namespace

void batchnorm_reference(const Arguments& args) {
  const auto x = elements(args.in[0]);
  const auto y = elements(args.out[0]);
  for_each_channel(args.out[0], [&](const Channel& channel) {
    const Normalised xh(channel, x, args.attrs_as<BatchnormAttrs>().eps);
    channel.for_each([&](const Index& i) { y[i] = xh[i]; });
  });
}

void batchnorm_grad_reference(const Arguments& args) {
  const auto g = elements(args.in[0]), x = elements(args.in[1]);
  const auto y = elements(args.out[0]);
  for_each_channel(args.out[0], [&](const Channel& channel) {
    const Normalised xh(channel, x, args.attrs_as<BatchnormAttrs>().eps);
    const double mean_g = channel.mean([&](const Index& i) { return g[i]; });
    const double b = channel.mean([&](const Index& i) { return g[i] * xh[i]; });
    channel.for_each([&](const Index& i) { y[i] = xh.r * (g[i] - mean_g - xh[i] * b); });
  });
}

void batchnorm_grad2_reference(const Arguments& args) {
  const auto u = elements(args.in[0]), g = elements(args.in[1]), x = elements(args.in[2]);
  const auto y = elements(args.out[0]);
  for_each_channel(args.out[0], [&](const Channel& channel) {
    const Normalised xh(channel, x, args.attrs_as<BatchnormAttrs>().eps);
    const double mean_u = channel.mean([&](const Index& i) { return u[i]; });
    const double mean_g = channel.mean([&](const Index& i) { return g[i]; });
    const double a = channel.mean([&](const Index& i) { return u[i] * xh[i]; });
    const double b = channel.mean([&](const Index& i) { return g[i] * xh[i]; });
    const double c = channel.mean([&](const Index& i) { return (u[i] - mean_u) * (g[i] - mean_g); });
    channel.for_each(
        [&](const Index& i) { y[i] = -xh.r * xh.r * (xh[i] * (c - 3 * a * b) + b * (u[i] - mean_u) + a * (g[i] - mean_g)); });
  });
}

}  // namespace gi::kernels
