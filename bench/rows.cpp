#include "bench/rows.h"

#include <fmt/format.h>

#include "bench/table.h"

namespace gi::bench {

using benchmark::Counter;
using kernels::Ceilings;

namespace {

const char* name_of(DType dtype) { return dtype == DType::f32 ? "f32" : "f64"; }

/// Seconds that are to become a share of the time taken.
Counter over_time(double seconds) { return Counter(seconds, Counter::kIsIterationInvariantRate); }

void count_shares(benchmark::State& state, double flops, double least, double least_call) {
  state.counters["gflops"] = over_time(flops * 1e-9);
  state.counters[kShare] = over_time(least);
  state.counters[kBestShare] = least / least_call;
  state.counters[kLeast] = least;
}

}  // namespace

void count(benchmark::State& state, const Ceilings& ceilings, const Workload& workload, const kernels::Kernel& kernel,
           double least_call, const Known& known) {
  const double bytes = workload.bytes();
  const double least = kernels::least_seconds(ceilings, workload.flops, kernel, bytes);
  const bool arithmetic = least > kernels::least_seconds(ceilings, 0, kernel, bytes);
  state.SetLabel(arithmetic ? "arithmetic" : kernels::kLevelNames[static_cast<std::size_t>(kernels::level_of(ceilings, bytes))]);
  count_shares(state, workload.flops, least, least_call);
  state.counters["gbytes"] = over_time(bytes * 1e-9);
  for (const auto& [name, seconds] : known.library_seconds) state.counters[kTimesAsFast + name] = over_time(seconds);
}

std::string iteration_name(const PopulationOptions& options) {
  return fmt::format("iteration/{}/{}{}/{} trial{}", options.model, options.mode == models::Mode::train ? "train" : "eval",
                     options.batch > 1 ? fmt::format(", batch {}", options.batch) : "", options.trials,
                     options.trials > 1 ? "s" : "");
}

void count_iteration(benchmark::State& state, double flops, double least, double least_call) {
  state.SetLabel("arithmetic");
  count_shares(state, flops, least, least_call);
}

const Workload& Rows::keep(Workload workload) { return *workloads_.emplace_back(std::make_unique<Workload>(std::move(workload))); }

std::string Rows::row_name(const Workload& workload, const kernels::Kernel& kernel) {
  const std::string stem = fmt::format("{}/{}/{}x{}/{}/{}", workload.op, kernel.name, name_of(workload.dtype), workload.trials(),
                                       workload.form, workload.label);
  std::string name = stem;
  for (int copy = 2; !names_.insert(name).second; ++copy) name = fmt::format("{} ({})", stem, copy);
  return name;
}

void Rows::tell(const std::string& prefix, const Ceilings& ceilings) {
  const auto ceiling = [&](std::string_view of, std::string_view unit, double value) {
    if (value > 0) benchmark::AddCustomContext(fmt::format("{}ceiling {} {}", prefix, of, unit), fmt::format("{:.1f}", value));
  };
  for (const DType dtype : {DType::f32, DType::f64})
    ceiling(name_of(dtype), "GFLOP/s", ceilings.gflops[static_cast<std::size_t>(dtype)]);
  ceiling("TF32", "GFLOP/s", ceilings.tensor_gflops);
  ceiling("3xTF32", "GFLOP/s", ceilings.tensor_gflops / 3);
  ceiling("bf16x3", "GFLOP/s", ceilings.bf16_gflops / 3);
  for (std::size_t level = 0; level < kernels::kLevelNames.size(); ++level)
    ceiling(kernels::kLevelNames[level], "GB/s", ceilings.read_gbs[level]);
}

}  // namespace gi::bench
