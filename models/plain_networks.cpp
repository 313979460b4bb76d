// Networks without shortcuts.
#include <fmt/format.h>

#include "engine/ops/elementwise.h"
#include "models/architectures.h"

namespace gi::models {

Value lenetzhu(Builder& b, Value x) {
  b.initialisation(InitScheme::uniform_half);
  x = sigmoid(b.conv("body.0", x, 12, 5, {.stride = 2, .pad = 2}));
  x = sigmoid(b.conv("body.2", x, 12, 5, {.stride = 2, .pad = 2}));
  x = sigmoid(b.conv("body.4", x, 12, 5, {.stride = 1, .pad = 2}));
  return b.linear("fc.0", b.flatten(x), b.classes());
}

Value convnet(Builder& b, Value x, std::int64_t width) {
  constexpr std::array<std::int64_t, 8> kMultiples{1, 2, 2, 4, 4, 4, 4, 4};
  for (std::size_t i = 0; i < kMultiples.size(); ++i) {
    x = b.conv(fmt::format("model.conv{}", i), x, width * kMultiples[i], 3, {.pad = 1});
    x = b.relu(b.batchnorm(fmt::format("model.bn{}", i), x));
    if (i == 5 || i == 7) x = b.max_pool(x, 3, 3);
  }
  return b.linear("model.linear", b.flatten(x), b.classes());
}

Value perceptron(Builder& b, Value x, std::span<const std::int64_t> hidden) {
  x = b.flatten(x);
  for (std::size_t i = 0; i < hidden.size(); ++i) x = b.relu(b.linear(fmt::format("linear{}", i), x, hidden[i]));
  return b.linear(fmt::format("linear{}", hidden.size()), x, b.classes());
}

}  // namespace gi::models
