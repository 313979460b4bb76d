#include "inversion/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace gi::inversion {

Shape Problem::candidates(std::int64_t trials) const {
  return {trials, images, model.image.channels, model.image.height, model.image.width};
}

Tensor one_hot(std::span<const std::int64_t> labels, std::int64_t classes) {
  Tensor t({1, static_cast<std::int64_t>(labels.size()), classes}, DType::f64);
  const auto rows = t.as<double>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes)
      throw UsageError(fmt::format("labels: expected classes from 0 to {}, got {}", classes - 1, labels[i]));
    rows[i * classes + labels[i]] = 1;
  }
  return t;
}

namespace {

template <class Convert>
std::vector<double> by_channel(std::span<const double> values, const Problem& problem, Convert convert) {
  const auto channels = static_cast<std::size_t>(problem.model.image.channels);
  const auto plane = static_cast<std::size_t>(problem.model.image.height * problem.model.image.width);
  if (problem.mean.size() != channels || problem.std.size() != channels)
    throw UsageError(fmt::format("normalization: {} means and {} deviations for {} channels", problem.mean.size(),
                                 problem.std.size(), channels));
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = i / plane % channels;
    out[i] = convert(values[i], problem.mean[c], problem.std[c]);
  }
  return out;
}

}  // namespace

std::vector<double> normalised(std::span<const double> pixels, const Problem& problem) {
  return by_channel(pixels, problem, [](double v, double mean, double std) { return (v - mean) / std; });
}

std::vector<double> pixels(std::span<const double> normalised, const Problem& problem) {
  return by_channel(normalised, problem, [](double v, double mean, double std) { return std::clamp(v * std + mean, 0.0, 1.0); });
}

void check_gradient(std::span<const Tensor> gradient, std::span<const std::string> names, const std::string& what) {
  bool zero = true;
  for (std::size_t i = 0; i < gradient.size(); ++i)
    for (std::int64_t e = 0; e < gradient[i].count(); ++e) {
      const double value = gradient[i].at(e);
      if (!std::isfinite(value)) throw Error(fmt::format("{}: '{}' holds {} at element {}", what, names[i], value, e));
      zero = zero && value == 0;
    }
  if (zero)
    throw Error(
        fmt::format("{}: every element is zero\n  hint: an over-confident network can have a gradient below f32's range; "
                    "a message of zeros tells nothing",
                    what));
}

}  // namespace gi::inversion
