// The rows of gi_bench, registered with Google Benchmark: the CPU's in cpu_rows.cpp, a device's in device_rows.cpp.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bench/workload.h"
#include "kernels/api/ceilings.h"

namespace gi::bench {

/// What the first of a measurement's repetitions finds out for all.
struct Known {
  benchmark::IterationCount at_once = 0;  ///< calls that are timed together: the same in all repetitions, for Google Benchmark
  std::map<std::string, double> library_seconds;
};

/// Runs as often as Google Benchmark wants, where run(n) does n calls and returns the seconds they took, `seconds` or more at once;
/// those are the row's time where that is set by hand. Returns the least seconds of a call: what it takes undisturbed, which is how
/// the ceilings are measured too.
template <class Run>
double least_seconds_of(benchmark::State& state, double seconds, Known& known, const Run& run) {
  run(1);
  if (known.at_once == 0) known.at_once = static_cast<benchmark::IterationCount>(seconds / run(1)) + 1;
  double least = std::numeric_limits<double>::infinity();
  while (state.KeepRunningBatch(known.at_once)) {
    const double taken = run(known.at_once);
    state.SetIterationTime(taken);
    least = std::min(least, taken / static_cast<double>(known.at_once));
  }
  return least;
}

/// The counters of a row, `least_call` being the least seconds of a call.
void count(benchmark::State& state, const kernels::Ceilings& ceilings, const Workload& workload, const kernels::Kernel& kernel,
           double least_call, const Known& known);
/// "iteration/MODEL/MODE/3 trials"
std::string iteration_name(const PopulationOptions& options);
/// Of whole iterations, of which the ceiling lets one pass in `least`.
void count_iteration(benchmark::State& state, double flops, double least, double least_call);

/// Workloads and names of rows.
class Rows {
 public:
  Rows() = default;
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

 protected:
  const Workload& keep(Workload workload);
  /// op/kernel/type x trials/form/case. Two rows never have the same.
  std::string row_name(const Workload& workload, const kernels::Kernel& kernel);
  /// Says in the context of the output what was measured, every key behind `prefix`.
  static void tell(const std::string& prefix, const kernels::Ceilings& ceilings);

  kernels::Ceilings ceilings_;

 private:
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::set<std::string> names_;
};

/// What an instruction set can be timed with; must stay where it is until the benchmarks have run, as DeviceRows.
class CpuRows : Rows {
 public:
  explicit CpuRows(kernels::Isa isa) : isa_(isa) {}
  void add_kernels();
  void add_iterations();
  void measure_ceilings();

 private:
  void add(std::vector<Workload> workloads);

  kernels::Isa isa_;
};

/// What a device can be timed with, in time set by hand: rows end with "/manual_time". Their calls are recorded and replayed, as an
/// attack's are.
class DeviceRows : Rows {
 public:
  /// Without a device every row is skipped with the reason.
  explicit DeviceRows(Device* device, std::string reason = "") : device_(device), reason_(std::move(reason)) {}
  /// Of the case lists and, if there is a device, of the steps of networks. Those of libraries that decline are skipped with the
  /// reason, other kernels that do are left out.
  void add_kernels();
  void add_iterations();
  /// Nothing without a device.
  void measure_ceilings();

 private:
  void add(std::vector<Workload> workloads);
  void time_kernel(benchmark::State& state, const Workload& workload, const kernels::Kernel& kernel, Known& known);
  void time_iteration(benchmark::State& state, const PopulationOptions& options, Known& known);
  std::map<std::string, double> library_seconds(const Workload& workload);

  Device* device_;
  std::string reason_;
  std::map<const Workload*, std::map<std::string, double>> library_seconds_;
};

}  // namespace gi::bench
