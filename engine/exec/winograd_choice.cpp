#include "engine/exec/winograd_choice.h"

#include <algorithm>
#include <cmath>

namespace gi {
namespace {

/// Of one thread, f32, averages over the layers of ConvNet64 (one trial) and ResNet20 (a pack of trials).
struct Costs {
  double direct, product;  ///< GFLOP/s of direct convolutions, and of the products between transforms, but for
  double stream;           ///< ns a number of a transformed filter bank and product: they come from beyond the second cache
  double image, filter;    ///< ns a number of the products that an image, a filter is transformed to or from
  // In an iteration a layer has seven convolutions. One trial's share what they transform: on either side two values to products
  // and two from them, and one filter each way. In packs each transforms for itself, and the filters anew for every block of
  // windows.
  double images = 4, filters = 2;
  double block = 0;  ///< numbers of a block's windows, of one image
  // Of direct convolutions on tile units, from 16 channels on: GFLOP/s of whole tiles, and ns a number of the filter bank, as if it
  // were split each time. 0: none.
  double tiles = 0, split = 0;
};
// Measured step by step as `gi_invert --profile` does, with --impl winograd=no and =4, every instruction set on the same machine:
// one trial on an Intel Xeon (Emerald Rapids), packs on an AMD EPYC (Zen 5). The blocks are kWindowBytes of
// kernels/conv2d/conv2d_winograd_cpu.cpp in packs.
constexpr Costs kSingle[] = {{31, 28, 0.06, 1.01, 0.71}, {82, 80, 0.06, 0.65, 0.41}, {163, 170, 0.06, 0.56, 0.33}};
constexpr Costs kPacks[] = {
    {42, 38, 0, 0.5, 0.28, 7, 7, 38400}, {104, 110, 0, 0.24, 0.14, 7, 7, 19200}, {180, 220, 0, 0.13, 0.07, 7, 7, 9600}};

// One trial, with direct convolutions from three products of bf16. Measured on an Intel Xeon (Emerald Rapids), likewise.
constexpr Costs kSingleBf16x3{125, 140, 0.15, 0.45, 0.35, 4, 2, 0, 380, 0.3};

/// Transforms must win by more than the table is worth.
constexpr double kMargin = 0.9;

constexpr double kConvolutions = 7;

/// One of the seven convolutions.
double direct_ns(const Costs& costs, const kernels::Conv2dGeometry& geo, std::int64_t images) {
  if (costs.tiles == 0 || std::min(geo.c, geo.k) < 16) return 2 * static_cast<double>(geo.macs() * images) / costs.direct;
  const auto whole = [](std::int64_t n, std::int64_t tile) { return (n + tile - 1) / tile * tile; };
  const std::int64_t positions = images * whole(geo.p * (geo.q + geo.s - 1), 16);
  const std::int64_t products = whole(geo.k, 16) * whole(geo.c, 32) * geo.r * geo.s * positions;
  return 2 * static_cast<double>(products) / costs.tiles + costs.split * static_cast<double>(geo.k * geo.c * geo.r * geo.s);
}

struct WinogradNs {
  double product, images, filters;  ///< of one convolution; of all seven
};

WinogradNs winograd_ns(const Costs& costs, const kernels::Conv2dGeometry& geo, std::int64_t images, std::int64_t tile,
                       std::int64_t column_multiple) {
  const std::int64_t side = tile + 2, tiles = images * ((geo.p + tile - 1) / tile) * ((geo.q + tile - 1) / tile);
  const std::int64_t columns = (tiles + column_multiple - 1) / column_multiple * column_multiple;
  const auto numbers = [&](std::int64_t n) { return static_cast<double>(side * side * n); };
  const double blocks =
      costs.block > 0 ? static_cast<double>(images) * std::ceil(numbers(std::max(geo.c, geo.k) * tiles / images) / costs.block) : 1;
  return {numbers(geo.k * geo.c) * (costs.stream + 2 * static_cast<double>(columns) / costs.product),
          costs.images * numbers((geo.c + geo.k) * columns) * costs.image,
          costs.filters * blocks * numbers(geo.k * geo.c) * costs.filter};
}

}  // namespace

passes::WinogradRule winograd_rule(std::string_view asked, kernels::Isa isa, std::int64_t lanes, std::string_view products) {
  // One trial has tiles in its lanes: whole vectors of them.
  passes::WinogradRule rule{.tile = {}, .column_multiple = kernels::pack_lanes(isa), .within_kernels = lanes != 1};
  if (!asked.empty()) {
    const std::int64_t tile = asked == "2" ? 2 : asked == "4" ? 4 : 0;
    rule.tile = [tile](const kernels::Conv2dGeometry&, std::int64_t) { return tile; };
    rule.grad_weight = [](const kernels::Conv2dGeometry&, std::int64_t, std::int64_t) { return true; };
    return rule;
  }
  const bool bf16x3 = lanes == 1 && products == "bf16x3";
  const Costs& costs = bf16x3 ? kSingleBf16x3 : (lanes == 1 ? kSingle : kPacks)[static_cast<int>(isa)];
  const std::int64_t multiple = lanes == 1 ? rule.column_multiple : 1;
  rule.tile = [&costs, multiple](const kernels::Conv2dGeometry& geo, std::int64_t images) {
    std::int64_t best = 0;
    double least = kMargin * kConvolutions * direct_ns(costs, geo, images);
    for (const std::int64_t tile : {2, 4}) {
      const WinogradNs ns = winograd_ns(costs, geo, images, tile, multiple);
      if (const double all = kConvolutions * ns.product + ns.images + ns.filters; all < least) best = tile, least = all;
    }
    return best;
  };
  // What the weight gradient reads is there for the others. In packs each convolution does everything itself, like the others.
  rule.grad_weight = [&costs, multiple, within = rule.within_kernels](const kernels::Conv2dGeometry& geo, std::int64_t images,
                                                                      std::int64_t tile) {
    const WinogradNs ns = winograd_ns(costs, geo, images, tile, multiple);
    return within || ns.product + ns.filters / costs.filters < kMargin * direct_ns(costs, geo, images);
  };
  return rule;
}

}  // namespace gi
