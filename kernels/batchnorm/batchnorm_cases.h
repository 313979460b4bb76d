// Batches every batch normalisation kernel is tried on; each row serves its three ops. A channel has at least four elements:
// with two, normalised values are +-1 and the gradient is rounding.
#pragma once

#include "kernels/batchnorm/batchnorm.h"
#include "kernels/common/make_case.h"

namespace gi::kernels {

inline std::vector<Case> batchnorm_cases() {
  struct Row {
    const char* label;
    Operand x;
    double eps = 1e-5;
  };
  const Row rows[] = {
      {"1x1x2x2", operand({1, 1, 2, 2})},
      {"2x3x4x4", operand({2, 3, 4, 4})},
      {"4x2x3x5", operand({4, 2, 3, 5})},
      {"7x5x1x1", operand({7, 5, 1, 1})},
      {"1x17x4x4, eps 0.1", operand({1, 17, 4, 4}), 0.1},
      {"8x64x8x8", operand({8, 64, 8, 8})},
      {"1x16x32x32", operand({1, 16, 32, 32})},
  };
  std::vector<Case> cases;
  for (const Row& row : rows) {
    const BatchnormAttrs attrs{.eps = row.eps};
    cases.push_back(make_case("batchnorm", row.label, attrs, {row.x}, row.x));
    cases.push_back(make_case("batchnorm_grad", row.label, attrs, {row.x, row.x}, row.x));
    cases.push_back(make_case("batchnorm_grad2", row.label, attrs, {row.x, row.x, row.x}, row.x));
  }
  return cases;
}

}  // namespace gi::kernels
