#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/core/tensor.h"
#include "tests/engine/sample_programs.h"

namespace gi::test {

/// |a - b| / |b|, 2-norms.
inline double relative_error(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double difference = 0, size = 0;
  for (std::int64_t i = 0; i < a.count(); ++i) {
    difference += std::pow(a.at(i) - b.at(i), 2);
    size += std::pow(b.at(i), 2);
  }
  return std::sqrt(difference / std::max(size, 1e-300));
}

template <class Runner>
void bind_all(Runner& run, const Sample& sample) {
  for (const auto& [name, value] : sample.bindings) run.set(name, value);
}

}  // namespace gi::test
