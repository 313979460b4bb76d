// A network before it has numbers: its architecture and the tensors that declares.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/builder.h"

namespace gi::models {

/// images [T,N,C,H,W] -> logits [T,N,classes].
using Architecture = std::function<Value(Builder&, Value images)>;

struct ImageShape {
  std::int64_t channels = 3, height = 32, width = 32;
  bool operator==(const ImageShape&) const = default;
};

struct Model {
  std::string name;
  ImageShape image;
  std::int64_t classes = 10;
  Architecture architecture;
  std::vector<TensorSpec> tensors;  ///< parameters and buffers, in state_dict order

  /// The trainable ones, in the order of PyTorch's parameters().
  std::vector<TensorSpec> parameters() const;
  std::int64_t parameter_count() const;
};

/// Walks the architecture once to learn its tensors. Nothing is allocated.
///
/// Errors   ShapeError: the image is too small for it, or logits are not [T,N,classes]; UsageError: a tensor's name used twice.
/// Tests    tests/models/model_test.cpp, tests/models/own_network_test.cpp
Model define_model(std::string name, const ImageShape& image, std::int64_t classes, Architecture architecture);

}  // namespace gi::models
