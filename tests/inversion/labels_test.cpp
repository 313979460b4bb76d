#include "inversion/labels.h"

#include <catch2/catch.hpp>
#include <set>

#include "engine/core/error.h"
#include "tests/inversion/small_problem.h"

using namespace gi;
using namespace gi::inversion;

TEST_CASE("the label of one image is read off the last layer's gradient", "[unit]") {
  for (int v = 0; v < 10; ++v) {  // LeNetZhu has sigmoid features, ResNet20 pooled ReLU features
    const Problem p = test::small_problem(v + 1);
    CHECK(recover_label(p.model, p.victims[v].gradient) == v);
  }
  Problem p;
  p.model = models::find_model("resnet20", {.image = models::ImageShape{3, 16, 16}, .classes = {}});
  const models::Weights weights = models::initialise(p.model, 1);
  p.mean = p.std = {0.5, 0.5, 0.5};
  Client client(p.model, models::Mode::eval, 1, DType::f32);
  const std::vector<double> x = normalised(test::smooth_picture(16, 2), p);
  for (const std::int64_t label : {0, 4, 9})
    CHECK(recover_label(p.model, client.answer(weights, Tensor::from(p.candidates(1), x), std::array{label}).gradient) == label);
}

TEST_CASE("drawn labels depend on seed and image, and every class comes up", "[unit]") {
  std::set<std::int64_t> seen;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::int64_t label = draw_label(1, i, 10);
    CHECK((label >= 0 && label < 10));
    CHECK(label == draw_label(1, i, 10));
    seen.insert(label);
  }
  CHECK(seen.size() == 10);
}
