// A channel at a time: the means of the operands, then means of products of the centred operands, then the result while
// the channel is still in the cache. Everything is f64 but what is read and written: the results are small differences.
// With xc = x - mean(x) and so on, all three orders are linear in the centred operands:
//
//   order 0   r xc                                                     r = 1 / sqrt(mean(xc xc) + eps)
//   order 1   r gc - r^3 mean(xc gc) xc
//   order 2   -r^3 [mean(uc gc) - 3 r^2 mean(xc uc) mean(xc gc)] xc - r^3 mean(xc gc) uc - r^3 mean(xc uc) gc
#include "kernels/batchnorm/batchnorm.h"

#include "kernels/common/steps.h"

namespace gi::kernels::GI_ISA {
namespace {

/// One channel: `images` runs of `pixels` numbers, `stride` numbers apart.
struct Runs {
  std::int64_t images, pixels, stride;

  template <class Real, class Body>
  [[gnu::always_inline]] void for_each_step(Body body) const {
    for (std::int64_t n = 0; n < images; ++n)
      GI_ISA::for_each_step<Real>(pixels, [&, first = n * stride](std::int64_t i, auto step) { body(first + i, step); });
  }
};

/// What a step lacks is zero: it counts for nothing in sums.
template <class Real, class Step>
[[gnu::always_inline]] inline WideStep centred(const Real* p, Step step, WideStep mean) {
  return only(step, load(p, step) - mean);
}

template <class Real>
Wide<Real> mean_of(const Real* x, const Runs& runs) {
  WideStep sum{};
  for (std::int64_t n = 0; n < runs.images; ++n)
    add_steps<Real>(sum, runs.pixels, [&, p = x + n * runs.stride](std::int64_t i, auto step) { return load(p + i, step); });
  return fold<Real>(sum) / static_cast<double>(runs.images * runs.pixels);
}

template <class W>
W inverse_root(W x) {
  if constexpr (sizeof(W) == sizeof(double)) x = 1.0 / __builtin_sqrt(x);
  else
    for (int i = 0; i < kLanes; ++i) x[i] = 1.0 / __builtin_sqrt(x[i]);
  return x;
}

/// Operands x; g, x; or u, g, x.
template <class Real, int kOperands>
void normalise_channel(const Real* const (&in)[kOperands], Real* y, const Runs& runs, double eps) {
  const Real* const x = in[kOperands - 1];
  const Real* const g = kOperands > 1 ? in[kOperands - 2] : x;
  const Real* const u = in[0];
  const WideStep mean_x = spread<Real>(mean_of(x, runs));
  const WideStep mean_g = kOperands > 1 ? spread<Real>(mean_of(g, runs)) : mean_x;
  const WideStep mean_u = kOperands > 2 ? spread<Real>(mean_of(u, runs)) : mean_g;

  WideStep sum_xx{}, sum_xg{}, sum_xu{}, sum_ug{};
  runs.for_each_step<Real>([&](std::int64_t i, auto step) {
    const WideStep xc = centred(x + i, step, mean_x);
    sum_xx += xc * xc;
    if constexpr (kOperands > 1) {
      const WideStep gc = centred(g + i, step, mean_g);
      sum_xg += xc * gc;
      if constexpr (kOperands > 2) {
        const WideStep uc = centred(u + i, step, mean_u);
        sum_xu += xc * uc;
        sum_ug += uc * gc;
      }
    }
  });

  using W = Wide<Real>;
  const double scale = 1.0 / static_cast<double>(runs.images * runs.pixels);
  const W r = inverse_root(W(fold<Real>(sum_xx) * scale + eps)), r3 = r * r * r;
  const W xg = fold<Real>(sum_xg) * scale, xu = fold<Real>(sum_xu) * scale, ug = fold<Real>(sum_ug) * scale;
  const WideStep of_x = spread<Real>(kOperands == 1 ? r : kOperands == 2 ? -r3 * xg : -r3 * (ug - 3.0 * r * r * xu * xg));
  const WideStep of_g = spread<Real>(kOperands == 2 ? r : -r3 * xu);
  const WideStep of_u = spread<Real>(-r3 * xg);
  runs.for_each_step<Real>([&](std::int64_t i, auto step) {
    WideStep value = of_x * centred(x + i, step, mean_x);
    if constexpr (kOperands > 1) value += of_g * centred(g + i, step, mean_g);
    if constexpr (kOperands > 2) value += of_u * centred(u + i, step, mean_u);
    store(y + i, step, value);
  });
}

template <class Real, int kOperands>
void normalise(const Arguments& args) {
  const double eps = static_cast<const BatchnormAttrs*>(args.attrs)->eps;
  const View& y = args.out.data()[0];
  const std::int64_t channels = y.dims[2], pixels = y.dims[3] * y.dims[4];
  const Runs runs{y.dims[1], pixels, channels * pixels};
  for (const std::int64_t part : each_part(args, channel_parts<Real>(args))) {
    const std::int64_t t = part / channels, c = part % channels;
    const Real* in[kOperands];
    for (int k = 0; k < kOperands; ++k) in[k] = block_of<Real>(args.in.data()[k], t) + c * pixels;
    normalise_channel(in, block_of<Real>(y, t) + c * pixels, runs, eps);
  }
}

template <class Real>
void batchnorm(const Arguments& args) {
  normalise<Real, 1>(args);
}
template <class Real>
void batchnorm_grad(const Arguments& args) {
  normalise<Real, 2>(args);
}
template <class Real>
void batchnorm_grad2(const Arguments& args) {
  normalise<Real, 3>(args);
}

}  // namespace

std::span<const Kernel> batchnorm_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("batchnorm", "channelwise", declines_unless_plain, no_scratch, batchnorm, channel_parts),
      GI_KERNEL_VARIANTS("batchnorm_grad", "channelwise", declines_unless_plain, no_scratch, batchnorm_grad, channel_parts),
      GI_KERNEL_VARIANTS("batchnorm_grad2", "channelwise", declines_unless_plain, no_scratch, batchnorm_grad2, channel_parts),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
