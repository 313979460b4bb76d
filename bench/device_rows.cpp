#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "bench/rows.h"
#include "bench/table.h"
#include "engine/core/error.h"
#include "engine/device/device_ceilings.h"

namespace gi::bench {

using kernels::Kernel;

namespace {

/// The name of NVIDIA's library that a kernel calls; empty: it is ours.
std::string library_of(const Kernel& kernel) {
  const std::string_view name = kernel.name;
  const std::string precision = name.ends_with("_tf32") ? " TF32" : "";
  if (name.starts_with("cudnn")) return "cuDNN" + precision;
  if (name.starts_with("cublas")) return "cuBLAS" + precision;
  return "";
}

/// A call's seconds on the device, once it has run: a first call of a library or of a kernel may wait for the host.
class Replay {
 public:
  Replay(const Workload& workload, const Kernel& kernel, Device& device) : call_(workload, kernel, &device), device_(device) {
    call_.run();
    device_.synchronize();
  }
  double seconds_of(std::int64_t times) {
    if (times != times_) {
      replay_ = device_.recorded([&] {
        for (std::int64_t i = 0; i < times; ++i) call_.run();
      });
      times_ = times;
      device_.seconds_of(replay_);  // the first of a recording brings it to the device
    }
    return device_.seconds_of(replay_);
  }

 private:
  Call call_;
  Device& device_;
  std::function<void()> replay_;
  std::int64_t times_ = 0;
};

/// A row that something keeps from being measured is skipped with that for a reason.
template <class Measure>
void measured(benchmark::State& state, const std::string& reason, const Measure& measure) {
  if (!reason.empty()) return state.SkipWithError(reason.c_str());
  try {
    measure();
  } catch (const DeviceError& e) {
    state.SkipWithError(e.what());
  }
}

/// The best of a few times of a call, a fifth of a millisecond or more of them at once.
double best_seconds(Replay& replay) {
  const auto times = static_cast<std::int64_t>(2e-4 / replay.seconds_of(1)) + 1;
  double best = replay.seconds_of(times);
  for (int i = 0; i < 9; ++i) best = std::min(best, replay.seconds_of(times));
  return best / static_cast<double>(times);
}

}  // namespace

/// Of those that serve, found once for all kernels of a workload. Why one fails its own row says.
std::map<std::string, double> DeviceRows::library_seconds(const Workload& workload) {
  const auto [known, is_new] = library_seconds_.try_emplace(&workload);
  if (!is_new) return known->second;
  for (const Kernel* kernel : workload.kernels(device_->kernels()))
    if (const std::string library = library_of(*kernel); !library.empty()) try {
        Replay replay(workload, *kernel, *device_);
        known->second[library] = best_seconds(replay);
      } catch (const DeviceError&) {
      }
  return known->second;
}

void DeviceRows::time_kernel(benchmark::State& state, const Workload& workload, const Kernel& kernel, Known& known) {
  if (library_of(kernel).empty()) known.library_seconds = library_seconds(workload);
  Replay replay(workload, kernel, *device_);
  const double seconds = least_seconds_of(state, 2e-4, known, [&replay](std::int64_t times) { return replay.seconds_of(times); });
  count(state, ceilings_, workload, kernel, seconds, known);
}

void DeviceRows::time_iteration(benchmark::State& state, const PopulationOptions& options, Known& known) {
  Population population(options);
  const double seconds = least_seconds_of(
      state, 0.02, known, [&population](std::int64_t times) { return static_cast<double>(times) * population.run(times).wall; });
  const double flops = population.flops_per_iteration();
  count_iteration(state, flops, kernels::least_seconds(ceilings_, flops, options.dtype, 0), seconds);
}

void DeviceRows::add_kernels() {
  for (const DType dtype : {DType::f32, DType::f64}) add(case_workloads(dtype, 1));
  if (device_ == nullptr) return;
  struct Steps {
    DType dtype;
    std::int64_t trials;
  };
  for (const Steps steps : {Steps{DType::f32, 1}, Steps{DType::f32, 16}, Steps{DType::f64, 1}})
    for (const Network& network : networks())
      add(step_workloads(network, steps.trials, {.dtype = steps.dtype, .device = device_, .lanes = 1}));
}

void DeviceRows::add(std::vector<Workload> workloads) {
  for (Workload& w : workloads) {
    const Workload& workload = keep(std::move(w));
    bool chosen = false;  // a Plan takes the first that serves it unasked
    for (const Kernel& kernel : device_ != nullptr ? device_->kernels() : kernels::cuda_kernels()) {
      if (!workload.is_for(kernel)) continue;
      const char* const declined = workload.declined(kernel);
      if (declined != nullptr && library_of(kernel).empty()) continue;
      const std::string reason = declined != nullptr ? declined : reason_;
      const bool first = !chosen && declined == nullptr && !kernel.on_request;
      const int calls = first ? workload.calls : 0;
      chosen = chosen || first;
      benchmark::RegisterBenchmark(row_name(workload, kernel).c_str(),
                                   [this, &workload, &kernel, reason, calls, known = Known()](benchmark::State& state) mutable {
                                     measured(state, reason, [&] { time_kernel(state, workload, kernel, known); });
                                     if (calls > 0) state.counters[kCalls] = calls;
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

void DeviceRows::add_iterations() {
  for (const Network& network : networks())
    for (const std::int64_t trials : network.populations) {
      if (trials == 0) continue;
      PopulationOptions options = population_of(network);
      options.device = device_;
      options.trials = trials;
      benchmark::RegisterBenchmark((iteration_name(options) + "/cuda").c_str(),
                                   [this, options, known = Known()](benchmark::State& state) mutable {
                                     measured(state, reason_, [&] { time_iteration(state, options, known); });
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}

void DeviceRows::measure_ceilings() {
  if (device_ == nullptr) return;
  ceilings_ = gi::measure_ceilings(*device_);
  benchmark::AddCustomContext("device", device_->name());
  tell("device ", ceilings_);
}

}  // namespace gi::bench
