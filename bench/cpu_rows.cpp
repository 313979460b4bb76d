#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "bench/libraries/libraries.h"
#include "bench/rows.h"
#include "bench/table.h"

namespace gi::bench {

namespace {

void time_kernel(benchmark::State& state, const Workload& workload, const kernels::Kernel& kernel,
                 const kernels::Ceilings& ceilings, Known& known) {
  const Call call(workload, kernel);
  if (known.library_seconds.empty() && workload.prepared_for == nullptr)
    for (const Library& library : kLibraries)
      if (const Work work = library.work(workload, call.arguments())) known.library_seconds[library.name] = seconds_of(work);
  const double seconds = least_seconds_of(state, 2e-4, known, [&call](std::int64_t times) {
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < times; ++i) call.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  });
  count(state, ceilings, workload, kernel, seconds, known);
}

void time_iteration(benchmark::State& state, const PopulationOptions& options, const kernels::Ceilings& ceilings, Known& known) {
  Population population(options);
  const double seconds = least_seconds_of(
      state, 0.02, known, [&population](std::int64_t times) { return static_cast<double>(times) * population.run(times).wall; });
  const double flops = population.flops_per_iteration();
  count_iteration(state, flops, kernels::least_seconds(ceilings, flops, options.dtype, 0) / static_cast<double>(options.threads),
                  seconds);
}

}  // namespace

void CpuRows::add_kernels() {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const std::int64_t lanes : {std::int64_t{1}, kernels::pack_lanes(isa_)}) {
      add(case_workloads(dtype, lanes));
      for (const Network& network : networks()) add(step_workloads(network, lanes, {.dtype = dtype, .isa = isa_, .lanes = lanes}));
    }
}

void CpuRows::add(std::vector<Workload> workloads) {
  for (Workload& w : workloads) {
    const Workload& workload = keep(std::move(w));
    const auto serving = workload.kernels(kernels::cpu_kernels(isa_));
    const auto chosen = std::ranges::find_if(serving, [](const kernels::Kernel* k) { return !k->on_request; });
    for (const kernels::Kernel* kernel : serving) {
      const int calls = chosen != serving.end() && kernel == *chosen ? workload.calls : 0;
      benchmark::RegisterBenchmark(row_name(workload, *kernel).c_str(), [this, &workload, kernel, calls,
                                                                         known = Known()](benchmark::State& state) mutable {
        time_kernel(state, workload, *kernel, ceilings_, known);
        if (calls > 0) state.counters[kCalls] = calls;
      })->Unit(benchmark::kMicrosecond);
    }
  }
}

void CpuRows::add_iterations() {
  const std::int64_t pack = kernels::pack_lanes(isa_);
  struct Row {
    std::int64_t trials, threads;
  };
  for (const Network& network : networks())
    for (const Row row : {Row{1, 1}, Row{1, 2}, Row{pack, 1}, Row{2 * pack, 2}}) {
      PopulationOptions options = population_of(network);
      options.isa = isa_;
      options.trials = row.trials;
      options.threads = row.threads;
      const std::string name = fmt::format("{}/{} thread{}", iteration_name(options), row.threads, row.threads > 1 ? "s" : "");
      benchmark::RegisterBenchmark(
          name.c_str(),
          [this, options, known = Known()](benchmark::State& state) mutable { time_iteration(state, options, ceilings_, known); })
          ->UseRealTime()
          ->MeasureProcessCPUTime()
          ->Unit(benchmark::kMillisecond);
    }
}

void CpuRows::measure_ceilings() {
  ceilings_ = kernels::measure_ceilings(isa_);
  benchmark::AddCustomContext("isa", kernels::kIsaNames[static_cast<std::size_t>(isa_)]);
  tell("", ceilings_);
}

}  // namespace gi::bench
