#include "tools/gi_invert/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/device/device_ceilings.h"
#include "models/file.h"
#include "tools/common/program.h"

namespace gi::tools {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Ceilings;

/// Calls of one step, or of several, over all threads.
struct Cost {
  double seconds = 0, flops = 0, bytes = 0;
  double best = 0;   ///< seconds if every call had taken what its fastest took
  double least = 0;  ///< seconds at the ceilings
  std::int64_t calls = 0;

  Cost& operator+=(const Cost& c) {
    seconds += c.seconds, flops += c.flops, bytes += c.bytes, best += c.best, least += c.least, calls += c.calls;
    return *this;
  }
  double per_second(double amount) const { return seconds > 0 ? amount / seconds : 0; }
  double gflops() const { return per_second(flops) * 1e-9; }
  double gbs() const { return per_second(bytes) * 1e-9; }
  double share() const { return per_second(least); }
  double best_share() const { return best > 0 ? least / best : 0; }
};

struct StepCost {
  const Plan::Step* step;
  bool setup;
  std::size_t index;  ///< in Plan::setup() or Plan::iteration()
  Cost cost;
};

struct OpCost {
  std::string op;
  std::int64_t steps = 0;
  Cost cost;
};

struct Costs {
  std::vector<StepCost> steps;  ///< as they run
  std::vector<OpCost> ops;  ///< the most first, as all below by the fastest calls: others on the machine do not change that order
  Cost in_steps;
  Profile::Total runs;
};

/// Threads that share a step have as many times the ceilings of one.
Costs sum_up(const Plan& plan, const Ceilings& ceilings, const std::vector<Profile>& profiles, int threads_per_chunk) {
  Costs costs;
  std::map<std::string, OpCost> ops;
  const auto add = [&](std::span<const Plan::Step> steps, bool setup) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Plan::Step& step = steps[i];
      Cost cost;
      double best = std::numeric_limits<double>::infinity();
      for (const Profile& p : profiles) {
        const Profile::Total& total = (setup ? p.setup() : p.iteration())[i];
        cost.seconds += total.seconds;
        cost.calls += total.calls;
        best = std::min(best, total.best);
      }
      const double calls = static_cast<double>(cost.calls);
      cost.best = cost.calls > 0 ? calls * best : 0;
      cost.flops = calls * step.flops;
      cost.bytes = calls * step_bytes(step);
      cost.least = calls * least_seconds(ceilings, step) / threads_per_chunk;
      costs.steps.push_back({&step, setup, i, cost});
      costs.in_steps += cost;
      OpCost& op = ops[step.kernel->op];
      ++op.steps;
      op.cost += cost;
    }
  };
  add(plan.setup(), true);
  add(plan.iteration(), false);
  for (auto& [name, op] : ops) {
    op.op = name;
    costs.ops.push_back(op);
  }
  std::sort(costs.ops.begin(), costs.ops.end(), [](const OpCost& a, const OpCost& b) { return a.cost.best > b.cost.best; });
  for (const Profile& p : profiles) {
    costs.runs.seconds += p.runs().seconds;
    costs.runs.calls += p.runs().calls;
  }
  return costs;
}

void print(const Plan& plan, const Ceilings& c, const Costs& costs, std::size_t threads, int threads_per_chunk) {
  constexpr std::size_t kExpensive = 20, kWidth = 100;
  const double runs = static_cast<double>(std::max<std::int64_t>(costs.runs.calls, 1));
  const auto row = [&](const Cost& cost) {
    return fmt::format("{:6.1f} % {:10.4f} {:10.4f} {:9.1f} {:8.1f} {:7.0f} % {:5.0f} %",
                       100 * cost.seconds / std::max(costs.runs.seconds, 1e-12), 1e3 * cost.seconds / runs, 1e3 * cost.best / runs,
                       cost.gflops(), cost.gbs(), 100 * cost.share(), 100 * cost.best_share());
  };
  fmt::print("\nprofile: {} runs of the plan ({} trial{} each) on {} thread{}, {:.4g} ms a run\n", costs.runs.calls, plan.trials(),
             plan.trials() == 1 ? "" : "s", threads, threads == 1 ? "" : "s", 1e3 * costs.runs.seconds / runs);
  if (threads_per_chunk > 1) fmt::print("{} threads share each step; their ceilings count together\n", threads_per_chunk);
  const bool device = c.isa == kernels::Isa::cuda;
  fmt::print("ceilings of {} ({}): {:.0f} GFLOP/s f32, {:.0f} f64{}; reading", device ? "the device" : "a thread",
             kernels::kIsaNames[static_cast<int>(c.isa)], c.gflops[0], c.gflops[1],
             device ? fmt::format(", {:.0f} TF32 products", c.tensor_gflops) : "");
  for (std::size_t i = 0; i < c.read_gbs.size(); ++i)
    if (c.read_gbs[i] > 0) fmt::print(" {} {:.0f}", kernels::kLevelNames[i], c.read_gbs[i]);
  fmt::print(" GB/s\n\n{:<24} {:>5} {:>8} {:>10} {:>10} {:>9} {:>8} {:>9} {:>7}\n", "op", "steps", "time", "ms a run", "fastest",
             "GFLOP/s", "GB/s", "of ceiling", "at best");
  for (const OpCost& op : costs.ops) fmt::print("{:<24} {:>5} {}\n", op.op, op.steps, row(op.cost));
  fmt::print("{:<24} {:>5} {}\n", "all steps", costs.steps.size(), row(costs.in_steps));
  const double between = costs.runs.seconds - costs.in_steps.seconds;
  fmt::print("{:<30} {:6.1f} % {:10.4f}\n\n", "between them, state updates", 100 * between / std::max(costs.runs.seconds, 1e-12),
             1e3 * between / runs);

  std::vector<StepCost> steps = costs.steps;
  std::sort(steps.begin(), steps.end(), [](const StepCost& a, const StepCost& b) { return a.cost.best > b.cost.best; });
  steps.resize(std::min(steps.size(), kExpensive));
  fmt::print("{:<10} {:>8} {:>10} {:>10} {:>9} {:>8} {:>9} {:>7}   {}\n", "step", "time", "ms a run", "fastest", "GFLOP/s", "GB/s",
             "of ceiling", "at best", "what");
  for (const StepCost& s : steps) {
    const std::string what = fmt::format("{}: {}", s.step->kernel->name, s.step->what);
    fmt::print("{:<10} {}   {}\n", fmt::format("{}{}", s.setup ? "setup " : "", s.index), row(s.cost),
               what.size() > kWidth ? what.substr(0, kWidth - 3) + "..." : what);
  }
}

Json cost_json(const Cost& cost, double total) {
  return {{"calls", cost.calls},
          {"seconds", cost.seconds},
          {"best_seconds", cost.best},
          {"share_of_time", total > 0 ? cost.seconds / total : 0},
          {"gflops", cost.gflops()},
          {"gbs", cost.gbs()},
          {"share_of_ceiling", cost.share()},
          {"share_of_ceiling_at_best", cost.best_share()}};
}

Json profile_json(const inversion::AttackRun& attack, const Ceilings& c, const Costs& costs) {
  const Plan& plan = attack.plan();
  Json caches = Json::object(), reading = Json::object();
  for (std::size_t i = 0; i < c.read_gbs.size(); ++i) {
    if (i < c.cache_bytes.size()) caches[kernels::kLevelNames[i]] = c.cache_bytes[i];
    reading[kernels::kLevelNames[i]] = c.read_gbs[i];
  }
  Json gflops{{"f32", c.gflops[0]}, {"f64", c.gflops[1]}};
  if (c.tensor_gflops > 0) gflops["tf32"] = c.tensor_gflops;
  if (c.bf16_gflops > 0) gflops["bf16"] = c.bf16_gflops;
  Json by_op = Json::array(), steps = Json::array();
  for (const OpCost& op : costs.ops) {
    by_op.push_back({{"op", op.op}, {"steps", op.steps}});
    by_op.back().update(cost_json(op.cost, costs.runs.seconds));
  }
  for (const StepCost& s : costs.steps) {
    const double bytes = step_bytes(*s.step);
    steps.push_back({{"phase", s.setup ? "setup" : "iteration"},
                     {"index", s.index},
                     {"op", s.step->kernel->op},
                     {"kernel", s.step->kernel->name},
                     {"what", s.step->what},
                     {"flops", s.step->flops},
                     {"bytes", bytes},
                     {"level", kernels::kLevelNames[static_cast<std::size_t>(kernels::level_of(c, bytes))]}});
    steps.back().update(cost_json(s.cost, costs.runs.seconds));
  }
  return {{"schema", "gi_invert_profile/1"},
          {"program", version_line("gi_invert")},
          {"device", device_json(attack)},
          {"plan",
           {{"hash", fmt::format("{:016x}", plan.hash())},
            {"trials", plan.trials()},
            {"lanes", plan.lanes()},
            {"gflop_per_iteration", plan.flops_per_iteration() * 1e-9}}},
          {"ceilings", {{"gflops", gflops}, {"cache_bytes", caches}, {"read_gbs", reading}}},
          {"runs", costs.runs.calls},
          {"seconds", costs.runs.seconds},
          {"seconds_in_steps", costs.in_steps.seconds},
          {"share_of_ceiling", costs.in_steps.share()},
          {"share_of_ceiling_at_best", costs.in_steps.best_share()},
          {"by_op", by_op},
          {"steps", steps}};
}

/// The trace event format: complete events ("X") with microseconds, a track a thread.
Json trace_json(const std::vector<Profile>& profiles) {
  Json events = Json::array();
  const auto name = [&](const char* what, std::size_t thread, const std::string& text) {
    events.push_back({{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", thread}, {"args", {{"name", text}}}});
  };
  name("process_name", 0, "gi_invert");
  Profile::Clock::time_point origin = Profile::Clock::time_point::max();
  for (const Profile& p : profiles)
    for (const Profile::Event& e : p.events()) origin = std::min(origin, e.begin);
  const auto microseconds = [](Profile::Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); };
  for (std::size_t thread = 0; thread < profiles.size(); ++thread) {
    name("thread_name", thread, fmt::format("thread {}", thread));
    for (const Profile::Event& e : profiles[thread].events()) {
      Json event{{"name", e.step == nullptr ? "run of the plan" : e.step->kernel->op},
                 {"cat", e.step == nullptr ? "run" : "step"},
                 {"ph", "X"},
                 {"pid", 1},
                 {"tid", thread},
                 {"ts", microseconds(e.begin - origin)},
                 {"dur", microseconds(e.end - e.begin)}};
      if (e.step != nullptr)
        event["args"] = {
            {"kernel", e.step->kernel->name}, {"what", e.step->what}, {"flops", e.step->flops}, {"bytes", step_bytes(*e.step)}};
      events.push_back(std::move(event));
    }
  }
  return {{"traceEvents", events}, {"displayTimeUnit", "ns"}};
}

}  // namespace

nlohmann::json device_json(const inversion::AttackRun& attack) {
  const Device* const device = attack.device();
  return {{"kind", device != nullptr ? "cuda" : "cpu"},
          {"name", device != nullptr ? device->name() : processor_name()},
          {"isa", kernels::kIsaNames[static_cast<int>(attack.plan().isa())]},
          {"threads", attack.threads()},
          {"threads_per_chunk", attack.threads_per_chunk()}};
}

void write_profile(const std::filesystem::path& folder, const inversion::AttackRun& attack, const inversion::RunResult& run) {
  Device* const device = attack.device();
  const Ceilings ceilings = device != nullptr ? measure_ceilings(*device) : kernels::measure_ceilings(attack.plan().isa());
  const Costs costs = sum_up(attack.plan(), ceilings, run.profiles, attack.threads_per_chunk());
  models::write_file_atomically(folder / "profile.json", profile_json(attack, ceilings, costs).dump(2) + "\n");
  models::write_file_atomically(folder / "trace.json", trace_json(run.profiles).dump() + "\n");
  print(attack.plan(), ceilings, costs, run.profiles.size(), attack.threads_per_chunk());
  fmt::print("\nprofile:   {}\ntrace:     {} (chrome://tracing, ui.perfetto.dev)\n", (folder / "profile.json").string(),
             (folder / "trace.json").string());
}

}  // namespace gi::tools
