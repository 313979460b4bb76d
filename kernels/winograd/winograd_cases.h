// Images and filter banks the transforms are tried on; each row serves an op and its adjoint.
#pragma once

#include "kernels/api/extent.h"
#include "kernels/common/make_case.h"
#include "kernels/winograd/winograd.h"

namespace gi::kernels {

inline std::vector<Case> winograd_cases() {
  struct Row {
    const char* label;
    std::int64_t n, c, h, w, pad, more;  ///< columns beyond the tiles
  };
  const Row rows[] = {
      {"one tile", 1, 1, 3, 3, 1, 0},
      {"no padding", 1, 2, 6, 6, 0, 0},
      {"odd extents, batch 2", 2, 3, 7, 9, 1, 2},
      {"wider than high", 1, 3, 4, 21, 1, 1},
      {"3 channels at 32x32", 1, 3, 32, 32, 1, 0},
      {"padding 2", 1, 2, 5, 6, 2, 3},
      {"8 channels at 16x16", 2, 8, 16, 16, 1, 0},
      {"90 pixels wide", 1, 2, 9, 90, 1, 4},
  };
  std::vector<Case> cases;
  for (const Row& row : rows)
    for (const std::int64_t tile : {2, 4}) {
      WinogradGeometry geo{.tile = tile,
                           .n = row.n,
                           .h = row.h,
                           .w = row.w,
                           .p = conv_output_extent(row.h, 3, 1, row.pad),
                           .q = conv_output_extent(row.w, 3, 1, row.pad),
                           .pad_h = row.pad,
                           .pad_w = row.pad};
      geo.columns = geo.tiles() + row.more;
      const Operand x = operand({row.n, row.c, row.h, row.w}), y = operand({row.n, row.c, geo.p, geo.q});
      const Operand products = operand({geo.side() * geo.side(), row.c, geo.columns});
      cases.push_back(make_case("winograd_input", row.label, geo, {x}, products));
      cases.push_back(make_case("winograd_input_grad", row.label, geo, {products}, x));
      cases.push_back(make_case("winograd_output", row.label, geo, {products}, y));
      cases.push_back(make_case("winograd_output_grad", row.label, geo, {y}, products));
    }
  struct Bank {
    const char* label;
    std::int64_t k, c;
  };
  for (const Bank& bank : {Bank{"one filter", 1, 1}, Bank{"5 by 7 filters", 5, 7}, Bank{"16 by 12 filters", 16, 12},
                           Bank{"80 by 96 filters, more than the second cache is given", 80, 96}})
    for (const std::int64_t tile : {2, 4}) {
      const WinogradFilter geo{.tile = tile};
      const Operand w = operand({bank.k, bank.c, 3, 3}), u = operand({geo.side() * geo.side(), bank.k, bank.c});
      cases.push_back(make_case("winograd_filter", bank.label, geo, {w}, u));
      cases.push_back(make_case("winograd_filter_grad", bank.label, geo, {u}, w));
    }
  return cases;
}

}  // namespace gi::kernels
