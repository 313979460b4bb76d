// What the attack minimises, at a given candidate: distances, total variation and their derivatives, for comparison with any
// other implementation.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inversion/problem.h"

namespace gi {
class Device;
}

namespace gi::inversion {

using Decisions = std::vector<std::pair<std::string, Tensor>>;

struct EvaluateOptions {
  DType dtype = DType::f64;
  Device* device = nullptr;                       ///< null: the CPU
  bool record_decisions = false;                  ///< keep what piecewise ops decided by
  const Decisions* forced = nullptr;              ///< decide by these instead
  std::map<std::string, std::string> force = {};  ///< PlanOptions::force
};

struct Evaluation {
  double loss = 0, cosine_distance = 0, l2_distance = 0, total_variation = 0;
  Tensor d_cosine_distance_d_x, d_l2_distance_d_x, d_total_variation_d_x;  ///< [1,N,C,H,W]
  Decisions decisions;
};

/// Of the problem's first victim. x [1,N,C,H,W], normalised; the L2 distance is sum (g - g*)^2.
/// Errors ShapeError: x is not the problem's.   Tests tests/inversion/evaluate_test.cpp
Evaluation evaluate(const Problem& problem, const Tensor& x, const EvaluateOptions& options = {});

}  // namespace gi::inversion
