// Windows every pooling kernel is tried on; each row serves its four ops.
#pragma once

#include "kernels/api/extent.h"
#include "kernels/common/make_case.h"
#include "kernels/pool/pool.h"

namespace gi::kernels {

inline std::vector<Case> pool_cases() {
  struct Row {
    const char* label;
    std::int64_t n, c, h, w;
    std::int64_t r, s, stride_h, stride_w, pad_h, pad_w;
  };
  // clang-format off
  const Row rows[] = {
      //                             n  c   h   w   r  s  stride pad
      {"2x2 s2",                     2, 3,  6,  6,  2, 2, 2, 2,  0, 0},
      {"2x2 s2, last row unused",    1, 3,  7,  5,  2, 2, 2, 2,  0, 0},
      {"3x3 s3, 32 to 10",           1, 2,  32, 32, 3, 3, 3, 3,  0, 0},
      {"3x3 s2 p1, even extents",    2, 2,  8,  8,  3, 3, 2, 2,  1, 1},
      {"3x3 s2 p1, odd extents",     1, 5,  7,  7,  3, 3, 2, 2,  1, 1},
      {"3x3 s1 p1",                  1, 2,  5,  5,  3, 3, 1, 1,  1, 1},
      {"1x1 s2",                     3, 2,  5,  6,  1, 1, 2, 2,  0, 0},
      {"non-square image",           2, 3,  6,  10, 2, 2, 2, 2,  0, 0},
      {"non-square window",          1, 3,  6,  7,  3, 2, 1, 2,  1, 0},
      {"whole image",                2, 3,  4,  4,  4, 4, 1, 1,  0, 0},
      {"2x2 s2 at 32x32",            4, 16, 32, 32, 2, 2, 2, 2,  0, 0},
      {"3x3 s2 p1 at 16x16",         2, 64, 16, 16, 3, 3, 2, 2,  1, 1},
  };
  // clang-format on
  std::vector<Case> cases;
  for (const Row& row : rows) {
    const PoolGeometry geo{.h = row.h,
                           .w = row.w,
                           .r = row.r,
                           .s = row.s,
                           .p = conv_output_extent(row.h, row.r, row.stride_h, row.pad_h),
                           .q = conv_output_extent(row.w, row.s, row.stride_w, row.pad_w),
                           .stride_h = row.stride_h,
                           .stride_w = row.stride_w,
                           .pad_h = row.pad_h,
                           .pad_w = row.pad_w};
    const Operand x = operand({row.n, row.c, geo.h, geo.w}), y = operand({row.n, row.c, geo.p, geo.q});
    const Operand decision = with(x, Domain::distinct);
    cases.push_back(make_case("avg_pool", row.label, geo, {x}, y));
    cases.push_back(make_case("avg_pool_grad", row.label, geo, {y}, x));
    cases.push_back(make_case("max_select", row.label, geo, {x, decision}, y));
    cases.push_back(make_case("max_scatter", row.label, geo, {y, decision}, x));
  }
  return cases;
}

}  // namespace gi::kernels
