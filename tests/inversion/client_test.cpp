#include "inversion/client.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/inversion/small_problem.h"

using namespace gi;
using namespace gi::inversion;

namespace {

/// Largest relative disagreement of the gradient with central differences of the loss, over a few elements of every tensor.
double worst_difference(const models::Model& model, models::Mode mode, std::int64_t images) {
  Problem p;
  p.model = model;
  p.images = images;
  p.mean = p.std = {0.5, 0.5, 0.5};
  std::vector<double> pixels;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < images; ++i) {
    const std::vector<double> one = test::smooth_picture(model.image.height, i);
    pixels.insert(pixels.end(), one.begin(), one.end());
    labels.push_back(i + 1);
  }
  const Tensor x = Tensor::from(p.candidates(1), normalised(pixels, p));
  models::Weights weights = models::initialise(model, 3);
  for (auto& e : weights.entries) e.tensor = e.tensor.to(DType::f64);
  Client client(model, mode, images, DType::f64);
  const auto message = client.answer(weights, x, labels);
  double size = 0, worst = 0;
  for (const Tensor& t : message.gradient)
    for (const double v : t.to_doubles()) size = std::max(size, std::abs(v));
  std::size_t parameter = 0;
  for (auto& e : weights.entries) {
    if (!e.trainable) continue;
    const Tensor& gradient = message.gradient[parameter++];
    const auto values = e.tensor.as<double>();
    for (const std::size_t i : {std::size_t{0}, values.size() / 2, values.size() - 1}) {
      constexpr double kStep = 1e-5;
      const double old = values[i];
      values[i] = old + kStep;
      const double up = client.answer(weights, x, labels).loss;
      values[i] = old - kStep;
      const double down = client.answer(weights, x, labels).loss;
      values[i] = old;
      worst = std::max(worst, std::abs((up - down) / (2 * kStep) - gradient.at(static_cast<std::int64_t>(i))) / size);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("the client's gradient is the slope of its loss", "[grad]") {
  const models::ImageShape image{3, 16, 16};
  CHECK(worst_difference(models::find_model("lenetzhu", {.image = image, .classes = {}}), models::Mode::eval, 1) < 1e-8);
  CHECK(worst_difference(models::find_model("lenetzhu", {.image = image, .classes = {}}), models::Mode::eval, 3) < 1e-8);
}

TEST_CASE("one Client answers for any weights", "[unit]") {
  const Problem p = test::small_problem();
  const Tensor x = Tensor::from(p.candidates(1), normalised(test::smooth_picture(16, 0), p));
  const std::array<std::int64_t, 1> label{0};
  Client client(p.model, models::Mode::eval, 1, DType::f32);
  const models::Weights other = models::initialise(p.model, 99);
  const auto first = client.answer(p.networks[0], x, label);
  const auto second = client.answer(other, x, label);
  const auto again = client.answer(p.networks[0], x, label);
  CHECK(first.loss != second.loss);
  CHECK(first.loss == again.loss);
  for (std::size_t i = 0; i < first.gradient.size(); ++i) CHECK(first.gradient[i].to_doubles() == again.gradient[i].to_doubles());
  Client fresh(p.model, models::Mode::eval, 1, DType::f32);
  CHECK(fresh.answer(other, x, label).gradient[0].to_doubles() == second.gradient[0].to_doubles());
}
