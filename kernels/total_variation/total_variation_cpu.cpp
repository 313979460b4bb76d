#include "kernels/total_variation/total_variation.h"

#include "kernels/common/steps.h"
#include "kernels/common/vector_math.h"

namespace gi::kernels::GI_ISA {
namespace {

/// One over the number of neighbours down and across in a trial; 0 where an axis has none.
struct Weights {
  double down, across;
  explicit Weights(const Layout& x) {
    const std::int64_t h = x.dims[3], w = x.dims[4], planes = x.dims[1] * x.dims[2];
    down = h > 1 ? 1.0 / static_cast<double>(planes * (h - 1) * w) : 0.0;
    across = w > 1 ? 1.0 / static_cast<double>(planes * h * (w - 1)) : 0.0;
  }
};

[[gnu::always_inline]] inline WideStep distance(WideStep a, WideStep b) {
  const WideStep d = a - b;
  return {{abs_of(d.part[0]), abs_of(d.part[1])}};
}

/// Sum of |b - a| over n numbers.
template <class Real>
[[gnu::always_inline]] inline void add_distances(WideStep& sum, const Real* a, const Real* b, std::int64_t n) {
  add_steps<Real>(sum, n, [&](std::int64_t i, auto step) { return distance(load(a + i, step), load(b + i, step)); });
}

template <class Real>
void total_variation(const Arguments& args) {
  const ConstView& x = args.in.data()[0];
  const Weights weights(x);
  const std::int64_t h = x.dims[3], w = x.dims[4], planes = x.dims[1] * x.dims[2];
  for (std::int64_t t = 0; t < x.dims[0]; ++t) {
    WideStep down{}, across{};
    const Real* plane = block_of<Real>(x, t);
    for (std::int64_t i = 0; i < planes; ++i, plane += h * w) {
      add_distances(down, plane, plane + w, (h - 1) * w);
      for (std::int64_t row = 0; row < h; ++row) add_distances(across, plane + row * w, plane + row * w + 1, w - 1);
    }
    *block_of<Wide<Real>>(args.out.data()[0], t) = fold<Real>(down) * weights.down + fold<Real>(across) * weights.across;
  }
}

template <class V>
[[gnu::always_inline]] inline V sign(V x) {
  const V one = V{} + 1;
  return x > 0 ? one : x < 0 ? -one : V{};
}

template <class Real>
void total_variation_grad(const Arguments& args) {
  using V = Part<Real>;
  using Scalar = ScalarOf<Real>;
  constexpr std::int64_t kParts = kPartsOf<Real>;
  const ConstView& x = args.in.data()[0];
  const Weights weights(x);
  const auto down = static_cast<Scalar>(weights.down), across = static_cast<Scalar>(weights.across);
  const std::int64_t h = x.dims[3], w = x.dims[4] * kParts, planes = x.dims[1] * x.dims[2];  // in parts of numbers
  for (std::int64_t t = 0; t < x.dims[0]; ++t) {
    const V* here = reinterpret_cast<const V*>(block_of<Real>(x, t));
    V* y = reinterpret_cast<V*>(block_of<Real>(args.out.data()[0], t));
    for (std::int64_t i = 0; i < planes * h; ++i, here += w, y += w) {
      // Beyond the edge lies the edge itself: a difference of zero.
      const V* const above = i % h > 0 ? here - w : here;
      const V* const below = i % h < h - 1 ? here + w : here;
      const auto at = [&](std::int64_t j, std::int64_t left, std::int64_t right) {
        y[j] = down * (sign<V>(here[j] - above[j]) - sign<V>(below[j] - here[j])) +
               across * (sign<V>(here[j] - here[left]) - sign<V>(here[right] - here[j]));
      };
      for (std::int64_t j = 0; j < kParts; ++j) at(j, j, w > kParts ? j + kParts : j);
      for (std::int64_t j = kParts; j < w - kParts; ++j) at(j, j - kParts, j + kParts);
      if (w > kParts)
        for (std::int64_t j = w - kParts; j < w; ++j) at(j, j - kParts, j);
    }
  }
}

}  // namespace

std::span<const Kernel> total_variation_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("total_variation", "steps", declines_unless_plain, no_scratch, total_variation, one_part),
      GI_KERNEL_VARIANTS("total_variation_grad", "rows", declines_unless_plain, no_scratch, total_variation_grad, one_part),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
