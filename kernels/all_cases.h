// Every case of every op: what tests, emulator and gi_bench run over.
#pragma once

#include "kernels/batchnorm/batchnorm_cases.h"
#include "kernels/conv2d/conv2d_cases.h"
#include "kernels/elementwise/elementwise_cases.h"
#include "kernels/matmul/matmul_cases.h"
#include "kernels/movement/movement_cases.h"
#include "kernels/pool/pool_cases.h"
#include "kernels/reduce/reduce_cases.h"
#include "kernels/softmax/softmax_cases.h"
#include "kernels/total_variation/total_variation_cases.h"
#include "kernels/winograd/winograd_cases.h"

namespace gi::kernels {

inline std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& cases : {elementwise_cases(), conv2d_cases(), matmul_cases(), pool_cases(), batchnorm_cases(), softmax_cases(),
                            reduce_cases(), movement_cases(), total_variation_cases(), winograd_cases()})
    all.insert(all.end(), cases.begin(), cases.end());
  return all;
}

}  // namespace gi::kernels
