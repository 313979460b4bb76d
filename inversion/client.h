// The client's side: what it computes on its images and sends.
#pragma once

#include <span>
#include <vector>

#include "engine/exec/workspace.h"
#include "inversion/problem.h"

namespace gi::inversion {

/// Gradient of the mean cross-entropy over one batch of `images`, for any weights of the model.
/// Tests tests/inversion/client_test.cpp
class Client {
 public:
  /// On `device`, which must outlive it, or on the CPU.
  Client(const models::Model& model, models::Mode mode, std::int64_t images, DType dtype, Device* device = nullptr);

  struct Message {
    double loss = 0;
    std::vector<Tensor> gradient;  ///< [1,...] a parameter, in the order of Network::params()
  };
  /// x [1,N,C,H,W], normalised. Errors ShapeError: x is not that; UsageError: labels.
  Message answer(const models::Weights& weights, const Tensor& x, std::span<const std::int64_t> labels);

 private:
  models::Model model_;
  Plan plan_;
  Workspace work_;
};

}  // namespace gi::inversion
