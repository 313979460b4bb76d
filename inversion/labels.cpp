#include "inversion/labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "models/random.h"

namespace gi::inversion {

std::int64_t recover_label(const models::Model& model, std::span<const Tensor> gradient) {
  const std::vector<models::TensorSpec> parameters = model.parameters();
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const Shape& shape = parameters[i].shape;  // [1,K,F]
    if (shape.rank() != 3 || shape[1] != model.classes) continue;
    std::vector<double> sums(static_cast<std::size_t>(shape[1]));
    for (std::int64_t e = 0; e < shape.count(); ++e) sums[e / shape[2]] += gradient[i].at(e);
    return std::min_element(sums.begin(), sums.end()) - sums.begin();
  }
  throw UsageError(
      fmt::format("labels: model {} has no linear layer over its {} classes to recover a label from", model.name, model.classes));
}

std::int64_t draw_label(std::uint64_t seed, std::uint64_t index, std::int64_t classes) {
  models::Random random(seed, fmt::format("label/{}", index));
  return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(classes)));
}

}  // namespace gi::inversion
