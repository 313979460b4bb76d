// Paddings, transpositions and reshapes every movement kernel is tried on; each padding serves pad and its adjoint crop.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/movement/movement.h"

namespace gi::kernels {

inline std::vector<Case> movement_cases() {
  std::vector<Case> cases;

  struct Padding {
    const char* label;
    Operand inner;
    PadAttrs amounts;  // of axis 0, the trials, first
  };
  const Padding paddings[] = {
      {"around the image", operand({2, 3, 4, 5}), {{0, 0, 0, 1, 1}, {0, 0, 0, 1, 1}}},
      {"another amount on each side", operand({2, 2, 3, 3}), {{0, 0, 0, 2, 0}, {0, 0, 0, 1, 3}}},
      {"channels after", operand({2, 3, 2, 2}), {{}, {0, 0, 3}}},
      {"images before", operand({1, 3, 2, 2}), {{0, 2}, {}}},
      {"a vector", operand({5}), {{0, 1}, {0, 6}}},
      {"columns of a matrix", operand({3, 4}), {{0, 0, 2}, {0, 0, 1}}},
      {"nothing", operand({3, 4}), {}},
      {"around the image, 4x16x32x32", operand({4, 16, 32, 32}), {{0, 0, 0, 1, 1}, {0, 0, 0, 1, 1}}},
  };
  for (const Padding& row : paddings) {
    Operand outer = row.inner;
    for (std::int64_t axis = 0; axis < outer.rank; ++axis)
      outer.dims[axis] += row.amounts.before[axis + 1] + row.amounts.after[axis + 1];
    cases.push_back(make_case("pad", row.label, row.amounts, {row.inner}, outer));
    cases.push_back(make_case("crop", row.label, row.amounts, {outer}, row.inner));
  }

  struct Transposition {
    const char* label;
    Operand x;
    TransposeAttrs order;
  };
  const Transposition transpositions[] = {
      {"matrix", operand({3, 5}), {{0, 2, 1}}},
      {"cycle of three", operand({2, 3, 4}), {{0, 2, 3, 1}}},
      {"NCHW to NHWC", operand({2, 3, 4, 5}), {{0, 1, 3, 4, 2}}},
      {"reversed", operand({2, 3, 4, 5}), {{0, 4, 3, 2, 1}}},
      {"images and channels swapped", operand({2, 3, 4, 5}), {{0, 2, 1, 3, 4}}},
      {"identity", operand({2, 3, 4}), {{0, 1, 2, 3}}},
      {"64x65", operand({64, 65}), {{0, 2, 1}}},
      {"NCHW to NHWC, 2x16x32x32", operand({2, 16, 32, 32}), {{0, 1, 3, 4, 2}}},
  };
  for (const Transposition& row : transpositions) {
    Operand y = row.x;
    for (std::int64_t axis = 0; axis < y.rank; ++axis) y.dims[axis] = row.x.dims[row.order.axes[axis + 1] - 1];
    cases.push_back(make_case("transpose", row.label, row.order, {row.x}, y));
  }

  struct Reshape {
    const char* label;
    Operand x, y;
  };
  const Reshape reshapes[] = {
      {"images to rows", operand({2, 3, 4, 5}), operand({2, 60})},
      {"rows to images", operand({2, 12}), operand({2, 3, 2, 2})},
      {"vector to matrix", operand({12}), operand({3, 4})},
      {"matrix to vector", operand({4, 4}), operand({16})},
      {"extents of one", operand({7}), operand({1, 7, 1, 1})},
      {"images to rows, 4x64x8x8", operand({4, 64, 8, 8}), operand({4, 4096})},
  };
  for (const Reshape& row : reshapes) cases.push_back(make_case("reshape", row.label, NoAttrs{}, {row.x}, row.y));
  return cases;
}

}  // namespace gi::kernels
