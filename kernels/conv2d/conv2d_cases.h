// Convolutions every kernel of the family is tried on; each row serves its three ops.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels {

inline std::vector<Case> conv2d_cases() {
  struct Row {
    const char* label;
    std::int64_t n, c, k;
    std::int64_t h, w, r, s;
    std::int64_t stride_h, stride_w, pad_h, pad_w;
    std::int64_t groups = 1, winograd = 0;
  };
  // clang-format off
  const Row rows[] = {
      //                                  n  c   k    h   w   r  s  stride pad   groups
      {"one number",                      1, 1,  1,   1,  1,  1, 1, 1, 1,  0, 0},
      {"3x3 s1 p1",                       2, 3,  5,   7,  7,  3, 3, 1, 1,  1, 1},
      {"3x3 s1 p1, batch 3",              3, 5,  3,   4,  4,  3, 3, 1, 1,  1, 1},
      {"3x3 s1 p1, 12 to 17 channels",    1, 12, 17,  4,  4,  3, 3, 1, 1,  1, 1},
      {"3x3 s1 p1, 17 to 5 channels",     1, 17, 5,   5,  5,  3, 3, 1, 1,  1, 1},
      {"3x3 s2 p1, even extents",         1, 3,  4,   8,  8,  3, 3, 2, 2,  1, 1},
      {"3x3 s2 p1, odd extents",          2, 4,  3,   7,  7,  3, 3, 2, 2,  1, 1},
      {"3x3 s1, no padding",              2, 3,  4,   6,  6,  3, 3, 1, 1,  0, 0},
      {"1x1",                             3, 5,  3,   4,  4,  1, 1, 1, 1,  0, 0},
      {"1x1, 24 to 20 channels",          1, 24, 20,  6,  6,  1, 1, 1, 1,  0, 0},
      {"1x1 s2, even extents",            2, 3,  5,   6,  6,  1, 1, 2, 2,  0, 0},
      {"1x1 s2, odd extents",             1, 5,  12,  5,  5,  1, 1, 2, 2,  0, 0},
      {"5x5 s2 p2",                       1, 2,  3,   8,  8,  5, 5, 2, 2,  2, 2},
      {"5x5 s1 p2",                       1, 3,  5,   6,  6,  5, 5, 1, 1,  2, 2},
      {"5x5 s1 p2, more filters than pixels", 1, 3, 20, 4, 4,  5, 5, 1, 1,  2, 2},
      {"7x7 s2 p3",                       1, 2,  3,   9,  9,  7, 7, 2, 2,  3, 3},
      {"non-square image",                2, 3,  4,   5,  9,  3, 3, 1, 1,  1, 1},
      {"non-square everything",           2, 3,  4,   6,  7,  3, 2, 1, 2,  1, 0},
      {"stride above the filter",         1, 2,  3,   8,  8,  2, 2, 3, 3,  0, 0},
      {"groups 2",                        2, 4,  6,   5,  5,  3, 3, 1, 1,  1, 1,  2},
      {"depthwise",                       1, 5,  5,   6,  6,  3, 3, 1, 1,  1, 1,  5},
      {"depthwise, two a channel, s2",    2, 3,  6,   7,  7,  3, 3, 2, 2,  1, 1,  3},
      {"filter 3x3, image 2x2, p1",       2, 3,  4,   2,  2,  3, 3, 1, 1,  1, 1},
      {"filter 5x5, image 3x3, p2",       1, 3,  2,   3,  3,  5, 5, 1, 1,  2, 2},
      {"filter 1x9, image 1x2, p8",       1, 16, 17,  1,  2,  1, 9, 1, 1,  0, 8},
      {"filter covers the image",         2, 3,  5,   4,  4,  4, 4, 1, 1,  0, 0},
      {"3x3 s1 p1, 33 to 47 channels, batch 3", 3, 33, 47, 5, 6, 3, 3, 1, 1, 1, 1},
      {"3x3 s2 p1, 18 to 21 channels",    2, 18, 21,  7,  9,  3, 3, 2, 2,  1, 1},
      {"4x5 s1x2, 35 to 16 channels",     1, 35, 16,  6,  8,  4, 5, 1, 2,  2, 1},
      {"5x5 s1x2, 15 to 31 channels",     2, 15, 31,  11, 19, 5, 5, 1, 2,  2, 1},
      {"3x2 s2x1, no padding, 16 to 80 channels", 1, 16, 80, 21, 9, 3, 2, 2, 1, 0, 0},
      {"4x4 s3, 30 to 48 channels",       1, 30, 48,  25, 25, 4, 4, 3, 3,  1, 1},
      {"1x4 s2x1, 16 to 16 channels",     1, 16, 16,  16, 9,  1, 4, 2, 1,  0, 2},
      {"1x1, 16 to 64 channels at 24x24", 1, 16, 64,  24, 24, 1, 1, 1, 1,  0, 0},
      {"2x2 s2, 64 to 16 channels at 32x32", 1, 64, 16, 32, 32, 2, 2, 2, 2, 0, 0},
      {"LeNetZhu first layer",            1, 3,  12,  32, 32, 5, 5, 2, 2,  2, 2},
      {"LeNetZhu second layer",           1, 12, 12,  16, 16, 5, 5, 2, 2,  2, 2},
      {"LeNetZhu third layer",            1, 12, 12,  8,  8,  5, 5, 1, 1,  2, 2},
      {"16 to 16 channels at 32x32",      1, 16, 16,  32, 32, 3, 3, 1, 1,  1, 1},
      {"64 to 64 channels at 8x8",        2, 64, 64,  8,  8,  3, 3, 1, 1,  1, 1},
      {"64 to 128 channels at 16x16, s2", 1, 64, 128, 16, 16, 3, 3, 2, 2,  1, 1},
      {"64 to 128 channels, 1x1 s2",      1, 64, 128, 16, 16, 1, 1, 2, 2,  0, 0},
      {"stem, 7x7 s2 at 32x32",           1, 3,  64,  32, 32, 7, 7, 2, 2,  3, 3},
      {"depthwise at 16x16",              2, 32, 32,  16, 16, 3, 3, 1, 1,  1, 1,  32},
      {"F(2x2), 12 to 17 channels",       2, 12, 17,  5,  7,  3, 3, 1, 1,  1, 1,  1, 2},
      {"F(2x2), no padding",              1, 3,  4,   6,  6,  3, 3, 1, 1,  0, 0,  1, 2},
      {"F(4x4), 17 to 5 channels",        2, 17, 5,   9,  10, 3, 3, 1, 1,  1, 1,  1, 4},
      {"F(4x4), padding 2 and 0",         1, 3,  4,   6,  8,  3, 3, 1, 1,  2, 0,  1, 4},
      {"F(4x4), image 2x2",               3, 4,  3,   2,  2,  3, 3, 1, 1,  1, 1,  1, 4},
      {"F(2x2), 64 to 64 channels at 8x8", 1, 64, 64, 8,  8,  3, 3, 1, 1,  1, 1,  1, 2},
      {"F(4x4), 64 to 48 channels at 8x8", 3, 64, 48, 8,  8,  3, 3, 1, 1,  1, 1,  1, 4},
      {"F(4x4), 16 to 20 channels at 32x32", 1, 16, 20, 32, 32, 3, 3, 1, 1,  1, 1,  1, 4},
      {"F(4x4), 128 to 3 channels at 32x32", 1, 128, 3, 32, 32, 3, 3, 1, 1,  1, 1,  1, 4},
      {"F(4x4), 40 to 128 channels, batch 2", 2, 40, 128, 5, 6, 3, 3, 1, 1,  1, 1,  1, 4},
  };
  // clang-format on
  std::vector<Case> cases;
  for (const Row& row : rows) {
    const Conv2dGeometry geo{.c = row.c,
                             .k = row.k,
                             .h = row.h,
                             .w = row.w,
                             .r = row.r,
                             .s = row.s,
                             .p = conv_output_extent(row.h, row.r, row.stride_h, row.pad_h),
                             .q = conv_output_extent(row.w, row.s, row.stride_w, row.pad_w),
                             .stride_h = row.stride_h,
                             .stride_w = row.stride_w,
                             .pad_h = row.pad_h,
                             .pad_w = row.pad_w,
                             .groups = row.groups,
                             .winograd = row.winograd};
    const Operand x = operand({row.n, geo.c, geo.h, geo.w}), w = operand({geo.k, geo.c_per_group(), geo.r, geo.s});
    const Operand y = operand({row.n, geo.k, geo.p, geo.q});
    const std::int64_t macs = row.n * geo.macs();
    cases.push_back(make_case("conv2d", row.label, geo, {x, w}, y, macs));
    cases.push_back(make_case("conv2d_grad_input", row.label, geo, {y, w}, x, macs));
    cases.push_back(make_case("conv2d_grad_weight", row.label, geo, {x, y}, w, macs));
  }
  return cases;
}

}  // namespace gi::kernels
