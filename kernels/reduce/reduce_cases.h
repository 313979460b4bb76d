// Sums, broadcasts and inner products every kernel of the family is tried on; each row of shapes serves sum_to and its
// adjoint broadcast_to.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/reduce/reduce.h"

namespace gi::kernels {

inline std::vector<Case> reduce_cases() {
  struct Row {
    const char* label;
    Operand wide, narrow;
  };
  const Row rows[] = {
      {"per channel", operand({2, 3, 4, 5}), operand({1, 3, 1, 1})},
      {"per image", operand({2, 3, 4, 5}), operand({2, 1, 1, 1})},
      {"per image and channel", operand({2, 3, 4, 4}), operand({2, 3, 1, 1})},
      {"per position", operand({2, 3, 4, 5}), operand({1, 1, 4, 5})},
      {"outer and inner axis", operand({3, 4, 5}), operand({1, 4, 1})},
      {"middle axis", operand({3, 4, 5}), operand({3, 1, 5})},
      {"over rows", operand({4, 7}), operand({1, 7})},
      {"over columns", operand({4, 7}), operand({4, 1})},
      {"all, rank kept", operand({2, 3, 5}), operand({1, 1, 1})},
      {"nothing", operand({3, 5}), operand({3, 5})},
      {"scalar of a trial, 1", operand({1}), operand({})},
      {"scalar of a trial, 33", operand({33}), operand({})},
      {"scalar of a trial, 3x5", operand({3, 5}), operand({})},
      {"scalar of a trial, 2x3x10x10", operand({2, 3, 10, 10}), operand({})},
      {"per channel, 8x64x8x8", operand({8, 64, 8, 8}), operand({1, 64, 1, 1})},
      {"per image and channel, 4x16x32x32", operand({4, 16, 32, 32}), operand({4, 16, 1, 1})},
      {"scalar of a trial, 1x64x32x32", operand({1, 64, 32, 32}), operand({})},
  };
  std::vector<Case> cases;
  for (const Row& row : rows) {
    cases.push_back(make_case("sum_to", row.label, NoAttrs{}, {row.wide}, row.narrow));
    cases.push_back(make_case("broadcast_to", row.label, NoAttrs{}, {row.narrow}, row.wide));
  }
  const Row dots[] = {
      {"1", operand({1}), {}},
      {"7", operand({7}), {}},
      {"16x33", operand({16, 33}), {}},
      {"3x4x5", operand({3, 4, 5}), {}},
      {"2x3x10x10", operand({2, 3, 10, 10}), {}},
      {"12x12x5x5", operand({12, 12, 5, 5}), {}},
      {"1x64x32x32", operand({1, 64, 32, 32}), {}},
  };
  for (const Row& row : dots)
    cases.push_back(make_case("dot", row.label, NoAttrs{}, {row.wide, row.wide}, row.narrow, count(row.wide)));
  return cases;
}

}  // namespace gi::kernels
