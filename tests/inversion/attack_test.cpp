#include "inversion/attack.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/core/error.h"
#include "engine/exec/interpreter.h"
#include "engine/exec/workspace.h"
#include "inversion/evaluate.h"
#include "inversion/metrics.h"
#include "tests/inversion/small_problem.h"

using namespace gi;
using namespace gi::inversion;

namespace {

template <class Machine>
void bind_all(Machine& machine, const Problem& p, const AttackOptions& o, std::span<const TrialId> ids) {
  bind_attack_inputs(p, o, ids, [&](const std::string& name, const Tensor& value) { machine.set(name, value); });
  for (const auto& [name, value] : attack_start(p, o, ids)) machine.set(name, value);
}

double sign_of(double v) { return v > 0 ? 1 : v < 0 ? -1 : 0; }

/// The attack written out with textbook Adam around evaluate(): another way to the same numbers.
std::vector<double> by_hand(const Problem& p, const AttackOptions& o, int iterations) {
  std::vector<double> x = attack_start(p, o, std::array{TrialId{}}).front().second.to_doubles();
  std::vector<double> m(x.size()), v(x.size());
  const std::size_t plane = x.size() / 3;
  double lr = o.learning_rate;
  const std::array<double, 3> falls{std::floor(o.steps / 2.667), std::floor(o.steps / 1.6), std::floor(o.steps / 1.142)};
  for (int it = 0; it < iterations; ++it) {
    const Evaluation e = evaluate(p, Tensor::from(p.candidates(1), x));
    if (o.decay && (it == falls[0] || it == falls[1] || it == falls[2])) lr *= 0.1;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double d = e.d_cosine_distance_d_x.at(i) + o.tv * e.d_total_variation_d_x.at(i);
      const double g = o.sign ? sign_of(d) : d;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double mhat = m[i] / (1 - std::pow(0.9, it + 1)), vhat = v[i] / (1 - std::pow(0.999, it + 1));
      x[i] -= lr * mhat / (std::sqrt(vhat) + 1e-8);
      const double mean = p.mean[i / plane], std = p.std[i / plane];
      if (o.box) x[i] = std::min(std::max(x[i], -mean / std), (1 - mean) / std);
    }
  }
  return x;
}

}  // namespace

TEST_CASE("the learning rate falls where the paper's program lets it fall", "[unit]") {
  CHECK(decay_milestones(4800) == std::array<std::int64_t, 3>{1799, 3000, 4203});
  CHECK(decay_milestones(24000) == std::array<std::int64_t, 3>{8998, 15000, 21015});
  CHECK(decay_milestones(8) == std::array<std::int64_t, 3>{2, 5, 7});
}

TEST_CASE("an iteration is the gradient of cost + TV, sign, Adam, learning rate, box, in this order", "[unit]") {
  const Problem p = test::small_problem();
  AttackOptions o{.steps = 8, .learning_rate = 0.3, .tv = 0.05, .seed = 5};
  SECTION("as published") {}
  SECTION("without sign") { o.sign = false; }
  SECTION("without box") { o.box = false; }
  SECTION("without decay") { o.decay = false; }
  const Program program = attack_program(p, o, 1);
  const Plan plan = Plan::compile(program, {.dtype = DType::f64});
  Workspace work(plan);
  const std::array ids{TrialId{}};
  bind_all(work, p, o, ids);
  for (int i = 0; i < 8; ++i) work.run();
  const std::vector<double> x = work.get("x").to_doubles(), expected = by_hand(p, o, 8);
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - expected[i]));
  CHECK(largest < 1e-9);  // without sign Adam divides by gradients of 1e-5 and magnifies their last bits
  CHECK(work.get("step").at(0) == 8);
}

TEST_CASE("the Plan of the attack is the Interpreter's attack", "[plan]") {
  for (const int victims : {1, 3}) {
    const Problem p = test::small_problem(victims, victims > 1);
    const AttackOptions o{.steps = 8};
    const std::vector<TrialId> ids =
        victims == 1 ? std::vector<TrialId>{{0, 0}, {0, 1}, {0, 2}} : std::vector<TrialId>{{0, 0}, {1, 0}, {2, 0}};
    const Program program = attack_program(p, o, 3);
    const Plan plan = Plan::compile(program, {.dtype = DType::f64});
    Workspace work(plan);
    Interpreter oracle(program);
    bind_all(work, p, o, ids);
    bind_all(oracle, p, o, ids);
    for (int i = 0; i < 2; ++i) {
      work.run();
      oracle.run();
      for (std::int64_t t = 0; t < 3; ++t) {
        CHECK(std::abs(work.get("cost").at(t) - oracle.get("cost").at(t)) < 1e-12);
        CHECK(std::abs(work.get("tv_of_x").at(t) - oracle.get("tv_of_x").at(t)) < 1e-12);
      }
    }
  }
}

TEST_CASE("a batch's images as trials are the same attack", "[plan]") {
  constexpr std::int64_t kImages = 16;  // whole packs of every instruction set
  for (const bool own_networks : {false, true}) {
    const Problem p = test::small_problem(own_networks ? 2 : 1, own_networks, 16, "lenetzhu", kImages);
    AttackOptions o{.steps = 8};
    const std::array ids{TrialId{own_networks ? 1 : 0, 2}};
    const Plan plain = Plan::compile(attack_program(p, o, 1), {.dtype = DType::f64});
    Workspace expected(plain);
    bind_all(expected, p, o, ids);
    for (int i = 0; i < 4; ++i) expected.run();

    o.images_as_trials = true;
    const Program program = attack_program(p, o, 1);
    CHECK(program.trials() == kImages);
    for (int isa = 0; isa <= static_cast<int>(kernels::best_isa()); ++isa)
      for (const std::int64_t lanes : {std::int64_t{1}, kernels::pack_lanes(static_cast<kernels::Isa>(isa))}) {
        CAPTURE(own_networks, isa, lanes);
        const Plan plan = Plan::compile(program, {.dtype = DType::f64, .isa = static_cast<kernels::Isa>(isa), .lanes = lanes});
        Workspace work(plan);
        bind_all(work, p, o, ids);
        for (int i = 0; i < 4; ++i) work.run();
        for (const char* name : {"cost", "tv_of_x", "loss"}) {
          REQUIRE(work.get(name).count() == 1);
          CHECK(work.get(name).at(0) == Approx(expected.get(name).at(0)).epsilon(1e-10));
        }
        const std::vector<double> a = work.get("x").to_doubles(), b = expected.get("x").to_doubles();
        REQUIRE(a.size() == b.size());
        double largest = 0;
        for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
        CHECK(largest < 1e-9);
      }
  }
}

TEST_CASE("only the images of one trial are trials, and where nothing but sums joins them", "[unit]") {
  const AttackOptions o{.images_as_trials = true};
  for (const char* model : {"lenetzhu", "resnet20"}) {
    Problem p = test::small_problem(1, false, 16, model, 2);
    CHECK_NOTHROW(attack_program(p, o, 1));
    CHECK_THROWS_AS(attack_program(p, o, 2), UsageError);
    p.mode = models::Mode::train;
    CHECK(images_meet_in_sums(p) == (p.model.name == "lenetzhu"));  // has no batch normalisation
    if (p.model.name == "lenetzhu") CHECK_NOTHROW(attack_program(p, o, 1));
    else CHECK_THROWS_AS(attack_program(p, o, 1), UsageError);
  }
}

TEST_CASE("a trial starts from seed, victim and restart alone", "[unit]") {
  const Problem p = test::small_problem();
  const AttackOptions o{.restarts = 9, .seed = 3};
  const std::vector<TrialId> ids{{0, 4}, {1, 0}, {0, 1}};
  const Tensor together = std::move(attack_start(p, o, ids).front().second);
  const std::int64_t n = together.shape().count_per_trial();
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const Tensor alone = std::move(attack_start(p, o, std::span(&ids[t], 1)).front().second);
    bool equal = true;
    for (std::int64_t i = 0; i < n; ++i) equal &= together.at(static_cast<std::int64_t>(t) * n + i) == alone.at(i);
    CHECK(equal);
  }
  double mean = 0, square = 0;
  for (const double v : together.to_doubles()) mean += v, square += v * v;
  mean /= static_cast<double>(together.count());
  square /= static_cast<double>(together.count());
  CHECK(std::abs(mean) < 0.1);  // 2304 numbers of N(0,1): five deviations
  CHECK(std::abs(square - 1) < 0.15);
  AttackOptions other = o;
  other.seed = 4;
  CHECK(attack_start(p, other, ids).front().second.at(0) != together.at(0));
  CHECK(together.at(0) != together.at(n));
}

TEST_CASE("labels out of range and gradients that tell nothing are refused", "[unit]") {
  CHECK_THROWS_WITH(one_hot(std::array<std::int64_t, 2>{3, 10}, 10), "labels: expected classes from 0 to 9, got 10");
  const Tensor hot = one_hot(std::array<std::int64_t, 2>{2, 0}, 3);
  CHECK(hot.to_doubles() == std::vector<double>{0, 0, 1, 1, 0, 0});

  const std::vector<std::string> names{"a", "b"};
  std::vector<Tensor> gradient;
  gradient.push_back(Tensor({1, 2}, DType::f32));
  gradient.push_back(Tensor({1, 2}, DType::f32));
  CHECK_THROWS_WITH(check_gradient(gradient, names, "g"), Catch::Contains("g: every element is zero"));
  gradient[1].as<float>()[1] = std::nanf("");
  CHECK_THROWS_WITH(check_gradient(gradient, names, "g"), "g: 'b' holds nan at element 1");
  gradient[1].as<float>()[1] = 1e-30f;
  CHECK_NOTHROW(check_gradient(gradient, names, "g"));
}

TEST_CASE("pixels and normalised values are each other's inverse", "[unit]") {
  Problem p = test::small_problem();
  const std::vector<double> pixels = test::smooth_picture(16, 0), x = normalised(pixels, p);
  CHECK(x[0] == Approx((pixels[0] - p.mean[0]) / p.std[0]));
  CHECK(x[700] == Approx((pixels[700] - p.mean[2]) / p.std[2]));
  const std::vector<double> back = inversion::pixels(x, p);
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(std::abs(back[i] - pixels[i]) < 1e-15);
  CHECK(inversion::pixels(std::vector<double>(768, 100.0), p)[5] == 1);
  CHECK(inversion::pixels(std::vector<double>(768, -100.0), p)[5] == 0);
}
