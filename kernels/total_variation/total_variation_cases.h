// Images both total variation ops are tried on. Distinct values keep every difference of neighbours off its kink.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/total_variation/total_variation.h"

namespace gi::kernels {

inline std::vector<Case> total_variation_cases() {
  struct Row {
    const char* label;
    Operand x;
  };
  const Row rows[] = {
      {"1x1x2x2", operand({1, 1, 2, 2}, Domain::distinct)},     {"1x3x5x7", operand({1, 3, 5, 7}, Domain::distinct)},
      {"2x3x8x8", operand({2, 3, 8, 8}, Domain::distinct)},     {"one row", operand({1, 2, 1, 5}, Domain::distinct)},
      {"one column", operand({3, 1, 6, 1}, Domain::distinct)},  {"1x3x32x32", operand({1, 3, 32, 32}, Domain::distinct)},
      {"4x3x32x32", operand({4, 3, 32, 32}, Domain::distinct)},
  };
  std::vector<Case> cases;
  for (const Row& row : rows) {
    cases.push_back(make_case("total_variation", row.label, NoAttrs{}, {row.x}, operand({})));
    cases.push_back(make_case("total_variation_grad", row.label, NoAttrs{}, {row.x}, row.x));
  }
  return cases;
}

}  // namespace gi::kernels
