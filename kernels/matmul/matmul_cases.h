// Matrix products every matmul kernel is tried on, each in all four transpositions.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/matmul/matmul.h"

namespace gi::kernels {

inline std::vector<Case> matmul_cases() {
  struct Row {
    const char* label;
    std::int64_t m, n, k, batch = 1;
  };
  const Row rows[] = {
      {"one number", 1, 1, 1},
      {"row times matrix", 1, 5, 7},
      {"matrix times column", 5, 1, 3},
      {"outer product", 4, 7, 1},
      {"inner product", 1, 1, 33},
      {"3x5 by 5x17", 3, 17, 5},
      {"12x12 by 12x12", 12, 12, 12},
      {"linear layer 768 to 10, one image", 1, 10, 768},
      {"linear layer 768 to 10, batch 4", 4, 10, 768},
      {"its weight gradient, batch 4", 10, 768, 4},
      {"64x64 by 64x64", 64, 64, 64},
      {"33x65 by 65x17", 33, 17, 65},
      {"16 products of 5x7 by 7x9", 5, 9, 7, 16},
      {"4 products of 24x20 by 20x36", 24, 36, 20, 4},
      {"3 products of 64x48 by 48x32", 64, 32, 48, 3},
  };
  std::vector<Case> cases;
  for (const Row& row : rows)
    for (const std::int64_t transpose_a : {0, 1})
      for (const std::int64_t transpose_b : {0, 1}) {
        const MatmulGeometry geo{
            .m = row.m, .n = row.n, .k = row.k, .transpose_a = transpose_a, .transpose_b = transpose_b, .batch = row.batch};
        const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
          return row.batch > 1 ? operand({row.batch, rows, columns}) : operand({rows, columns});
        };
        const Operand a = transpose_a != 0 ? matrix(row.k, row.m) : matrix(row.m, row.k);
        const Operand b = transpose_b != 0 ? matrix(row.n, row.k) : matrix(row.k, row.n);
        cases.push_back(make_case("matmul", row.label, geo, {a, b}, matrix(row.m, row.n), row.batch * row.m * row.n * row.k));
      }
  return cases;
}

}  // namespace gi::kernels
