// The chains that attacks on the networks of the zoo come to, and the closed list of those a device computes at once.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "engine/exec/plan.h"
#include "inversion/attack.h"
#include "models/zoo.h"
#include "tests/emulated_device.h"

using namespace gi;
using namespace gi::inversion;

namespace {

/// Takes every chain, with whatever head there are kernels for.
class BoundlessDevice : public test::EmulatedDevice {
 public:
  BoundlessDevice() {
    for (kernels::Kernel k : EmulatedDevice::kernels()) {
      if (std::string_view(k.op).ends_with("_chain")) k.declines = nullptr;
      list_.push_back(k);
    }
  }
  std::span<const kernels::Kernel> kernels() const override { return list_; }

 private:
  std::vector<kernels::Kernel> list_;
};

struct Attack {
  const char* model;
  models::Mode mode = models::Mode::eval;
  AttackOptions options{};
  std::int64_t trials = 2, victims = 1;
};

Plan plan_of(const Attack& a, const Device& device, DType dtype = DType::f32) {
  Problem p;
  p.model = models::find_model(a.model);
  p.mode = a.mode;
  p.images = 2;
  p.mean = p.std = {0.5, 0.5, 0.5};
  for (int v = 0; v < a.victims; ++v) p.networks.push_back(models::initialise(p.model, 7));
  p.victims.resize(a.victims);
  return Plan::compile(attack_program(p, a.options, a.trials), {.dtype = dtype, .device = &device});
}

/// As a row of kernels/elementwise/elementwise_patterns.h, or of batchnorm/batchnorm_patterns.h.
std::string row(const kernels::ElementwiseChain& chain) {
  std::vector<std::string> code;
  for (int i = 0; i < chain.instructions; ++i) {
    const auto& [op, x, y, a, b] = chain.code[i];
    const char* name = kernels::kElementwiseNames[static_cast<std::size_t>(op)];
    code.push_back(arity(op) == 2 ? fmt::format("{}({}, {})", name, x, y) : fmt::format("{}({})", name, x));
  }
  return fmt::format("Pattern{{{}, {{{}}}, {{{}}}}},", chain.inputs, fmt::join(code, ", "),
                     fmt::join(chain.result.begin(), chain.result.begin() + chain.outputs, ", "));
}

std::map<std::string, int> chains_of(const Plan& plan) {
  std::map<std::string, int> count;
  for (const Plan::Step& s : plan.iteration())
    if (s.chain) ++count[(s.out[0].layout.rank == 1 ? "scalars  " : "") + std::string(s.kernel->op) + "  " + row(*s.chain)];
  return count;
}

int total(const std::map<std::string, int>& count) {
  int n = 0;
  for (const auto& [chain, times] : count) n += times;
  return n;
}

/// Widths do not matter.
std::vector<Attack> attacks() {
  std::vector<Attack> list;
  for (const char* model :
       {"lenetzhu", "convnet8", "mlp", "twolp", "resnet20", "resnet20-a", "resnet18-w8", "resnet18-w8-imagenet", "resnet50-w4"})
    for (const models::Mode mode : {models::Mode::eval, models::Mode::train}) {
      list.push_back({model, mode});
      list.push_back({model, mode, {.sign = false, .box = false, .decay = false}, 1});
    }
  for (const bool sign : {false, true}) list.push_back({"resnet20", models::Mode::eval, {.sign = sign, .box = !sign}, 3, 3});
  return list;
}

}  // namespace

TEST_CASE("a device computes every chain of the zoo's networks at once", "[plan][emulated][slow]") {
  test::EmulatedDevice device;
  BoundlessDevice boundless;
  std::map<std::string, int> cut;
  for (const Attack& a : attacks())
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::map<std::string, int> wanted = chains_of(plan_of(a, boundless, dtype)), got = chains_of(plan_of(a, device, dtype));
      CHECK(total(got) == total(wanted));
      for (const auto& [chain, times] : wanted)
        if (!got.contains(chain)) cut[chain] += times;
    }
  for (const auto& [chain, times] : cut) UNSCOPED_INFO(times << " x " << chain);
  CHECK(cut.empty());
}

// Of ResNet18's 20 convolutions with batch normalisation 3 are shortcuts, whose normalisation, masks and sums go with those of the
// branch beside them: 17 chains forward, 17 back, 17 up again and 17 down. The cosine's derivative by 62 parameters takes 59, as
// three biases have theirs in common with another one. The rest are two of scalars, Adam, and eight around pooling, classifier and
// loss.
TEST_CASE("a ResNet18's iteration on a device in steps", "[plan][emulated]") {
  test::EmulatedDevice device;
  const Plan plan = plan_of({"resnet18-w8"}, device);
  int chains = 0, dots = 0;
  for (const Plan::Step& s : plan.iteration()) chains += s.chain != nullptr, dots += s.kernel->op == std::string_view("dot");
  CHECK(chains <= 4 * 17 + 59 + 11);
  CHECK(dots == 2);
  CHECK(plan.iteration().size() <= 290);
}

// Every normalised layer has one head going up, forward and for the derivative's derivative, where a shortcut's goes with the layer
// it is added to, and one down for each of them. What is left alone is first read by convolutions, or by a chain with another head.
TEST_CASE("chains of networks in training mode take batch normalisation along", "[plan][emulated]") {
  const test::EmulatedDevice device;
  const test::HeadlessDevice headless;
  struct Network {
    const char* model;
    int layers, shortcuts;
  };
  for (const Network n : {Network{"resnet20", 19, 2}, Network{"resnet18-w8", 17, 3}, Network{"convnet8", 8, 0}})
    for (const std::int64_t trials : {1, 2}) {
      const Attack attack{n.model, models::Mode::train, {}, trials};
      const Plan plan = plan_of(attack, device), before = plan_of(attack, headless);
      const std::span<const Plan::Step> steps = plan.iteration();
      CAPTURE(n.model, trials);
      const auto heads = std::ranges::count_if(steps, [](const Plan::Step& s) { return s.chain && s.chain->head_inputs > 0; });
      CHECK(heads == 3 * n.layers + n.shortcuts);
      CHECK(steps.size() == before.iteration().size() - static_cast<std::size_t>(heads));
      for (std::size_t s = 0; s < steps.size(); ++s) {
        if (!std::string_view(steps[s].kernel->op).starts_with("batchnorm") || steps[s].chain) continue;
        const Plan::Operand& value = steps[s].out[0];
        const auto reader = std::ranges::find_if(steps.subspan(s + 1), [&](const Plan::Step& t) {
          return std::ranges::any_of(t.in,
                                     [&](const Plan::Operand& o) { return o.memory == value.memory && o.offset == value.offset; });
        });
        CAPTURE(steps[s].what);
        REQUIRE(reader != steps.end());
        CHECK((!reader->chain || reader->chain->head_inputs > 0));
      }
    }
}

/// Not a test: prints all rows, the most frequent first.
TEST_CASE("list the chains of the zoo", "[.list]") {
  const BoundlessDevice boundless;
  std::map<std::string, int> count;
  for (const Attack& a : attacks())
    for (const auto& [chain, times] : chains_of(plan_of(a, boundless))) count[chain] += times;
  std::vector<std::pair<int, std::string>> sorted;
  for (const auto& [chain, times] : count) sorted.emplace_back(times, chain);
  std::ranges::sort(sorted, std::greater{});
  for (const auto& [times, chain] : sorted) fmt::print("{:6} {}\n", times, chain);
}
