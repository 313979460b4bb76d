#include "engine/exec/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/core/error.h"
#include "engine/exec/profile.h"
#include "engine/exec/step_bench.h"
#include "engine/exec/step_key.h"

namespace gi {

using kernels::Kernel;

namespace {

using Clock = std::chrono::steady_clock;

/// A different step, and the kernels that serve it.
struct Work {
  std::string key;
  const Plan::Step* step;
  std::int64_t calls = 0;
  std::vector<const Kernel*> kernels;

  double amount() const { return static_cast<double>(calls) * (step->flops + step_bytes(*step)); }
};

std::vector<const Kernel*> kernels_for(const Plan::Step& step, std::span<const Kernel> all) {
  std::vector<kernels::ConstView> in;
  std::vector<kernels::View> out;
  for (const auto& o : step.in) in.push_back({o.layout, nullptr});
  for (const auto& o : step.out) out.push_back({o.layout, nullptr});
  const Kernel& own = *step.kernel;
  std::vector<const Kernel*> list;
  for (const Kernel& k : all)
    if (std::string_view(k.op) == own.op && k.dtype == own.dtype && k.lanes == own.lanes &&
        (k.declines == nullptr || k.declines({step.attrs_data(), in, out}) == nullptr))
      list.push_back(&k);
  return list;
}

/// The steps with a choice, the most work first.
std::vector<Work> work_of(const Plan& plan, std::span<const Kernel> all) {
  std::vector<Work> list;
  std::map<std::string, std::size_t> known;
  for (const Plan::Step& step : plan.iteration()) {
    if (plan.options().force.contains(step.kernel->op)) continue;
    if (step_key(step, step.kernel->op, step.kernel->dtype, step.kernel->lanes) != step.key)
      throw UsageError(fmt::format("tune: operands are prepared for one kernel (PlanOptions::prepare)\n  step: {}", step.key));
    const auto [place, is_new] = known.emplace(step.key, list.size());
    if (is_new) list.push_back({step.key, &step, 0, kernels_for(step, all)});
    ++list[place->second].calls;
  }
  for (const Work& w : list)
    if (std::ranges::find(w.kernels, w.step->kernel) == w.kernels.end()) throw UsageError("tune: the plan is for another device");
  std::erase_if(list, [](const Work& w) { return w.kernels.size() < 2; });
  std::ranges::stable_sort(list, [](const Work& a, const Work& b) { return a.amount() > b.amount(); });
  return list;
}

/// Why the kernel may not be chosen, and its error.
TunedKernel examined(StepBench& bench, const Kernel& kernel, const StepBench::Outputs& own, double tolerance) {
  TunedKernel result{.kernel = kernel.name};
  try {
    const StepBench::Outputs first = bench.run(kernel);
    result.error = bench.error(first, own);
    if (!(result.error <= tolerance)) result.refused = fmt::format("error {:.2g} above {:.2g}", result.error, tolerance);
    else if (!StepBench::equal(first, bench.run(kernel))) result.refused = "two runs have different bits";
    else if (!bench.trials_agree(first)) result.refused = "trials of equal operands have different bits";
  } catch (const std::exception& e) {
    result.refused = e.what();
  }
  return result;
}

/// Seconds of a call of each kernel, measured in turns: what disturbs one disturbs all.
std::vector<double> measured(StepBench& bench, const std::vector<const Kernel*>& kernels, bool on_device) {
  constexpr double kSample = 5e-4, kAllRounds = 1.0;  // seconds
  constexpr int kFewest = 3, kMost = 9, kMostCalls = 1000;
  std::vector<int> calls;
  double round = 0;
  for (const Kernel* k : kernels) {
    const double once = std::max(bench.seconds(*k, 1), 1e-9);
    calls.push_back(static_cast<int>(std::clamp(kSample / once, 1.0, double{kMostCalls})));
    round += once * calls.back();
  }
  const int rounds = static_cast<int>(std::clamp(kAllRounds / round, double{kFewest}, double{kMost}));
  std::vector<std::vector<double>> samples(kernels.size());
  for (int r = 0; r < rounds; ++r)
    for (std::size_t i = 0; i < kernels.size(); ++i) samples[i].push_back(bench.seconds(*kernels[i], calls[i]));
  std::vector<double> seconds;
  for (std::vector<double>& s : samples) {
    std::ranges::sort(s);
    seconds.push_back(on_device ? s[s.size() / 2] : s[0]);  // others on the processor only ever cost time
  }
  return seconds;
}

TunedStep tuned(const Work& work, Device* device, double margin) {
  StepBench bench(*work.step, device);
  const Kernel& own = *work.step->kernel;
  StepBench::Outputs own_result;
  try {
    own_result = bench.run(own);
  } catch (const std::exception& e) {
    throw DeviceError(fmt::format("{}: {}: {}", work.key, own.name, e.what()));
  }
  TunedStep result{.step = work.key, .calls = work.calls, .tolerance = bench.tolerance()};
  const double allowed = std::max(result.tolerance, bench.error(own_result, own_result));
  std::vector<const Kernel*> able;
  for (const Kernel* k : work.kernels) {
    result.candidates.push_back(examined(bench, *k, own_result, allowed));
    if (k == &own || result.candidates.back().refused.empty()) able.push_back(k);
  }
  const std::vector<double> seconds = measured(bench, able, device != nullptr);
  const auto candidate = [&](const Kernel* k) -> TunedKernel& {
    return result.candidates[static_cast<std::size_t>(std::ranges::find(work.kernels, k) - work.kernels.begin())];
  };
  for (std::size_t i = 0; i < able.size(); ++i) candidate(able[i]).seconds = seconds[i];
  result.chosen = result.own = candidate(&own);
  double least = (1 - margin) * result.own.seconds;
  for (const Kernel* k : able)
    if (k != &own && candidate(k).seconds < least) least = (result.chosen = candidate(k)).seconds;
  return result;
}

}  // namespace

std::map<std::string, std::string> Tuning::choices() const {
  std::map<std::string, std::string> map;
  for (const TunedStep& s : steps) map.emplace(s.step, s.chosen.kernel);
  return map;
}

Tuning tune(const Plan& plan, Device* device, const TuneOptions& options) {
  const Clock::time_point start = Clock::now();
  const auto enough = [&] {
    return (options.stop != nullptr && options.stop->load()) ||
           (options.seconds > 0 && std::chrono::duration<double>(Clock::now() - start).count() >= options.seconds);
  };
  const std::vector<Work> list = work_of(plan, device != nullptr ? device->kernels() : kernels::cpu_kernels(plan.isa()));
  Tuning tuning;
  for (const Work& work : list) {
    if (enough()) {
      tuning.left.push_back(work.key);
      continue;
    }
    if (options.progress) options.progress(tuning.steps.size(), list.size(), work.key);
    tuning.steps.push_back(tuned(work, device, options.margin));
  }
  return tuning;
}

}  // namespace gi
