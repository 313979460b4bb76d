// Plans for a device.
#include <catch2/catch.hpp>
#include <vector>

#include "engine/core/error.h"
#include "engine/exec/interpreter.h"
#include "engine/exec/workspace.h"
#include "tests/engine/compare_tensors.h"
#include "tests/tested_device.h"

using namespace gi;
using test::bind_all, test::relative_error;

namespace {

/// The device with one kernel exchanged.
class SpoiltDevice : public test::TestedDevice {
 public:
  SpoiltDevice(std::string_view op, void (*run)(const kernels::Arguments&)) {
    for (kernels::Kernel k : TestedDevice::kernels()) {
      if (k.op == op) k.run = run;
      list_.push_back(k);
    }
  }
  std::span<const kernels::Kernel> kernels() const override { return list_; }

 private:
  std::vector<kernels::Kernel> list_;
};

}  // namespace

TEST_CASE("a Plan for a device computes what the Interpreter does", "[plan][emulated][gpu]") {
  for (const std::int64_t trials : {std::int64_t{1}, std::int64_t{3}})
    for (const bool training : {true, false})
      for (const bool shared_weights : {true, false}) {
        const auto sample = test::small_attack({.trials = trials, .shared_weights = shared_weights, .training_mode = training});
        const Program program = sample->program();
        Interpreter oracle(program);
        test::TestedDevice device;
        const Plan plan = Plan::compile(program, {.dtype = DType::f64, .device = &device});
        Workspace work(plan, device);
        bind_all(oracle, *sample);
        bind_all(work, *sample);
        // The first run is plain, the second is recorded, and from then on that is replayed.
        for (int run = 0; run < 3; ++run) {
          oracle.run();
          work.run();
          CAPTURE(trials, training, shared_weights, run);
          for (const char* name : {"loss", "logits", "match", "tv", "dx", "x", "m", "it"})
            CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
        }
        CHECK(device.recordings == 1);
        CHECK(device.replays == 2);
      }
}

TEST_CASE("a Plan for a device in f32 keeps the precision class", "[plan][emulated][gpu]") {
  const auto sample = test::small_attack({.trials = 2, .smooth = true});
  const Program program = sample->program();
  Interpreter oracle(program);
  test::TestedDevice device;
  const Plan plan = Plan::compile(program, {.dtype = DType::f32, .device = &device});
  Workspace work(plan, device);
  bind_all(oracle, *sample);
  bind_all(work, *sample);
  oracle.run();
  work.run();
  for (const char* name : {"loss", "match", "dx", "x"}) CHECK(relative_error(work.get(name), oracle.get(name)) <= 2e-5);
}

TEST_CASE("a device's memory is given back, and only its own Plans run on it", "[plan][emulated][gpu]") {
  const auto sample = test::small_attack({});
  const Program program = sample->program();
  test::TestedDevice device;
  const Plan plan = Plan::compile(program, {.device = &device});
  {
    const Workspace work(plan, device);
    CHECK(device.held > 0);
  }
  CHECK(device.held == 0);
  CHECK_THROWS_WITH(Workspace(plan), "workspace: the plan is for a device");
  CHECK_THROWS_WITH(Workspace(Plan::compile(program), device), "workspace: the plan is for the CPU");
}

TEST_CASE("a step that fails on a device is named", "[plan][emulated][gpu]") {
  const auto sample = test::small_attack({});
  SpoiltDevice device("dot", [](const kernels::Arguments&) { throw std::runtime_error("out of order"); });
  const Plan plan = Plan::compile(sample->program(), {.device = &device});
  Workspace work(plan, device);
  bind_all(work, *sample);
  try {
    work.run();
    FAIL("nothing was thrown");
  } catch (const DeviceError& e) {
    CHECK_THAT(e.what(), Catch::StartsWith("dot ") && Catch::EndsWith("out of order"));
  }
}
