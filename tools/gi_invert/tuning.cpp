#include "tools/gi_invert/tuning.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/exec/tune.h"
#include "tools/common/plan_file.h"
#include "tools/common/program.h"

namespace gi::tools {
namespace {

void tune_to_file(const Settings& s, const Plan& plan, Device* device, const std::atomic<bool>* stop) {
  TuneOptions options{.seconds = s.tune_seconds, .stop = stop};
  options.progress = [](std::size_t done, std::size_t of, const std::string& step) {
    fmt::print(stderr, "tuning {}/{}  {}\n", done + 1, of, step);
  };
  const Tuning tuning = tune(plan, device, options);
  write_plan_file(s.tune, tuned_for(plan, device), s.network.model, tuning);
  const auto changed = std::ranges::count_if(tuning.steps, [](const TunedStep& t) { return t.chosen.kernel != t.own.kernel; });
  fmt::print("tuned: {} of {} different steps with a choice have another kernel: {}\n", changed,
             tuning.steps.size() + tuning.left.size(), s.tune);
  if (!tuning.left.empty()) warn(fmt::format("--tune: {} steps were not reached and keep their kernels", tuning.left.size()));
}

}  // namespace

inversion::AttackRun prepared_run(const inversion::Problem& problem, const Settings& s, inversion::RunOptions options) {
  if (const std::string& path = s.kernels_file(); !path.empty()) {
    inversion::RunOptions plain = options;
    plain.prepare = false;
    const inversion::AttackRun run(problem, s.attack, plain);
    if (!s.tune.empty()) tune_to_file(s, run.plan(), options.device, options.stop);
    PlanFile file = read_plan_file(path);
    require_fit(path, file, run.plan(), options.device);
    options.choices = std::move(file.choices);
    if (!run.images_as_trials()) options.lanes = run.trials_per_chunk();
  }
  return {problem, s.attack, options};
}

}  // namespace gi::tools
