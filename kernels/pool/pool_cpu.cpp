// Pooling plane by plane, one element of all windows of an output row after the other: along the row nothing depends on a
// neighbour. In packs every lane has its own argmax, so choices are masks, never branches. For one trial the row itself lies in
// the lanes.
#include "kernels/pool/pool.h"

#include "kernels/common/copy_row.h"
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

/// One part of the numbers of a plane.
template <class Real, class V>
struct Plane {
  V* data;
  V& operator[](std::int64_t i) const { return data[i * kPartsOf<Real>]; }
  void operator+=(std::int64_t n) { data += n * kPartsOf<Real>; }
};
template <class Real>
using PlaneIn = Plane<Real, const Part<Real>>;
template <class Real>
using PlaneOut = Plane<Real, Part<Real>>;

template <class Real>
std::int64_t plane_parts(const Problem& problem) {
  const View& y = problem.out.data()[0];
  return y.dims[0] * y.dims[1] * y.dims[2];
}

/// body(plane of in[0], plane of in[last], plane of out) for all trials, images, channels and parts of numbers.
template <class Real, class Body>
void for_each_plane(const Arguments& args, Body body) {
  using V = Part<Real>;
  const ConstView& a = args.in.data()[0];
  const ConstView& b = args.in.data()[args.in.size() - 1];
  const View& y = args.out.data()[0];
  const std::int64_t planes = y.dims[1] * y.dims[2];
  const auto pixels = [](const Layout& v) { return v.dims[3] * v.dims[4]; };
  for (const std::int64_t plane : each_part(args, plane_parts<Real>(args))) {
    const std::int64_t t = plane / planes, i = plane % planes;
    for (std::int64_t part = 0; part < kPartsOf<Real>; ++part)
      body(Plane<Real, const V>{reinterpret_cast<const V*>(block_of<Real>(a, t) + i * pixels(a)) + part},
           Plane<Real, const V>{reinterpret_cast<const V*>(block_of<Real>(b, t) + i * pixels(b)) + part},
           Plane<Real, V>{reinterpret_cast<V*>(block_of<Real>(y, t) + i * pixels(y)) + part});
  }
}

/// body(number, q, x offset, count): for each element of the windows of output row p in turn, the run of output positions from
/// q on that have it; x advances by stride_w as q does by 1.
template <class Body>
void for_each_run(const PoolGeometry& geo, std::int64_t p, Body body) {
  const std::int64_t top = p * geo.stride_h - geo.pad_h;
  const Inside rows = inside_window(top, geo.r, geo.h);
  for (std::int64_t r = rows.first; r < rows.last; ++r)
    for (std::int64_t s = 0; s < geo.s; ++s) {
      const Inside q = inside_output(s - geo.pad_w, geo.stride_w, geo.q, geo.w);
      body(r * geo.s + s, q.first, (top + r) * geo.w + q.first * geo.stride_w + s - geo.pad_w, q.last - q.first);
    }
}

template <class Real>
void clear(PlaneOut<Real> y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = Part<Real>{};
}

template <class Real>
void avg_pool(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  const auto scale = static_cast<ScalarOf<Real>>(1.0 / static_cast<double>(geo.r * geo.s));
  for_each_plane<Real>(args, [&](PlaneIn<Real> x, PlaneIn<Real>, PlaneOut<Real> y) {
    for (std::int64_t p = 0; p < geo.p; ++p, y += geo.q) {
      clear<Real>(y, geo.q);
      for_each_run(geo, p, [&](std::int64_t, std::int64_t q, std::int64_t from, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) y[q + i] += x[from + i * geo.stride_w];
      });
      for (std::int64_t q = 0; q < geo.q; ++q) y[q] *= scale;
    }
  });
}

template <class Real>
void avg_pool_grad(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  const auto scale = static_cast<ScalarOf<Real>>(1.0 / static_cast<double>(geo.r * geo.s));
  for_each_plane<Real>(args, [&](PlaneIn<Real> g, PlaneIn<Real>, PlaneOut<Real> dx) {
    clear<Real>(dx, geo.h * geo.w);
    for (std::int64_t p = 0; p < geo.p; ++p, g += geo.q)
      for_each_run(geo, p, [&](std::int64_t, std::int64_t q, std::int64_t to, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) dx[to + i * geo.stride_w] += g[q + i] * scale;
      });
  });
}

/// For one output row, which element of the window is the largest, by number. A NaN is larger than anything, the first
/// element is until there is another.
template <class Real>
struct Choice {
  using V = Part<Real>;
  using Number = typename FloatFormat<V>::Bits;
  using NumberScalar = typename FloatFormat<ScalarOf<Real>>::Bits;
  static constexpr NumberScalar kNone = ~NumberScalar(0);

  V* best;
  Number* where;

  Choice(const PoolGeometry& geo, std::byte* scratch)
      : best(reinterpret_cast<V*>(scratch)), where(reinterpret_cast<Number*>(best + geo.q)) {}
  static std::size_t bytes(const PoolGeometry& geo) { return static_cast<std::size_t>(geo.q) * (sizeof(V) + sizeof(Number)); }

  void make(const PoolGeometry& geo, std::int64_t p, PlaneIn<Real> d) {
    for (std::int64_t q = 0; q < geo.q; ++q) best[q] = V{}, where[q] = Number{} + kNone;
    for_each_run(geo, p, [&](std::int64_t number, std::int64_t q, std::int64_t from, std::int64_t n) {
      const auto here = static_cast<NumberScalar>(number);
      for (std::int64_t i = 0; i < n; ++i) {
        const V candidate = d[from + i * geo.stride_w], held = best[q + i];
        const auto better = (where[q + i] == kNone) | (((candidate > held) | (candidate != candidate)) & (held == held));
        best[q + i] = better ? candidate : held;
        where[q + i] = better ? Number{} + here : where[q + i];
      }
    });
  }
  auto is(std::int64_t number, std::int64_t q) const { return where[q] == static_cast<NumberScalar>(number); }
};

/// The same for one trial, in vectors of output positions.
template <class Scalar>
struct RowChoice {
  using V = Vector<Scalar>;
  using Number = typename FloatFormat<V>::Bits;
  using NumberScalar = typename FloatFormat<Scalar>::Bits;
  static constexpr NumberScalar kNone = ~NumberScalar(0);
  static constexpr std::int64_t n = kElements<Scalar>;

  std::int64_t vectors;
  V *candidate, *best;
  Number* where;
  Inside* across;         ///< output positions that have the window's column
  std::int64_t* offsets;  ///< of a window's elements in the plane

  RowChoice(const PoolGeometry& geo, std::byte* scratch)
      : vectors((geo.q + n - 1) / n),
        candidate(reinterpret_cast<V*>(scratch)),
        best(candidate + vectors),
        where(reinterpret_cast<Number*>(best + vectors)),
        across(reinterpret_cast<Inside*>(where + vectors)),
        offsets(reinterpret_cast<std::int64_t*>(across + geo.s)) {
    for (std::int64_t column = 0; column < geo.s; ++column)
      across[column] = inside_output(column - geo.pad_w, geo.stride_w, geo.q, geo.w);
    for (std::int64_t number = 0; number < geo.r * geo.s; ++number)
      offsets[number] = (number / geo.s - geo.pad_h) * geo.w + number % geo.s - geo.pad_w;
  }
  static std::size_t bytes(const PoolGeometry& geo) {
    return static_cast<std::size_t>((geo.q + n - 1) / n) * 3 * kVectorBytes +
           static_cast<std::size_t>(geo.s * 16 + geo.r * geo.s * 8);
  }

  void make(const PoolGeometry& geo, std::int64_t p, const Scalar* d) {
    Number lane{};
    for (std::int64_t i = 0; i < n; ++i) lane[i] = static_cast<NumberScalar>(i);
    for (std::int64_t i = 0; i < vectors; ++i) best[i] = V{}, candidate[i] = V{}, where[i] = Number{} + kNone;
    const std::int64_t top = p * geo.stride_h - geo.pad_h;
    const Inside rows = inside_window(top, geo.r, geo.h);
    for (std::int64_t r = rows.first; r < rows.last; ++r) {
      for (std::int64_t column = 0; column < geo.s; ++column) {
        const Inside q = across[column];
        const Scalar* const from = d + (top + r) * geo.w + q.first * geo.stride_w + column - geo.pad_w;
        copy_strided(from, geo.stride_w, q.last - q.first, reinterpret_cast<Scalar*>(candidate) + q.first);
        const Number number = Number{} + static_cast<NumberScalar>(r * geo.s + column);
        const Number first = Number{} + static_cast<NumberScalar>(q.first), last = Number{} + static_cast<NumberScalar>(q.last);
        for (std::int64_t i = 0; i < vectors; ++i) {
          const V c = candidate[i], held = best[i];
          const Number position = lane + static_cast<NumberScalar>(i * n);
          const auto inside = (position >= first) & (position < last);
          const auto better = inside & ((where[i] == kNone) | (((c > held) | (c != c)) & (held == held)));
          best[i] = better ? c : held;
          where[i] = better ? number : where[i];
        }
      }
    }
  }
  /// body(q, place in the plane) for the output positions of row p whose window has an element inside.
  template <class Body>
  void for_each(const PoolGeometry& geo, std::int64_t p, Body body) const {
    const auto* const number = reinterpret_cast<const NumberScalar*>(where);
    for (std::int64_t q = 0; q < geo.q; ++q)
      if (number[q] != kNone) body(q, p * geo.stride_h * geo.w + q * geo.stride_w + offsets[number[q]]);
  }
};

template <class Real>
struct ChoiceOf {
  using type = Choice<Real>;
};
template <class Real>
requires(kLanesOf<Real> == 1) struct ChoiceOf<Real> {
  using type = RowChoice<Real>;
};

template <class Real>
std::size_t choice_bytes(const Problem& problem) {
  return ChoiceOf<Real>::type::bytes(*static_cast<const PoolGeometry*>(problem.attrs));
}

template <class Real>
void max_select(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  typename ChoiceOf<Real>::type choice(geo, args.scratch);
  for_each_plane<Real>(args, [&](PlaneIn<Real> v, PlaneIn<Real> d, PlaneOut<Real> y) {
    for (std::int64_t p = 0; p < geo.p; ++p, y += geo.q) {
      if constexpr (kLanesOf<Real> == 1) {
        choice.make(geo, p, d.data);
        choice.for_each(geo, p, [&](std::int64_t q, std::int64_t at) { y[q] = v[at]; });
      } else {
        choice.make(geo, p, d);
        for_each_run(geo, p, [&](std::int64_t number, std::int64_t q, std::int64_t from, std::int64_t n) {
          for (std::int64_t i = 0; i < n; ++i) y[q + i] = choice.is(number, q + i) ? v[from + i * geo.stride_w] : y[q + i];
        });
      }
    }
  });
}

template <class Real>
void max_scatter(const Arguments& args) {
  const PoolGeometry& geo = geometry(args);
  typename ChoiceOf<Real>::type choice(geo, args.scratch);
  for_each_plane<Real>(args, [&](PlaneIn<Real> g, PlaneIn<Real> d, PlaneOut<Real> dx) {
    clear<Real>(dx, geo.h * geo.w);
    for (std::int64_t p = 0; p < geo.p; ++p, g += geo.q) {
      if constexpr (kLanesOf<Real> == 1) {
        choice.make(geo, p, d.data);
        choice.for_each(geo, p, [&](std::int64_t q, std::int64_t at) { dx[at] += g[q]; });
      } else {
        choice.make(geo, p, d);
        for_each_run(geo, p, [&](std::int64_t number, std::int64_t q, std::int64_t to, std::int64_t n) {
          for (std::int64_t i = 0; i < n; ++i) dx[to + i * geo.stride_w] += choice.is(number, q + i) ? g[q + i] : Part<Real>{};
        });
      }
    }
  });
}

}  // namespace

std::span<const Kernel> pool_kernels() {
  static constexpr Kernel kTable[] = {
      GI_KERNEL_VARIANTS("avg_pool", "planes", declines_unless_plain, no_scratch, avg_pool, plane_parts),
      GI_KERNEL_VARIANTS("avg_pool_grad", "planes", declines_unless_plain, no_scratch, avg_pool_grad, plane_parts),
      GI_KERNEL_VARIANTS("max_select", "planes", declines_unless_plain, choice_bytes, max_select, plane_parts),
      GI_KERNEL_VARIANTS("max_scatter", "planes", declines_unless_plain, choice_bytes, max_scatter, plane_parts),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
