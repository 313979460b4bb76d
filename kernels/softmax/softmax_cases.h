// Logits every softmax kernel is tried on; ops with labels take them hard and soft.
#pragma once

#include "kernels/common/make_case.h"
#include "kernels/softmax/softmax.h"

namespace gi::kernels {

inline std::vector<Case> softmax_cases() {
  struct Row {
    const char* label;
    Operand z;
  };
  const Row rows[] = {
      {"1x2", operand({1, 2})},     {"3x5", operand({3, 5})},       {"4x10", operand({4, 10})},     {"2x17", operand({2, 17})},
      {"1x100", operand({1, 100})}, {"64x100", operand({64, 100})}, {"4x1000", operand({4, 1000})},
  };
  std::vector<Case> cases;
  for (const Row& row : rows) {
    cases.push_back(make_case("log_softmax", row.label, NoAttrs{}, {row.z}, row.z));
    cases.push_back(make_case("softmax_vjp", row.label, NoAttrs{}, {row.z, row.z}, row.z));
    for (const Domain domain : {Domain::onehot, Domain::simplex}) {
      const Operand labels = with(row.z, domain);
      cases.push_back(make_case("cross_entropy", row.label, NoAttrs{}, {row.z, labels}, operand({})));
      cases.push_back(make_case("softmax_residual", row.label, NoAttrs{}, {row.z, labels}, row.z));
    }
  }
  return cases;
}

}  // namespace gi::kernels
