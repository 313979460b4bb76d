// Winograd's transforms with trials in the lanes: a tile after the other.
#include "kernels/common/numbers.h"
#include "kernels/common/variants.h"
#include "kernels/winograd/transform.h"

namespace gi::kernels::GI_ISA {
namespace {

/// The image that a transform meets: x or dx, y or g.
struct Image {
  std::int64_t h, w, pad_h, pad_w;
  Image(const WinogradGeometry& geo, bool input)
      : h(input ? geo.h : geo.p), w(input ? geo.w : geo.q), pad_h(input ? geo.pad_h : 0), pad_w(input ? geo.pad_w : 0) {}
};

/// body(n, column, top, left) for every tile: its window's first place in the image.
template <class Body>
void for_each_tile(const WinogradGeometry& geo, const Image& image, Body body) {
  std::int64_t column = 0;
  for (std::int64_t n = 0; n < geo.n; ++n)
    for (std::int64_t i = 0; i < geo.tiles_h(); ++i)
      for (std::int64_t j = 0; j < geo.tiles_w(); ++j) body(n, column++, i * geo.tile - image.pad_h, j * geo.tile - image.pad_w);
}

template <class Real, int M, bool Input>
void to_products(const Arguments& args) {
  using V = Part<Real>;
  using Side = ImageSide<M, Input>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Image image(geo, Input);
  const std::int64_t channels = args.out[0].dims[2], row = image.w * kPartsOf<Real>, xi = channels * geo.columns * kPartsOf<Real>;
  const Range range = parts_of(args, args.out[0].dims[0] * channels);
  for (std::int64_t i = range.first; i < range.last; ++i) {
    const std::int64_t t = i / channels, c = i % channels;
    for (std::int64_t part = 0; part < kPartsOf<Real>; ++part) {
      const V* const from = reinterpret_cast<const V*>(block_of<Real>(args.in[0], t)) + part;
      V* const to = reinterpret_cast<V*>(block_of<Real>(args.out[0], t) + c * geo.columns) + part;
      for_each_tile(geo, image, [&](std::int64_t n, std::int64_t column, std::int64_t top, std::int64_t left) {
        const V* const window = from + ((n * channels + c) * image.h * image.w + top * image.w + left) * kPartsOf<Real>;
        const auto store = [&](int r, int s, V v) { to[(r * Side::side + s) * xi + column * kPartsOf<Real>] = v; };
        const auto load = [&](int r, int s) { return window[r * row + s * kPartsOf<Real>]; };
        if (top >= 0 && left >= 0 && top + Side::window <= image.h && left + Side::window <= image.w) {
          transform<ScalarOf<Real>, V, typename Side::ToProducts>(load, store);
        } else {
          transform<ScalarOf<Real>, V, typename Side::ToProducts>(
              [&](int r, int s) {
                const bool inside = top + r >= 0 && top + r < image.h && left + s >= 0 && left + s < image.w;
                return inside ? load(r, s) : V{};
              },
              store);
        }
      });
      for (int p = 0; p < Side::side * Side::side; ++p)
        for (std::int64_t column = geo.tiles(); column < geo.columns; ++column) to[p * xi + column * kPartsOf<Real>] = V{};
    }
  }
}

template <class Real, int M, bool Input>
void from_products(const Arguments& args) {
  using V = Part<Real>;
  using Side = ImageSide<M, Input>;
  const auto& geo = args.attrs_as<WinogradGeometry>();
  const Image image(geo, Input);
  const std::int64_t channels = args.out[0].dims[2], xi = channels * geo.columns * kPartsOf<Real>;
  const Range range = parts_of(args, args.out[0].dims[0] * channels);
  for (std::int64_t i = range.first; i < range.last; ++i) {
    const std::int64_t t = i / channels, c = i % channels;
    for (std::int64_t part = 0; part < kPartsOf<Real>; ++part) {
      const V* const from = reinterpret_cast<const V*>(block_of<Real>(args.in[0], t) + c * geo.columns) + part;
      V* const to = reinterpret_cast<V*>(block_of<Real>(args.out[0], t) + c * image.h * image.w) + part;
      const std::int64_t next_image = channels * image.h * image.w * kPartsOf<Real>;
      if constexpr (Input)
        for (std::int64_t n = 0; n < geo.n; ++n)
          for (std::int64_t p = 0; p < image.h * image.w; ++p) to[n * next_image + p * kPartsOf<Real>] = V{};
      for_each_tile(geo, image, [&](std::int64_t n, std::int64_t column, std::int64_t top, std::int64_t left) {
        transform<ScalarOf<Real>, V, typename Side::FromProducts>(
            [&](int a, int b) { return from[(a * Side::side + b) * xi + column * kPartsOf<Real>]; },
            [&](int r, int s, V v) {
              if (top + r < 0 || top + r >= image.h || left + s < 0 || left + s >= image.w) return;
              V& place = to[n * next_image + ((top + r) * image.w + left + s) * kPartsOf<Real>];
              place = Input ? place + v : v;
            });
      });
    }
  }
}

template <class Real, int M, bool ToProducts>
void filters(const Arguments& args) {
  using V = Part<Real>;
  using Side = FilterSide<M>;
  const ConstView& products = args.in[0];
  const std::int64_t count = ToProducts ? args.out[0].dims[2] * args.out[0].dims[3] : products.dims[2] * products.dims[3];
  const Range range = parts_of(args, args.out[0].dims[0]);
  for (std::int64_t t = range.first; t < range.last; ++t)
    for (std::int64_t i = 0; i < count * kPartsOf<Real>; ++i) {
      const std::int64_t f = i / kPartsOf<Real>, part = i % kPartsOf<Real>, p = kPartsOf<Real>;
      const V* const from = reinterpret_cast<const V*>(block_of<Real>(args.in[0], t)) + part;
      V* const to = reinterpret_cast<V*>(block_of<Real>(args.out[0], t)) + part;
      if constexpr (ToProducts)
        transform<ScalarOf<Real>, V, typename Side::ToProducts>(
            [&](int r, int s) { return from[(f * 9 + r * 3 + s) * p]; },
            [&](int a, int b, V v) { to[((a * Side::side + b) * count + f) * p] = v; });
      else
        transform<ScalarOf<Real>, V, typename Side::FromProducts>(
            [&](int a, int b) { return from[((a * Side::side + b) * count + f) * p]; },
            [&](int r, int s, V v) { to[(f * 9 + r * 3 + s) * p] = v; });
    }
}

template <class Real, bool Input>
void run_to(const Arguments& args) {
  if (args.attrs_as<WinogradGeometry>().tile == 2) to_products<Real, 2, Input>(args);
  else to_products<Real, 4, Input>(args);
}
template <class Real, bool Input>
void run_from(const Arguments& args) {
  if (args.attrs_as<WinogradGeometry>().tile == 2) from_products<Real, 2, Input>(args);
  else from_products<Real, 4, Input>(args);
}
template <class Real, bool ToProducts>
void run_filters(const Arguments& args) {
  if (args.attrs_as<WinogradFilter>().tile == 2) filters<Real, 2, ToProducts>(args);
  else filters<Real, 4, ToProducts>(args);
}

std::int64_t channel_parts(const Problem& problem) { return problem.out[0].dims[0] * problem.out[0].dims[2]; }
std::int64_t trial_parts(const Problem& problem) { return problem.out[0].dims[0]; }

template <class Real>
constexpr Kernel entry(const char* op, void (*run)(const Arguments&), std::int64_t (*parts)(const Problem&)) {
  return {op, "trial_lanes_tiles", kIsa, kDTypeOf<Real>, kLanes, declines_unless_plain<Real>, nullptr, run, parts};
}

}  // namespace

std::span<const Kernel> winograd_lanes_kernels() {
  static constexpr Kernel kTable[] = {
      entry<PackF32>("winograd_input", run_to<PackF32, true>, channel_parts),
      entry<PackF64>("winograd_input", run_to<PackF64, true>, channel_parts),
      entry<PackF32>("winograd_output_grad", run_to<PackF32, false>, channel_parts),
      entry<PackF64>("winograd_output_grad", run_to<PackF64, false>, channel_parts),
      entry<PackF32>("winograd_output", run_from<PackF32, false>, channel_parts),
      entry<PackF64>("winograd_output", run_from<PackF64, false>, channel_parts),
      entry<PackF32>("winograd_input_grad", run_from<PackF32, true>, channel_parts),
      entry<PackF64>("winograd_input_grad", run_from<PackF64, true>, channel_parts),
      entry<PackF32>("winograd_filter", run_filters<PackF32, true>, trial_parts),
      entry<PackF64>("winograd_filter", run_filters<PackF64, true>, trial_parts),
      entry<PackF32>("winograd_filter_grad", run_filters<PackF32, false>, trial_parts),
      entry<PackF64>("winograd_filter_grad", run_filters<PackF64, false>, trial_parts),
  };
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
