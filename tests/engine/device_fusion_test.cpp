// What a Plan for a device computes together, where its kernels decide.
#include <catch2/catch.hpp>

#include "engine/exec/interpreter.h"
#include "engine/exec/workspace.h"
#include "tests/emulated_device.h"
#include "tests/engine/compare_tensors.h"

using namespace gi;
using test::bind_all, test::relative_error;

namespace {

/// Declines of the emulated device's kernels are changed.
class ChangedDevice : public test::EmulatedDevice {
 public:
  std::span<const kernels::Kernel> kernels() const override { return list; }

 protected:
  std::vector<kernels::Kernel> list{EmulatedDevice::kernels().begin(), EmulatedDevice::kernels().end()};
};

/// Whose chains are of at most so many instructions, whether it has them or not.
class UnlistedDevice : public ChangedDevice {
 public:
  explicit UnlistedDevice(int instructions) {
    most = instructions;
    for (kernels::Kernel& k : list)
      if (k.op == std::string_view("elementwise_chain"))
        k.declines = [](const kernels::Problem& p) {
          return p.attrs_as<kernels::ElementwiseChain>().instructions > most ? "long" : nullptr;
        };
  }

 private:
  inline static int most = 0;
};

/// Whose chains are of at most so many instructions, of those it has.
class ShortDevice : public ChangedDevice {
 public:
  explicit ShortDevice(int instructions) {
    most = instructions;
    for (kernels::Kernel& k : list)
      if (k.op == std::string_view("elementwise_chain")) {
        (k.dtype == DType::f32 ? narrow : wide) = k.declines;
        k.declines = k.dtype == DType::f32 ? short_chain<narrow> : short_chain<wide>;
      }
  }

 private:
  using Declines = const char* (*)(const kernels::Problem&);
  inline static int most = 0;
  inline static Declines narrow = nullptr, wide = nullptr;
  template <Declines& listed>
  static const char* short_chain(const kernels::Problem& p) {
    return p.attrs_as<kernels::ElementwiseChain>().instructions > most ? "long" : listed(p);
  }
};

/// Whose inner products are single ones.
class SingleDotDevice : public ChangedDevice {
 public:
  SingleDotDevice() {
    for (kernels::Kernel& k : list)
      if (k.op == std::string_view("dot"))
        k.declines = [](const kernels::Problem& p) { return p.in.size() > 2 ? "a sum" : nullptr; };
  }
};

int chains(const Plan& plan) {
  return static_cast<int>(std::ranges::count_if(plan.iteration(), [](const Plan::Step& s) { return s.chain != nullptr; }));
}
std::int64_t instructions(const Plan& plan) {
  std::int64_t n = 0;
  for (const Plan::Step& s : plan.iteration()) n += s.chain ? s.chain->instructions : 0;
  return n;
}
int dots(const Plan& plan) {
  return static_cast<int>(
      std::ranges::count_if(plan.iteration(), [](const Plan::Step& s) { return s.kernel->op == std::string_view("dot"); }));
}

}  // namespace

TEST_CASE("a chain is cut into pieces that a device's kernels take", "[plan][emulated]") {
  const auto sample = test::small_attack({.trials = 2});
  const Program program = sample->program();
  Interpreter oracle(program);
  bind_all(oracle, *sample);
  oracle.run();
  int before = 1 << 30;
  for (const int most : {1, 2, 4, 32}) {
    ShortDevice device(most);
    const Plan plan = Plan::compile(program, {.dtype = DType::f64, .device = &device});
    CAPTURE(most);
    for (const Plan::Step& s : plan.iteration()) CHECK((!s.chain || s.chain->instructions <= most));
    CHECK(chains(plan) < before);
    CHECK((most > 1 || chains(plan) == instructions(plan)));
    before = chains(plan);
    Workspace work(plan, device);
    bind_all(work, *sample);
    work.run();
    for (const char* name : {"loss", "match", "tv", "dx", "x", "m", "it"})
      CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
  }
}

TEST_CASE("a sum of inner products is one step where a kernel takes it", "[plan][emulated]") {
  const auto sample = test::small_attack({.trials = 2});
  const Program program = sample->program();
  test::EmulatedDevice sums;
  SingleDotDevice single;
  const Plan together = Plan::compile(program, {.device = &sums}), apart = Plan::compile(program, {.device = &single});
  CHECK(dots(together) == 2);                // <g, g*> and <g, g>; <g*, g*> is of the setup
  CHECK(dots(apart) == 16);                  // of eight parameters
  CHECK(dots(Plan::compile(program)) == 8);  // on the CPU both of a parameter, so that its gradient is read once
  CHECK(dots(Plan::compile(program, {.fuse = false})) == 16);
  CHECK(dots(Plan::compile(program, {.device = &sums, .fuse = false})) == 16);
}

TEST_CASE("inner products that somebody else reads stay apart", "[plan][emulated]") {
  Graph g;
  const Value x = g.state("x", {2, 4}), y = g.input("y", {2, 4});
  const Value xy = dot(x, y), xx = dot(x, x), yx = dot(mul(x, x), y);
  SECTION("in another value") {
    const Value sum = add(xy, xx);
    const Program p = Program::freeze(g, {.outputs = {{"sum", sum}, {"root", sqrt(xx)}}, .updates = {{x, scale(x, 0.5)}}});
    test::EmulatedDevice device;
    CHECK(dots(Plan::compile(p, {.device = &device})) == 2);
  }
  SECTION("a part of the sum is an output") {
    const Value part = add(xy, xx);
    const Program p = Program::freeze(g, {.outputs = {{"part", part}, {"sum", add(part, yx)}}, .updates = {{x, scale(x, 0.5)}}});
    test::EmulatedDevice device;
    CHECK(dots(Plan::compile(p, {.device = &device})) == 2);  // the part, and what is added to it
  }
  SECTION("one that comes twice does not") {
    const Program p = Program::freeze(g, {.outputs = {{"sum", add(add(xy, xx), xy)}}, .updates = {{x, scale(x, 0.5)}}});
    test::EmulatedDevice device;
    const Plan plan = Plan::compile(p, {.dtype = DType::f64, .device = &device});
    CHECK(dots(plan) == 1);
    Workspace work(plan, device);
    work.set("x", Tensor::from({2, 4}, std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8}));
    work.set("y", Tensor::from({2, 4}, std::vector<double>{1, 1, 1, 1, 0, 0, 0, 2}));
    work.run();
    CHECK(work.get("sum").to_doubles() == std::vector<double>{30 + 20, 174 + 32});
  }
}

TEST_CASE("a piece of a chain keeps to the number of results", "[plan][emulated]") {
  Graph g;
  const Value x = g.state("x", {2, 4});
  std::vector<Value> powers{x};  // each is read by the sum at the end
  for (int i = 0; i < 14; ++i) powers.push_back(mul(powers.back(), x));
  Value sum = powers.back();
  for (const Value& power : powers) sum = add(sum, power);
  const Program p = Program::freeze(g, {.outputs = {{"sum", sum}}, .updates = {{x, scale(x, 0.5)}}});
  const UnlistedDevice device(20);  // the first 14 nodes and six more would leave ten values
  const Plan plan = Plan::compile(p, {.device = &device});
  CHECK(chains(plan) == 4);  // three pieces, and the update
  for (const Plan::Step& s : plan.iteration()) CHECK(s.chain->outputs <= kernels::ElementwiseChain::kMaxOutputs);
}
