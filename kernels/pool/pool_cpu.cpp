// Pooling plane by plane. In packs every lane has its own argmax, so choices are masks, never branches.
#include "kernels/pool/pool.h"

#include "kernels/common/variants.h"
#include "kernels/common/vector_math.h"

namespace gi::kernels::GI_ISA {
namespace {

/// Indices [first, last) of a window's axis, or of an output's, that fall inside the image.
struct Inside {
  std::int64_t first, last;
};

/// Window elements r with 0 <= origin + r < extent.
Inside inside_window(std::int64_t origin, std::int64_t window, std::int64_t extent) {
  return {origin < 0 ? -origin : 0, origin + window > extent ? extent - origin : window};
}

/// Output positions q < count with 0 <= q * stride + offset < extent.
Inside inside_output(std::int64_t offset, std::int64_t stride, std::int64_t count, std::int64_t extent) {
  const std::int64_t first = offset < 0 ? (-offset + stride - 1) / stride : 0;
  const std::int64_t last = offset < extent ? (extent - 1 - offset) / stride + 1 : 0;
  return {first, last < count ? last : count};
}

const PoolGeometry& geometry(const Arguments& args) { return *static_cast<const PoolGeometry*>(args.attrs); }

/// body(plane of in[0], plane of in[last], plane of out) for all trials, images and channels.
template <class Real, class Body>
void for_each_plane(const Arguments& args, Body body) {
  const ConstView& a = args.in.data()[0];
  const ConstView& b = args.in.data()[args.in.size() - 1];
  const View& y = args.out.data()[0];
  const std::int64_t planes = y.dims[1] * y.dims[2];
  const auto pixels = [](const Layout& v) { return v.dims[3] * v.dims[4]; };
  for (std::int64_t t = 0; t < y.dims[0]; ++t)
    for (std::int64_t i = 0; i < planes; ++i)
      body(block_of<Real>(a, t) + i * pixels(a), block_of<Real>(b, t) + i * pixels(b), block_of<Real>(y, t) + i * pixels(y));
}

/// body(y offset, x offset, count): for each window element in turn, the runs of output positions it serves; x advances by
/// stride_w as y does by 1.
template <class Body>
void for_each_run(const PoolGeometry& geo, Body body) {
  for (std::int64_t p = 0; p < geo.p; ++p) {
    const std::int64_t top = p * geo.stride_h - geo.pad_h;
    const Inside rows = inside_window(top, geo.r, geo.h);
    for (std::int64_t r = rows.first; r < rows.last; ++r)
      for (std::int64_t s = 0; s < geo.s; ++s) {
        const Inside q = inside_output(s - geo.pad_w, geo.stride_w, geo.q, geo.w);
        body(p * geo.q + q.first, (top + r) * geo.w + q.first * geo.stride_w + s - geo.pad_w, q.last - q.first);
      }
  }
}

template <class Real>
void clear(Real* y, std::int64_t n) {
  __builtin_memset(y, 0, static_cast<std::size_t>(n) * sizeof(Real));
}

template <class Real>
void avg_pool(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  const auto scale = static_cast<ScalarOf<Real>>(1.0 / static_cast<double>(geo.r * geo.s));
  for_each_plane<Real>(args, [&](const Real* x, const Real*, Real* y) {
    clear(y, geo.p * geo.q);
    for_each_run(geo, [&](std::int64_t to, std::int64_t from, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) y[to + i] += x[from + i * geo.stride_w];
    });
    for (std::int64_t i = 0; i < geo.p * geo.q; ++i) y[i] *= scale;
  });
}

template <class Real>
void avg_pool_grad(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  const auto scale = static_cast<ScalarOf<Real>>(1.0 / static_cast<double>(geo.r * geo.s));
  for_each_plane<Real>(args, [&](const Real* g, const Real*, Real* dx) {
    clear(dx, geo.h * geo.w);
    for_each_run(geo, [&](std::int64_t from, std::int64_t to, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) dx[to + i * geo.stride_w] += g[from + i] * scale;
    });
  });
}

/// A window of d: its elements inside the image, and the number of the largest of them, lane by lane.
template <class Real>
struct Window {
  using Bits = typename FloatFormat<Real>::Bits;
  std::int64_t origin, width, row;  // offset of the first, elements in a row, from row to row
  std::int64_t size;
  Bits where{};

  Window(const PoolGeometry& geo, std::int64_t p, std::int64_t q, const Real* d) {
    const std::int64_t top = p * geo.stride_h - geo.pad_h, left = q * geo.stride_w - geo.pad_w;
    const Inside r = inside_window(top, geo.r, geo.h), s = inside_window(left, geo.s, geo.w);
    origin = (top + r.first) * geo.w + left + s.first;
    width = s.last - s.first;
    row = geo.w;
    size = width * (r.last - r.first);
    Real best = d[origin];
    for_each([&](std::int64_t i, std::int64_t at) {
      const auto better = ((d[at] > best) | (d[at] != d[at])) & (best == best);  // a NaN wins, the first for good
      best = better ? d[at] : best;
      where = better ? Bits{} + static_cast<decltype(number(i))>(i) : where;
    });
  }

  template <class Body>
  void for_each(Body body) const {
    std::int64_t at = origin;
    for (std::int64_t i = 0; i < size; at += row)
      for (std::int64_t s = 0; s < width; ++s, ++i) body(i, at + s);
  }
  /// Lanes whose largest element is number i.
  auto chosen(std::int64_t i) const { return where == number(i); }

 private:
  static auto number(std::int64_t i) { return static_cast<typename FloatFormat<ScalarOf<Real>>::Bits>(i); }
};

template <class Real>
void max_select(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  for_each_plane<Real>(args, [&](const Real* v, const Real* d, Real* y) {
    for (std::int64_t p = 0; p < geo.p; ++p)
      for (std::int64_t q = 0; q < geo.q; ++q, ++y) {
        const Window<Real> window(geo, p, q, d);
        Real value{};
        window.for_each([&](std::int64_t i, std::int64_t at) { value = window.chosen(i) ? v[at] : value; });
        *y = value;
      }
  });
}

template <class Real>
void max_scatter(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  for_each_plane<Real>(args, [&](const Real* g, const Real* d, Real* dx) {
    clear(dx, geo.h * geo.w);
    for (std::int64_t p = 0; p < geo.p; ++p)
      for (std::int64_t q = 0; q < geo.q; ++q, ++g) {
        const Window<Real> window(geo, p, q, d);
        window.for_each([&](std::int64_t i, std::int64_t at) { dx[at] += window.chosen(i) ? *g : Real{}; });
      }
  });
}

}  // namespace

std::span<const Kernel> pool_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("avg_pool", "planes", declines_unless_plain, no_scratch, avg_pool),
      GI_KERNEL_VARIANTS("avg_pool_grad", "planes", declines_unless_plain, no_scratch, avg_pool_grad),
      GI_KERNEL_VARIANTS("max_select", "planes", declines_unless_plain, no_scratch, max_select),
      GI_KERNEL_VARIANTS("max_scatter", "planes", declines_unless_plain, no_scratch, max_scatter),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
