#include "models/weights.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "models/zoo.h"

using namespace gi;
using namespace gi::models;

namespace {

bool equal(std::span<const float> a, std::span<const float> b) { return std::ranges::equal(a, b); }

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};
Moments moments(const Tensor& t) {
  Moments m;
  for (const double v : t.to_doubles()) m.mean += v, m.deviation += v * v, m.largest = std::max(m.largest, std::abs(v));
  m.mean /= t.count();
  m.deviation = std::sqrt(m.deviation / t.count() - m.mean * m.mean);
  return m;
}

}  // namespace

TEST_CASE("weights come from the seed alone", "[unit]") {
  const Model m = find_model("resnet20");
  const Weights a = initialise(m, 1), b = initialise(m, 1), c = initialise(m, 2);
  REQUIRE(a.entries.size() == m.tensors.size());
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    CAPTURE(a.entries[i].name);
    CHECK(a.entries[i].name == m.tensors[i].name);
    CHECK(a.entries[i].trainable == m.tensors[i].trainable);
    CHECK(a.entries[i].tensor.shape() == m.tensors[i].shape);
    CHECK(equal(a.entries[i].tensor.as<float>(), b.entries[i].tensor.as<float>()));
  }
  CHECK_FALSE(equal(a.at("conv1.weight").as<float>(), c.at("conv1.weight").as<float>()));
  CHECK_FALSE(equal(a.at("layers.0.0.conv1.weight").as<float>(), a.at("layers.0.0.conv2.weight").as<float>()));
  CHECK_THROWS_AS(a.at("conv2.weight"), UsageError);
}

TEST_CASE("initialisers have their distributions", "[unit]") {
  SECTION("ResNet: Kaiming-normal fan-out, BN as the identity, linear U(+-1/sqrt(fan_in))") {
    const Weights w = initialise(find_model("resnet20-4"), 3);
    const Moments conv = moments(w.at("layers.1.0.conv1.weight"));  // 128 x 64 x 3 x 3
    const double deviation = std::sqrt(2.0 / (128 * 9));
    CHECK(conv.deviation == Approx(deviation).epsilon(4 / std::sqrt(2.0 * 128 * 64 * 9)));
    CHECK(std::abs(conv.mean) < 4 * deviation / std::sqrt(128.0 * 64 * 9));
    CHECK(conv.largest > 3.5 * deviation);
    for (const float v : w.at("bn1.weight").as<float>()) CHECK(v == 1);
    for (const float v : w.at("bn1.bias").as<float>()) CHECK(v == 0);
    for (const float v : w.at("bn1.running_mean").as<float>()) CHECK(v == 0);
    for (const float v : w.at("bn1.running_var").as<float>()) CHECK(v == 1);
    const Moments fc = moments(w.at("fc.weight"));
    CHECK(fc.largest <= 1 / std::sqrt(256.0));
    CHECK(fc.largest > 0.99 / std::sqrt(256.0));
    CHECK(moments(w.at("fc.bias")).largest <= 1 / std::sqrt(256.0));
  }
  SECTION("ConvNet: U(+-1/sqrt(fan_in)) for weights and biases") {
    const Weights w = initialise(find_model("convnet"), 3);
    const Moments conv = moments(w.at("model.conv1.weight"));
    const double bound = 1 / std::sqrt(64.0 * 9);
    CHECK(conv.largest <= bound);
    CHECK(conv.deviation == Approx(bound / std::sqrt(3.0)).epsilon(0.01));
    const Moments bias = moments(w.at("model.conv1.bias"));
    CHECK(bias.largest <= bound);
    CHECK(bias.largest > 0.9 * bound);
  }
  SECTION("LeNetZhu: U(-.5,.5) throughout") {
    const Weights w = initialise(find_model("lenetzhu"), 3);
    for (const NamedTensor& e : w.entries) {
      CAPTURE(e.name);
      CHECK(moments(e.tensor).largest <= 0.5);
      CHECK(moments(e.tensor).largest > 0.35);
    }
    CHECK(moments(w.at("fc.0.weight")).deviation == Approx(0.5 / std::sqrt(3.0)).epsilon(0.02));
  }
}

TEST_CASE("networks stand side by side along the trial axis", "[unit]") {
  const Model m = find_model("lenetzhu");
  const std::vector<std::uint64_t> seeds{5, 9};
  const Weights both = initialise(m, seeds);
  CHECK(both.trials() == 2);
  std::vector<Weights> single;
  for (const auto seed : seeds) single.push_back(initialise(m, seed));
  const Weights stacked = stack(single);
  for (std::size_t i = 0; i < both.entries.size(); ++i) {
    CHECK(both.entries[i].tensor.shape() == m.tensors[i].shape.with(0, 2));
    CHECK(equal(both.entries[i].tensor.as<float>(), stacked.entries[i].tensor.as<float>()));
    CHECK(equal(both.entries[i].tensor.as<float>().subspan(m.tensors[i].shape.count()), single[1].entries[i].tensor.as<float>()));
  }
}

TEST_CASE("what cannot be stacked is refused", "[unit]") {
  std::vector<Weights> networks;
  CHECK_THROWS_AS(stack(networks), UsageError);
  networks.push_back(initialise(find_model("lenetzhu"), 1));
  networks.push_back(initialise(find_model("lenetzhu", {.classes = 5}), 1));
  CHECK_THROWS_WITH(stack(networks), Catch::Contains("'fc.0.weight' is [1,10,768] and [1,5,768]"));
  networks[1] = initialise(find_model("twolp"), 1);
  CHECK_THROWS_AS(stack(networks), ShapeError);
}

TEST_CASE("a stack keeps f64 when one network has it", "[unit]") {
  std::vector<Weights> networks;
  networks.push_back(initialise(find_model("lenetzhu"), 1));
  networks.push_back(networks[0].clone());
  for (NamedTensor& e : networks[1].entries) e.tensor = e.tensor.to(DType::f64);
  const Weights s = stack(networks);
  CHECK(s.entries[0].tensor.dtype() == DType::f64);
  CHECK(s.entries[0].tensor.at(3) == networks[0].entries[0].tensor.at(3));
  CHECK(s.entries[0].tensor.at(900 + 3) == networks[0].entries[0].tensor.at(3));
}
