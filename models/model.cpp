#include "models/model.h"

#include <fmt/format.h>

#include <set>

#include "engine/core/error.h"

namespace gi::models {

std::vector<TensorSpec> Model::parameters() const {
  std::vector<TensorSpec> out;
  for (const TensorSpec& t : tensors)
    if (t.trainable) out.push_back(t);
  return out;
}

std::int64_t Model::parameter_count() const {
  std::int64_t n = 0;
  for (const TensorSpec& t : tensors) n += t.trainable ? t.shape.count() : 0;
  return n;
}

Model define_model(std::string name, const ImageShape& image, std::int64_t classes, Architecture architecture) {
  Model model{std::move(name), image, classes, std::move(architecture), {}};
  std::set<std::string> names;
  Graph scratch;
  Builder builder(
      [&](const TensorSpec& spec) {
        if (!names.insert(spec.name).second)
          throw UsageError(fmt::format("model {}: two tensors are named '{}'", model.name, spec.name));
        model.tensors.push_back(spec);
        return scratch.input(spec.name, spec.shape);
      },
      {.classes = classes});
  const std::string what = fmt::format("model {} for images [{},{},{}]", model.name, image.channels, image.height, image.width);
  try {
    const Value x = scratch.input("images", {1, 1, image.channels, image.height, image.width});
    const Value logits = model.architecture(builder, x);
    if (const Shape expected{1, 1, classes}; logits.shape() != expected)
      throw ShapeError(fmt::format("logits are {}, expected {}", logits.shape().str(), expected.str()));
  } catch (const ShapeError& e) {
    throw ShapeError(fmt::format("{}: {}", what, e.what()));
  }
  return model;
}

}  // namespace gi::models
