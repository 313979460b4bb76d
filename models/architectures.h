// The architectures themselves; find_model (models/zoo.h) gives them names.
#pragma once

#include <array>
#include <span>

#include "models/builder.h"

namespace gi::models {

/// Three 5x5 convolutions to 12 channels with sigmoid, then a linear layer; all tensors start as U(-.5, .5).
Value lenetzhu(Builder& b, Value x);

/// Eight 3x3 convolutions with bias, batch normalisation and ReLU (width x 1 2 2 4 4 4, pool, 4 4, pool), then a linear layer.
Value convnet(Builder& b, Value x, std::int64_t width);

/// Linear layers of the given widths with ReLU between, and one to the classes.
Value perceptron(Builder& b, Value x, std::span<const std::int64_t> hidden);

/// Residual networks of He et al.
struct ResNet {
  /// b: 1x1 convolution and BN where the shape changes. a: every second pixel, new channels zero.
  enum class Shortcut { a, b };
  std::span<const std::int64_t> blocks;  ///< a stage
  std::int64_t width = 64;               ///< of the first stage; doubles with every stage
  bool bottleneck = false;               ///< 1x1, 3x3, 1x1 to four times the width; otherwise two 3x3
  bool imagenet_stem = false;            ///< conv7 stride 2 and max-pool; otherwise conv3
  Shortcut shortcut = Shortcut::b;
  /// Stages count as "layers.0", "layers.1", ... in PyTorch names instead of "layer1", "layer2", ...
  bool stages_from_zero = false;
  const char* classifier = "fc";
};
Value resnet(Builder& b, Value x, const ResNet& net);

}  // namespace gi::models
