// A Profile counts what a Workspace runs, and changes nothing.
#include "engine/exec/profile.h"

#include <catch2/catch.hpp>

#include "engine/exec/workspace.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "tests/engine/sample_programs.h"

using namespace gi;

TEST_CASE("a profile counts every step, and the result keeps its bits", "[plan]") {
  constexpr int kRuns = 3;
  const auto sample = test::small_attack({.trials = 1, .training_mode = true});
  const Plan plan = Plan::compile(sample->program(), {});
  Workspace timed(plan), plain(plan);
  Profile profile(plan);
  timed.attach(&profile);
  for (Workspace* work : {&timed, &plain}) {
    for (const auto& [name, value] : sample->bindings) work->set(name, value);
    for (int i = 0; i < kRuns; ++i) work->run();
  }
  for (const char* name : {"match", "dx", "x", "m"}) CHECK(timed.get(name).to_doubles() == plain.get(name).to_doubles());

  REQUIRE(profile.setup().size() == plan.setup().size());
  REQUIRE(profile.iteration().size() == plan.iteration().size());
  REQUIRE(plan.setup().size() > 0);
  double sum = 0;
  const auto check = [&](const Profile::Total& t, std::int64_t calls) {
    CHECK(t.calls == calls);
    CHECK(t.best > 0);
    CHECK(t.best * static_cast<double>(calls) <= t.seconds * (1 + 1e-12));
    sum += t.seconds;
  };
  for (const Profile::Total& t : profile.setup()) check(t, 1);
  for (const Profile::Total& t : profile.iteration()) check(t, kRuns);
  CHECK(profile.runs().calls == kRuns);
  CHECK(sum <= profile.runs().seconds);

  timed.attach(nullptr);
  timed.run();
  CHECK(profile.runs().calls == kRuns);
}

TEST_CASE("a profile keeps the last two runs, steps in order and within their run", "[plan]") {
  const auto sample = test::small_attack({.trials = 1});
  const Plan plan = Plan::compile(sample->program(), {});
  Workspace work(plan);
  Profile profile(plan);
  work.attach(&profile);
  for (const auto& [name, value] : sample->bindings) work.set(name, value);
  CHECK(profile.events().empty());
  work.run();
  CHECK(profile.events().size() == plan.setup().size() + plan.iteration().size() + 1);
  for (int i = 0; i < 3; ++i) {
    work.run();
    const std::vector<Profile::Event> events = profile.events();
    const std::size_t steps = plan.iteration().size(), first = i == 0 ? plan.setup().size() : 0;
    REQUIRE(events.size() == first + 2 * (steps + 1));
    Profile::Clock::time_point at = Profile::Clock::time_point::min();
    for (std::size_t run = 0; run < 2; ++run) {
      const Profile::Event& whole = events[first + run * (steps + 1) + steps];
      CHECK(whole.step == nullptr);
      CHECK(whole.begin >= at);
      at = whole.begin;
      for (std::size_t s = 0; s < steps; ++s) {
        const Profile::Event& e = events[first + run * (steps + 1) + s];
        CHECK(e.step == &plan.iteration()[s]);
        CHECK(e.begin >= at);
        at = e.end;
      }
      CHECK(whole.end >= at);
      at = whole.end;
    }
  }
}

TEST_CASE("a step's bytes: operands once, broadcasts unrepeated, packs whole", "[unit]") {
  const std::int64_t pack = kernels::pack_lanes(kernels::best_isa());
  const auto bytes = [&](std::int64_t trials, DType dtype) {
    Graph g;
    const Shape s{trials, 4, 8};
    const Value x = g.input("x", s), row = g.input("row", {trials, 1, 8});
    const Plan plan = Plan::compile(Program::freeze(g, {{{"y", mul(mul(x, x), broadcast_to(row, s))}}, {}}), {.dtype = dtype});
    REQUIRE(plan.setup().empty());
    REQUIRE(plan.iteration().size() == 1);
    const Plan::Step& step = plan.iteration()[0];
    // Two multiplications a number, where memory does not matter; and where it gives a byte a second.
    const double flops = 2 * static_cast<double>(trials) * 32;
    CHECK(least_seconds({.gflops = {1, 2}, .read_gbs = {0, 0, 0, 1e9}}, step) == Approx(flops / (dtype == DType::f32 ? 1e9 : 2e9)));
    CHECK(least_seconds({.gflops = {1, 2}, .read_gbs = {0, 0, 0, 1e-9}}, step) == Approx(step_bytes(step)));
    return step_bytes(step);
  };
  CHECK(bytes(1, DType::f32) == 4 * (32 + 8 + 32));
  CHECK(bytes(1, DType::f64) == 8 * (32 + 8 + 32));
  CHECK(bytes(pack, DType::f32) == static_cast<double>(pack) * 4 * (32 + 8 + 32));
}
