// Kernels chosen by measurement.
#include "engine/exec/tune.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/exec/workspace.h"
#include "tests/engine/compare_tensors.h"
#include "tests/tested_device.h"

using namespace gi;
using Catch::Contains;
using test::bind_all, test::relative_error;

namespace {

std::map<std::string, std::string> kernels_of(const Plan& plan) {
  std::map<std::string, std::string> map;
  for (const Plan::Step& s : plan.iteration()) map.emplace(s.key, s.kernel->name);
  return map;
}

/// y = a b for two trials with one b.
Program product(Graph& g) {
  const Value a = g.state("a", {2, 8, 24}), b = broadcast_to(g.input("b", {1, 24, 16}), {2, 24, 16});
  return Program::freeze(g, {{{"y", matmul(a, b)}}, {{a, scale(a, 0.5)}}});
}

/// Convolutions of small images with many filters, then a product: on every processor several kernels serve the weight gradients of
/// single trials and, by --impl winograd, the 3x3 convolutions of packs.
std::unique_ptr<test::Sample> wide_network(std::int64_t T) {
  auto sample = std::make_unique<test::Sample>();
  Graph& g = sample->graph;
  std::uint64_t seed = 1;
  const auto bound = [&](Value v) {
    sample->bindings.emplace_back(g.node(v.id).name, test::random_tensor(v.shape(), seed++, 0.3));
    return v;
  };
  const Value x = bound(g.state("x", {T, 1, 8, 4, 4}));
  const Value w1 = broadcast_to(bound(g.input("w1", {1, 16, 8, 3, 3})), {T, 16, 8, 3, 3});
  const Value w2 = broadcast_to(bound(g.input("w2", {1, 32, 16, 3, 3})), {T, 32, 16, 3, 3});
  const Value w3 = broadcast_to(bound(g.input("w3", {1, 128, 10})), {T, 128, 10});
  const Value h = sigmoid(conv2d(x, w1, {.pad = 1}));
  const Value y = matmul(reshape(sigmoid(conv2d(h, w2, {.stride = 2, .pad = 1})), {T, 1, 128}), w3);
  const std::vector<Value> dw = grad(dot(y, y), std::array{w1, w2, w3});
  sample->spec = {{{"y", y}, {"dw1", dw[0]}, {"dw2", dw[1]}, {"dw3", dw[2]}}, {{x, scale(x, 0.5)}}};
  return sample;
}

const PlanOptions kByWinograd{.force = {{"winograd", "2"}}};

double now = 0;                                           // the time of a FakeDevice
void (*product_of)(const kernels::Arguments&) = nullptr;  // the emulated kernel that the planted ones start from

float& first_result(const kernels::Arguments& args, std::int64_t trial = 0) {
  return const_cast<kernels::View&>(args.out[0]).as<float>()[trial * args.out[0].count_per_block()];
}

/// The emulated device with planted kernels for matmul, and time that only these take.
class FakeDevice : public test::EmulatedDevice {
 public:
  FakeDevice() {
    for (const kernels::Kernel& k : EmulatedDevice::kernels()) {
      if (std::string_view(k.op) != "matmul" || k.dtype != DType::f32) {
        list_.push_back(k);
        continue;
      }
      if (std::string_view(k.name) != "cuda_tiles") continue;
      product_of = k.run;
      const auto add = [&](const char* name, void (*run)(const kernels::Arguments&), bool on_request = false) {
        list_.push_back(k);
        list_.back().name = name, list_.back().run = run, list_.back().on_request = on_request;
      };
      add("own", [](const auto& args) { product_of(args), now += 1; });
      add("coarse", [](const auto& args) { product_of(args), now += 0.1, first_result(args) += 0.01f; });
      add("fickle", [](const auto& args) {
        static int calls = 0;
        product_of(args), now += 0.2, first_result(args) *= ++calls % 2 == 0 ? 1 + 1.2e-7f : 1;
      });
      add("uneven", [](const auto& args) { product_of(args), now += 0.3, first_result(args, 1) *= 1 + 1.2e-7f; });
      add("idle", [](const auto&) { now += 0.01; });
      add("broken", [](const auto&) { throw std::runtime_error("no such instruction"); });
      add("hardly_faster", [](const auto& args) { product_of(args), now += 0.97; });
      add("slower", [](const auto& args) { product_of(args), now += 2; });
      add("faster", [](const auto& args) { product_of(args), now += 0.6; });
      add(
          "fastest", [](const auto& args) { product_of(args), now += 0.5; }, true);
    }
  }
  std::span<const kernels::Kernel> kernels() const override { return list_; }
  double seconds_of(const std::function<void()>& work) override {
    const double begin = now;
    work();
    return now - begin;
  }
  void retract(std::string_view name) {
    std::erase_if(list_, [&](const kernels::Kernel& k) { return k.name == name; });
  }
  void let_decline(std::string_view name) {
    for (kernels::Kernel& k : list_)
      if (k.name == name) k.declines = [](const kernels::Problem&) { return "not today"; };
  }

 private:
  std::vector<kernels::Kernel> list_;
};

}  // namespace

TEST_CASE("tuning chooses the fastest kernel that is exact, deterministic and clearly faster", "[tune][emulated]") {
  Graph g;
  const Program program = product(g);
  FakeDevice device;
  const Plan plan = Plan::compile(program, {.device = &device});
  const Tuning tuning = tune(plan, &device);
  CHECK(device.held() == 0);
  REQUIRE(std::ranges::count_if(tuning.steps, [](const TunedStep& s) { return s.step.starts_with("matmul "); }) == 1);
  const auto step = std::ranges::find_if(tuning.steps, [](const TunedStep& s) { return s.step.starts_with("matmul "); });
  CHECK(step->step == "matmul f32 x1 (8 16 24 0 0 1) [2,8,24] [2,24,16] shared -> [2,8,16]");
  CHECK(step->calls == 1);
  CHECK(step->own.kernel == "own");
  CHECK(step->own.seconds == Approx(1));
  CHECK(step->chosen.kernel == "fastest");
  CHECK(step->chosen.seconds == Approx(0.5));
  CHECK(step->tolerance == Approx(6e-8 * std::sqrt(24.0)));
  std::map<std::string, std::string> refused;
  for (const TunedKernel& k : step->candidates) refused[k.kernel] = k.refused;
  CHECK(refused.size() == 10);
  CHECK_THAT(refused.at("coarse"), Contains("error ") && Contains(" above "));
  CHECK(refused.at("fickle") == "two runs have different bits");
  CHECK(refused.at("uneven") == "trials of equal operands have different bits");
  CHECK_THAT(refused.at("idle"), Contains("error inf"));
  CHECK(refused.at("broken") == "no such instruction");
  for (const char* able : {"own", "hardly_faster", "slower", "faster", "fastest"}) CHECK(refused.at(able).empty());

  const Plan tuned = Plan::compile(program, {.device = &device, .choices = tuning.choices()});
  CHECK(kernels_of(tuned).at(step->step) == "fastest");
  CHECK(tuned.hash() != plan.hash());
  CHECK(kernels_of(Plan::compile(program, {.device = &device, .force = {{"matmul", "slower"}}, .choices = tuning.choices()}))
            .at(step->step) == "slower");

  for (const char* name : {"fastest", "faster"}) device.retract(name);
  const Tuning again = tune(Plan::compile(program, {.device = &device}), &device);
  CHECK(again.choices().at(step->step) == "own");  // hardly_faster is within the margin
}

TEST_CASE("a chosen kernel that cannot serve is an error that names the step", "[tune][emulated]") {
  Graph g;
  const Program program = product(g);
  FakeDevice device;
  const std::string step = "matmul f32 x1 (8 16 24 0 0 1) [2,8,24] [2,24,16] shared -> [2,8,16]";
  const auto compile = [&](const std::string& kernel) {
    return Plan::compile(program, {.device = &device, .choices = {{step, kernel}, {"a step of another program", "own"}}});
  };
  CHECK(kernels_of(compile("slower")).at(step) == "slower");
  CHECK_THROWS_AS(compile("cudnn"), UsageError);
  CHECK_THROWS_WITH(compile("cudnn"), Contains(step) && Contains("cudnn: there is no such kernel") && Contains("tune again"));
  device.let_decline("slower");
  CHECK_THROWS_WITH(compile("slower"), Contains(step) && Contains("slower: not today") && Contains("tune again"));
}

TEST_CASE("the choice of what a Plan has already changes nothing of it", "[tune]") {
  for (const std::int64_t trials : {std::int64_t{1}, kernels::pack_lanes(kernels::best_isa())}) {
    const auto sample = test::small_attack({.trials = trials});
    const Program program = sample->program();
    const Plan plan = Plan::compile(program);
    CHECK(Plan::compile(program, {.choices = kernels_of(plan)}).hash() == plan.hash());
  }
}

TEST_CASE("tuning on the CPU gives a Plan of the kernels it chose", "[tune]") {
  for (const std::int64_t trials : {std::int64_t{1}, kernels::pack_lanes(kernels::best_isa())}) {
    const auto sample = wide_network(trials);
    const Program program = sample->program();
    PlanOptions options = trials > 1 ? kByWinograd : PlanOptions{};
    const Plan plan = Plan::compile(program, options);
    std::size_t announced = 0;
    const Tuning tuning =
        tune(plan, nullptr, {.progress = [&](std::size_t done, std::size_t, const std::string&) { CHECK(done == announced++); }});
    CHECK(announced == tuning.steps.size());
    CHECK(tuning.left.empty());
    // Products of bf16, on processors that have them, are candidates too, and refused.
    const auto rounds = [](const TunedKernel& k) { return std::string_view(k.kernel).ends_with("_bf16x3"); };
    CHECK(std::ranges::count_if(tuning.steps, [&](const TunedStep& s) {
            return std::ranges::count_if(s.candidates, std::not_fn(rounds)) > 1;
          }) == (trials == 1 ? 2 : 1));
    for (const TunedStep& s : tuning.steps)
      for (const TunedKernel& k : s.candidates) CHECK((!rounds(k) || !k.refused.empty()));
    const auto own = kernels_of(plan);
    for (const TunedStep& s : tuning.steps) {
      CAPTURE(s.step);
      CHECK(s.candidates.size() >= 2);
      CHECK(s.own.kernel == own.at(s.step));
      CHECK(s.own.error <= 2 * s.tolerance);  // of Winograd's transforms, a class of its own
      CHECK(s.chosen.seconds <= s.own.seconds);
      CHECK(s.chosen.seconds > 0);
      CHECK(s.calls > 0);
    }
    // Whatever the clock said: every kernel that passed, chosen in turn, is the one that runs, and computes the same.
    for (const bool last : {false, true}) {
      auto choices = tuning.choices();
      for (const TunedStep& s : tuning.steps)
        for (const TunedKernel& k : s.candidates)
          if (k.refused.empty() && (last || k.kernel != s.own.kernel)) choices[s.step] = k.kernel;
      options.choices = choices;
      const Plan chosen = Plan::compile(program, options);
      auto expected = own;
      for (const auto& [step, kernel] : choices) expected.at(step) = kernel;
      CHECK(kernels_of(chosen) == expected);
      CHECK((chosen.hash() == plan.hash()) == (expected == own));
      Workspace a(plan), b(chosen);
      bind_all(a, *sample), bind_all(b, *sample);
      a.run(), b.run();
      for (const char* name : {"y", "dw1", "dw2", "dw3"}) CHECK(relative_error(b.get(name), a.get(name)) <= 2e-6);
    }
  }
}

TEST_CASE("tuning on a device chooses among its kernels", "[tune][emulated][gpu]") {
  const auto sample = test::small_attack({.trials = 2, .images = 1});
  const Program program = sample->program();
  test::TestedDevice device;
  const Plan plan = Plan::compile(program, {.device = &device});
  const Tuning tuning = tune(plan, &device);
  CHECK_FALSE(tuning.steps.empty());
  for (const TunedStep& s : tuning.steps) {
    CAPTURE(s.step, s.own.kernel, s.own.error, s.tolerance, s.own.refused);
    CHECK(s.own.error <= 3 * s.tolerance);  // a few numbers may happen to cancel
    for (const TunedKernel& k : s.candidates)
      if (std::string_view(k.kernel).ends_with("_tf32")) CHECK_FALSE(k.refused.empty());
  }
  const auto kernels = kernels_of(Plan::compile(program, {.device = &device, .choices = tuning.choices()}));
  for (const TunedStep& s : tuning.steps) CHECK(kernels.at(s.step) == s.chosen.kernel);
  CHECK(device.held == 0);
}

TEST_CASE("tuning ends in time and says what it left", "[tune]") {
  const auto sample = wide_network(1);
  const Plan plan = Plan::compile(sample->program());
  const std::size_t all = tune(plan, nullptr).steps.size();
  REQUIRE(all > 1);
  const Tuning little = tune(plan, nullptr, {.seconds = 1e-9});
  CHECK(little.steps.empty());
  CHECK(little.left.size() == all);
  std::atomic<bool> stop{false};
  const Tuning stopped =
      tune(plan, nullptr, {.progress = [&](std::size_t, std::size_t, const std::string&) { stop = true; }, .stop = &stop});
  CHECK(stopped.steps.size() == 1);
  CHECK(stopped.left.size() == all - 1);
  CHECK(tune(Plan::compile(sample->program(), {.force = {{"conv2d_grad_weight", "channel_lanes_direct"}}}), nullptr).steps.size() <
        all);
  test::EmulatedDevice device;
  CHECK_THROWS_WITH(tune(plan, &device), "tune: the plan is for another device");
}
