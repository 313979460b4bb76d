#include "engine/exec/winograd_choice.h"

#include <algorithm>
#include <cmath>

namespace gi {
namespace {

/// Of one thread, f32, averages over the layers of ConvNet64 (one trial) and ResNet20 (a pack of trials).
struct Costs {
  double direct, product;  ///< GFLOP/s of direct convolutions, and of the products between transforms that are steps, but for
  double stream;           ///< ns a number of a transformed filter bank and product: they come from beyond the second cache
  double image, filter;    ///< ns a number of the products that an image, a filter is transformed to or from
  // In an iteration a layer has seven convolutions. One trial's share what they transform: on either side two values to products
  // and two from them, and one filter each way. In packs each transforms for itself, and the filters anew for every block of
  // windows.
  double images = 4, filters = 2;
  double block = 0;  ///< numbers of a block's windows, of one image
  // Within the convolutions of one trial: GFLOP/s of products, ns a number of the products of an image, of a filter, and of one
  // that a weight gradient makes; ns a number of the filters as they come, there and in direct ones; GFLOP/s of direct weight
  // gradients. 0: not so.
  struct {
    double product = 0, image = 0, filter = 0, result = 0, raw_filter = 0, direct_filter = 0, direct_weight = 0;
  } within = {};
  // Of direct convolutions on tile units, from 16 channels on: GFLOP/s of whole tiles, and ns a number of the filter bank, as if it
  // were split each time. 0: none.
  double tiles = 0, split = 0;
};
// Measured step by step as `gi_invert --profile` does, with --impl winograd=no, =4 and =within4, every instruction set on the same
// machine: one trial on an Intel Xeon (Emerald Rapids), packs on an AMD EPYC (Zen 5). What is within kernels was fitted to single
// calls of them and of direct ones, layers of 16 to 512 channels at 32 to 7 pixels; of AVX2 both kinds of products, filters and
// direct weight gradients to ResNet18's and ConvNet64's steps on an AMD EPYC (Zen 3) as well. The blocks are kWindowBytes of
// kernels/conv2d/conv2d_winograd_cpu.cpp in packs.
constexpr Costs kSingle[] = {{31, 28, 0.17, 1.01, 0.71, 4, 2, 0, {30, 0.95, 0.2, 0.65, 0.35, 0.05, 24}},
                             {82, 70, 0.17, 0.65, 0.41, 4, 2, 0, {92, 0.29, 0.066, 0.4, 0.25, 0.2, 70}},
                             {155, 170, 0.17, 0.56, 0.33, 4, 2, 0, {148, 0.2, 0.05, 0.15, 0.1, 0.2, 120}}};
constexpr Costs kPacks[] = {
    {42, 38, 0, 0.5, 0.28, 7, 7, 38400}, {104, 110, 0, 0.24, 0.14, 7, 7, 19200}, {180, 220, 0, 0.13, 0.07, 7, 7, 9600}};
// Bytes of a block's transformed windows, and of transformed filters that stay: kernels/conv2d/conv2d_channels_winograd_cpu.cpp.
constexpr std::int64_t kWindowBytes = 600 << 10, kHeldBytes = 640 << 10;

// One trial, with direct convolutions from three products of bf16. Measured on an Intel Xeon (Emerald Rapids), likewise.
constexpr Costs kSingleBf16x3{125, 140, 0.15, 0.45, 0.35, 4, 2, 0, {}, 380, 0.3};

/// Transforms must win by more than the table is worth.
constexpr double kMargin = 0.9;

constexpr double kConvolutions = 7;

std::int64_t whole(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// One of the seven convolutions.
double direct_ns(const Costs& costs, const kernels::Conv2dGeometry& geo, std::int64_t images) {
  if (costs.tiles == 0 || std::min(geo.c, geo.k) < 16)
    return 2 * static_cast<double>(geo.macs() * images) / costs.direct +
           costs.within.direct_filter * static_cast<double>(geo.k * geo.c * geo.r * geo.s);
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

/// The best way so far, and the nanoseconds it takes.
struct Choice {
  passes::WinogradWay way;
  double ns;

  void offer(passes::WinogradWay other, double takes) {
    if (takes < ns) way = other, ns = takes;
  }
};

struct WithinNs {
  double convolution, grad_weight;
};

/// Of one trial, within a kernel that has `lanes` channels in its lanes.
WithinNs within_ns(const Costs& costs, const kernels::Conv2dGeometry& geo, std::int64_t images, std::int64_t tile,
                   std::int64_t lanes) {
  const std::int64_t places = (tile + 2) * (tile + 2), tiles_h = (geo.p + tile - 1) / tile, tiles_w = (geo.q + tile - 1) / tile;
  const std::int64_t c = whole(geo.c, lanes), k = whole(geo.k, lanes), tiles = images * tiles_h * tiles_w, bank = places * c * k;
  constexpr auto kNumber = static_cast<std::int64_t>(sizeof(float));
  const std::int64_t rows = std::clamp<std::int64_t>(kWindowBytes / (places * std::max(c, k) * tiles_w * kNumber), 1, tiles_h);
  const std::int64_t blocks = bank * kNumber <= kHeldBytes ? 1 : images * ((tiles_h + rows - 1) / rows);
  const auto& w = costs.within;
  const double common = static_cast<double>(bank * tiles) * 2 / w.product + w.image * static_cast<double>(places * (c + k) * tiles);
  const double filters = w.filter * static_cast<double>(bank) + w.raw_filter * static_cast<double>(geo.r * geo.s * c * k);
  return {common + static_cast<double>(blocks) * filters, common + w.result * static_cast<double>(bank)};
}

}  // namespace

passes::WinogradRule winograd_rule(std::string_view asked, kernels::Isa isa, std::int64_t lanes, std::string_view products) {
  using passes::WinogradWay;
  // One trial has tiles in its lanes: whole vectors of them.
  passes::WinogradRule rule{.way = {}, .grad_weight = {}, .column_multiple = kernels::pack_lanes(isa)};
  const bool packs = lanes != 1;
  if (!asked.empty()) {
    const bool within = packs || asked.starts_with("within");
    const std::int64_t tile = asked == "no" ? 0 : asked.back() - '0';
    rule.way = [=](const kernels::Conv2dGeometry&, std::int64_t) { return WinogradWay{tile, within}; };
    rule.grad_weight = [](const kernels::Conv2dGeometry&, std::int64_t, WinogradWay others) { return others; };
    return rule;
  }
  const bool bf16x3 = !packs && products == "bf16x3";
  const Costs& costs = bf16x3 ? kSingleBf16x3 : (packs ? kPacks : kSingle)[static_cast<int>(isa)];
  const std::int64_t multiple = packs ? 1 : rule.column_multiple;
  const std::int64_t lanes_of_one = kernels::pack_lanes(isa);
  const bool may_be_within = costs.within.product > 0;
  // What the weight gradient reads is there for the others, but within kernels. In packs they all go the same way.
  const auto grad_weight = [=, &costs](const kernels::Conv2dGeometry& geo, std::int64_t images, WinogradWay others) {
    const double rate = may_be_within ? costs.within.direct_weight : costs.direct;
    Choice best{{}, kMargin * 2 * static_cast<double>(geo.macs() * images) / rate};
    if (!others.within_kernel) {
      const WinogradNs ns = winograd_ns(costs, geo, images, others.tile, multiple);
      best.offer(others, ns.product + ns.filters / costs.filters);
    } else {
      for (const std::int64_t tile : {2, 4})
        best.offer({tile, true}, within_ns(costs, geo, images, tile, lanes_of_one).grad_weight);
    }
    return best;
  };
  rule.way = [=, &costs](const kernels::Conv2dGeometry& geo, std::int64_t images) {
    Choice best{{}, kMargin * kConvolutions * direct_ns(costs, geo, images)};
    for (const std::int64_t tile : {2, 4}) {
      const WinogradNs ns = winograd_ns(costs, geo, images, tile, multiple);
      best.offer({tile, packs}, kConvolutions * ns.product + ns.images + ns.filters);
      if (!may_be_within) continue;
      const WinogradWay way{tile, true};
      best.offer(way, (kConvolutions - 1) * within_ns(costs, geo, images, tile, lanes_of_one).convolution +
                          grad_weight(geo, images, way).ns);
    }
    return best.way;
  };
  rule.grad_weight = [=](const kernels::Conv2dGeometry& geo, std::int64_t images, WinogradWay others) {
    return packs ? others : grad_weight(geo, images, others).way;
  };
  return rule;
}

}  // namespace gi
