// Chains that a device computes together with the batch normalisation they read.
#include <catch2/catch.hpp>

#include "engine/exec/interpreter.h"
#include "engine/exec/tune.h"
#include "engine/exec/workspace.h"
#include "tests/emulated_device.h"
#include "tests/engine/compare_tensors.h"

using namespace gi;
using test::bind_all, test::relative_error;

namespace {

/// Steps of an iteration that are of an op.
int count(const Plan& plan, std::string_view op) {
  return static_cast<int>(std::ranges::count_if(plan.iteration(), [&](const Plan::Step& s) { return s.kernel->op == op; }));
}

int heads(const Plan& plan) {
  int n = 0;
  for (const auto steps : {plan.setup(), plan.iteration()})
    for (const Plan::Step& s : steps) n += s.chain && s.chain->head_inputs > 0;
  return n;
}

/// What follows batch normalisation in a network.
struct Layer {
  Graph g;
  const Shape shape{2, 2, 3, 4, 4};
  const Value x = g.state("x", shape), input = g.input("input", shape);
  const Value w = per_channel(g.input("w", {2, 3}), shape), b = per_channel(g.input("b", {2, 3}), shape);
  Value shifted(Value normalised) const { return add(mul(normalised, w), b); }

  /// The Plan for a device, once its results were compared with the Interpreter's.
  Plan plan(std::vector<ProgramOutput> outputs) const {
    const Program program = Program::freeze(g, {std::move(outputs), {{x, scale(x, 0.5)}}});
    test::EmulatedDevice device;
    Plan plan = Plan::compile(program, {.dtype = DType::f64, .device = &device});
    Interpreter oracle(program);
    Workspace work(plan, device);
    std::uint64_t seed = 0;
    for (const auto list : {plan.inputs(), plan.states()})
      for (const Plan::Named& n : list) {
        const Tensor value = test::random_trials(n.shape, ++seed);
        oracle.set(n.name, value);
        work.set(n.name, value);
      }
    for (int run = 0; run < 3; ++run) {
      oracle.run();
      work.run();
      for (const Program::Output& o : program.outputs()) CHECK(relative_error(work.get(o.name), oracle.get(o.name)) <= 1e-12);
    }
    CHECK(heads(Plan::compile(program)) == 0);
    return plan;
  }
};

}  // namespace

TEST_CASE("an iteration whose chains have heads is the Interpreter's, with the bits of one whose have not", "[plan][emulated]") {
  for (const std::int64_t trials : {std::int64_t{1}, std::int64_t{3}})
    for (const DType dtype : {DType::f64, DType::f32}) {
      const auto sample = test::small_attack({.trials = trials});
      const Program program = sample->program();
      test::EmulatedDevice device;
      test::HeadlessDevice headless;
      const Plan together = Plan::compile(program, {.dtype = dtype, .device = &device});
      const Plan apart = Plan::compile(program, {.dtype = dtype, .device = &headless});
      CAPTURE(trials, together.explain());
      // Of one layer: forward, and up again and down for the second derivative. The first is read by a convolution.
      CHECK(count(together, "batchnorm_chain") == 1);
      CHECK(count(together, "batchnorm_grad_chain") == 1);
      CHECK(count(together, "batchnorm_grad2_chain") == 1);
      CHECK(heads(apart) == 0);
      CHECK(together.iteration().size() == apart.iteration().size() - 3);
      Interpreter oracle(program);
      Workspace work(together, device), other(apart, headless);
      bind_all(oracle, *sample);
      bind_all(work, *sample);
      bind_all(other, *sample);
      for (int run = 0; run < 3; ++run) {
        oracle.run();
        work.run();
        other.run();
        for (const char* name : {"loss", "logits", "match", "tv", "dx", "x", "m", "it"}) {
          if (dtype == DType::f64) CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
          CHECK(work.get(name).to_doubles() == other.get(name).to_doubles());
        }
      }
      CHECK(heads(Plan::compile(program, {.dtype = dtype})) == 0);
      CHECK(heads(Plan::compile(program, {.dtype = dtype, .device = &device, .fuse = false})) == 0);
    }
}

TEST_CASE("a chain takes its head where a kernel serves both and nothing stands between", "[plan][emulated]") {
  Layer l;
  const Value z = batchnorm(l.x, 1e-5);
  SECTION("a head that others read, too, is a result") {
    const Plan plan = l.plan({{"z", z}, {"y", relu(l.shifted(z))}});
    CHECK(heads(plan) == 1);
    CHECK(count(plan, "batchnorm") == 0);
    CHECK(plan.iteration()[0].what == "batchnorm+mul+add+relu_mask [2,2,3,4,4] [2,2,3,4,4] [2,2,3,4,4] -> [2,2,3,4,4] [2,2,3,4,4]");
  }
  SECTION("a chain that is not on the list with it stays apart") {
    const Plan plan = l.plan({{"y", sigmoid(z)}});
    CHECK(heads(plan) == 0);
    CHECK(count(plan, "batchnorm") == 1);
  }
  SECTION("one of two chains has it") {
    const Plan plan = l.plan({{"y", relu(l.shifted(z))}, {"q", batchnorm(sigmoid(z), 1e-5)}});
    CHECK(heads(plan) == 1);
    CHECK(count(plan, "batchnorm") == 1);
  }
  SECTION("what the chain reads besides comes from elsewhere") {
    const Plan plan = l.plan({{"z", z}, {"y", relu(add(l.shifted(z), batchnorm(l.input, 1e-5)))}});
    CHECK(heads(plan) == 1);
  }
  SECTION("what the chain reads besides needs the head") {
    const Plan plan = l.plan({{"z", z}, {"y", relu(add(l.shifted(z), batchnorm(z, 1e-5)))}});
    CHECK(heads(plan) == 0);
  }
  SECTION("a head of the setup is no head of the iteration's chains") {
    const Value once = batchnorm(l.input, 1e-5);
    const Plan plan = l.plan({{"once", once}, {"y", relu(add(mul(once, l.x), l.b))}});
    CHECK(heads(plan) == 0);
    CHECK(plan.setup().size() == 1);
  }
}

TEST_CASE("no result lies where the head's operand did", "[plan][emulated]") {
  Layer l;
  const Value before = scale(l.x, 2.0), z = batchnorm(before, 1e-5);
  const auto step_of = [&](Value shortcut) {
    const Value y = relu(add(l.shifted(z), shortcut));
    const Plan plan = l.plan({{"after", batchnorm_grad(y, z, 1e-5)}});
    const auto step =
        std::ranges::find_if(plan.iteration(), [](const Plan::Step& s) { return s.chain && s.chain->head_inputs > 0; });
    REQUIRE(step != plan.iteration().end());
    REQUIRE((step->in.size() == 4 && step->out.size() == 2));
    for (const Plan::Operand& o : step->out) CHECK((o.memory == Plan::Memory::arena && o.offset != step->in[0].offset));
    return std::pair{step->in[3].offset, step->out[0].offset};
  };
  SECTION("the chain's may be replaced") {
    const auto [shortcut, result] = step_of(batchnorm_grad(l.x, l.x, 1e-5));
    CHECK(shortcut == result);
  }
  SECTION("but not if it is the head's as well") {
    const auto [shortcut, result] = step_of(before);
    CHECK(shortcut != result);
  }
}

TEST_CASE("a head and its chain are tuned against their definitions", "[tune][emulated]") {
  class Device : public test::EmulatedDevice {
   public:
    std::span<const kernels::Kernel> kernels() const override { return list_; }

   private:
    static std::vector<kernels::Kernel> doubled(std::span<const kernels::Kernel> all) {
      std::vector<kernels::Kernel> list(all.begin(), all.end());
      for (kernels::Kernel k : all)
        if (test::has_head(k)) k.name = "again", list.push_back(k);
      return list;
    }
    std::vector<kernels::Kernel> list_ = doubled(EmulatedDevice::kernels());
  } device;
  const auto sample = test::small_attack({.trials = 2});
  const Plan plan = Plan::compile(sample->program(), {.device = &device});
  const Tuning tuning = tune(plan, &device);
  int tuned = 0;
  for (const TunedStep& step : tuning.steps) {
    if (step.step.find("_chain") == std::string::npos) continue;
    CAPTURE(step.step);
    ++tuned;
    CHECK(step.candidates.size() == 2);
    for (const TunedKernel& k : step.candidates) {
      CHECK(k.refused == "");
      CHECK(k.error > 0);
      CHECK(k.error <= step.tolerance);
    }
  }
  CHECK(tuned == 3);
}
