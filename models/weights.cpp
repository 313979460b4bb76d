#include "models/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "models/random.h"

namespace gi::models {
namespace {

void fill(std::span<float> out, const Initialiser& init, Random random) {
  switch (init.kind) {
    case Initialiser::Kind::constant:
      std::fill(out.begin(), out.end(), static_cast<float>(init.value));
      break;
    case Initialiser::Kind::uniform:
      for (float& v : out) v = static_cast<float>(init.value * (2 * random.uniform() - 1));  // 2u - 1 is exact
      break;
    case Initialiser::Kind::normal:
      for (float& v : out) v = static_cast<float>(init.value * random.normal());
      break;
  }
}

}  // namespace

const Tensor& Weights::at(std::string_view name) const {
  for (const NamedTensor& e : entries)
    if (e.name == name) return e.tensor;
  throw UsageError(fmt::format("weights: no tensor is named '{}'", name));
}

Weights Weights::clone() const {
  Weights w;
  for (const NamedTensor& e : entries) w.entries.push_back({e.name, e.tensor.clone(), e.trainable});
  return w;
}

Weights initialise(const Model& model, std::uint64_t seed) { return initialise(model, std::span(&seed, 1)); }

Weights initialise(const Model& model, std::span<const std::uint64_t> seeds) {
  if (seeds.empty()) throw UsageError("initialise: no seeds");
  Weights w;
  for (const TensorSpec& spec : model.tensors) {
    Tensor t(spec.shape.with(0, static_cast<std::int64_t>(seeds.size())), DType::f32);
    const auto n = static_cast<std::size_t>(spec.shape.count());
    for (std::size_t i = 0; i < seeds.size(); ++i)
      fill(t.as<float>().subspan(i * n, n), spec.initialiser, Random(seeds[i], spec.name));
    w.entries.push_back({spec.name, std::move(t), spec.trainable});
  }
  return w;
}

Weights stack(std::span<const Weights> networks) {
  if (networks.empty()) throw UsageError("stack: no networks");
  const Weights& first = networks.front();
  Weights out;
  for (std::size_t e = 0; e < first.entries.size(); ++e) {
    const NamedTensor& like = first.entries[e];
    std::int64_t trials = 0;
    DType dtype = DType::f32;
    for (const Weights& w : networks) {
      if (w.entries.size() != first.entries.size() || w.entries[e].name != like.name)
        throw ShapeError(fmt::format("stack: networks have other tensors than the first, which has '{}'", like.name));
      const Shape& s = w.entries[e].tensor.shape();
      if (s.with(0, 1) != like.tensor.shape().with(0, 1))
        throw ShapeError(fmt::format("stack: '{}' is {} and {}", like.name, like.tensor.shape().str(), s.str()));
      trials += s.trials();
      if (w.entries[e].tensor.dtype() == DType::f64) dtype = DType::f64;
    }
    Tensor t(like.tensor.shape().with(0, trials), dtype);
    std::byte* to = static_cast<std::byte*>(t.view().data);
    for (const Weights& w : networks) {
      const Tensor part = w.entries[e].tensor.to(dtype);
      const std::size_t bytes = static_cast<std::size_t>(part.count()) * kernels::size_of(dtype);
      std::memcpy(to, part.view().data, bytes);
      to += bytes;
    }
    out.entries.push_back({like.name, std::move(t), like.trainable});
  }
  return out;
}

}  // namespace gi::models
