// A network of one's own: the architecture is one function. Its test is tests/models/own_network_test.cpp.
#pragma once

#include "engine/ops/elementwise.h"
#include "models/builder.h"

namespace example {

/// Two stages of conv + BN + ReLU, the second with a shortcut, then a linear layer.
inline gi::Value own_network(gi::models::Builder& b, gi::Value x) {
  x = b.relu(b.batchnorm("stem.bn", b.conv("stem.conv", x, 16, 3, {.stride = 2, .pad = 1, .bias = false})));
  gi::Value y = b.relu(b.batchnorm("block.bn", b.conv("block.conv", x, 16, 3, {.pad = 1, .bias = false})));
  x = gi::add(x, gi::tanh(b.conv("block.out", y, 16, 1)));
  x = b.max_pool(x, 2, 2);
  return b.linear("head", b.flatten(x), b.classes());
}

}  // namespace example
