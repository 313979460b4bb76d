// The numbers of a network: named tensors in state_dict order, owned by the host.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace gi::models {

struct NamedTensor {
  std::string name;
  Tensor tensor;  ///< [1, ...], or [T, ...] when every trial has its own network; f32 or f64
  bool trainable = true;
};

/// Parameters and buffers of one Model. A Graph refers to the tensors in place: Weights outlive every Graph and Program made
/// with them, and `entries` does not change meanwhile.
struct Weights {
  std::vector<NamedTensor> entries;

  /// Errors UsageError: no tensor of that name.
  const Tensor& at(std::string_view name) const;
  std::int64_t trials() const { return entries.empty() ? 1 : entries.front().tensor.shape().trials(); }
  Weights clone() const;
};

/// Fresh weights, f32, [1, ...]: the model's initialisers, from `seed` alone. A tensor's numbers depend on the seed and on its
/// own name and shape, not on the tensors before it.   Tests tests/models/weights_test.cpp
Weights initialise(const Model& model, std::uint64_t seed);

/// Networks side by side along the trial axis: trial t has seeds[t]'s weights.
Weights initialise(const Model& model, std::span<const std::uint64_t> seeds);

/// Weights of several networks of one model as the trials of one.
/// Errors ShapeError: names or shapes disagree; UsageError: none given.
Weights stack(std::span<const Weights> networks);

}  // namespace gi::models
