#include "models/network.h"

#include <fmt/format.h>

#include <unordered_map>

#include "engine/core/error.h"
#include "engine/ops/reduce.h"

namespace gi::models {

Network::Network(Graph& graph, const Model& model, const Weights& weights, NetworkOptions options)
    : graph_(&graph), model_(model), options_(std::move(options)) {
  if (options_.trials < 1) throw UsageError(fmt::format("network {}: {} trials", model_.name, options_.trials));
  if (weights.entries.size() != model_.tensors.size())
    throw UsageError(
        fmt::format("network {}: {} tensors given, the model has {}", model_.name, weights.entries.size(), model_.tensors.size()));
  for (std::size_t i = 0; i < model_.tensors.size(); ++i) {
    const TensorSpec& spec = model_.tensors[i];
    const NamedTensor& given = weights.entries[i];
    const Shape& shape = given.tensor.shape();
    if (given.name != spec.name)
      throw UsageError(fmt::format("network {}: tensor {} is '{}', expected '{}'", model_.name, i, given.name, spec.name));
    const Shape spread = spec.shape.with(0, options_.trials);
    using Leaves = NetworkOptions::Leaves;
    const bool as_inputs = options_.leaves != Leaves::constants;
    if (shape.rank() != spec.shape.rank() || shape.with(0, 1) != spec.shape ||
        (!as_inputs && shape.trials() != 1 && shape.trials() != options_.trials))
      throw ShapeError(fmt::format("network {}: '{}' is {}, expected {} or {}", model_.name, spec.name, shape.str(),
                                   spec.shape.str(), spread.str()));
    const std::string name = options_.prefix + spec.name;
    const Value leaf =
        as_inputs ? graph.input(name, options_.leaves == Leaves::inputs ? spread : spec.shape) : graph.constant(name, given.tensor);
    if (spec.trainable) {
      weights_.push_back(leaf);
      params_.push_back(broadcast_to(leaf, spread));
      names_.push_back(spec.name);
    } else {
      buffers_.push_back(broadcast_to(leaf, spread));
    }
  }
}

Shape Network::images(std::int64_t n) const {
  return {options_.trials, n, model_.image.channels, model_.image.height, model_.image.width};
}

Network::Forward Network::forward(Value x, std::span<const Value> params) const {
  if (x.shape().rank() != 5 || x.shape() != images(x.shape()[1]))
    throw ShapeError(fmt::format("network {}: images are {}, expected {}", model_.name, x.shape().str(), images(1).str()));
  if (params.size() != params_.size())
    throw ShapeError(fmt::format("network {}: {} parameters given, it has {}", model_.name, params.size(), params_.size()));
  std::unordered_map<std::string_view, Value> by_name;
  std::size_t param = 0, buffer = 0;
  for (const TensorSpec& spec : model_.tensors) {
    const Value v = spec.trainable ? params[param++] : buffers_[buffer++];
    if (v.shape() != spec.shape.with(0, options_.trials))
      throw ShapeError(fmt::format("network {}: '{}' is {}, expected {}", model_.name, spec.name, v.shape().str(),
                                   spec.shape.with(0, options_.trials).str()));
    by_name.emplace(spec.name, v);
  }
  ++calls_;
  Builder builder([&](const TensorSpec& spec) { return by_name.at(spec.name); },
                  {.classes = model_.classes,
                   .mode = options_.mode,
                   .force_decisions = options_.force_decisions,
                   .decision_prefix = options_.prefix + (calls_ == 1 ? "decision/" : fmt::format("decision{}/", calls_))});
  const Value logits = model_.architecture(builder, x);
  decisions_.insert(decisions_.end(), builder.decisions().begin(), builder.decisions().end());
  return {logits, builder.features(), builder.decisions(), builder.batchnorms()};
}

}  // namespace gi::models
