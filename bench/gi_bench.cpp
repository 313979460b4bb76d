// gi_bench: the speed of every kernel, over the case lists and the steps of real attacks, and of whole iterations; each beside
// what this machine can do at most, and beside other libraries where they do the same.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include "bench/libraries/libraries.h"
#include "bench/population.h"
#include "bench/table.h"
#include "bench/workload.h"
#include "engine/core/error.h"
#include "engine/device/cuda_device.h"
#include "kernels/api/ceilings.h"

namespace {

using namespace gi;
using namespace gi::bench;
using benchmark::Counter;
using kernels::Ceilings;

struct Options {
  kernels::Isa isa = kernels::best_isa();
  std::string filter;
  bool table = false;
  double below = 0;
};

const char* name_of(DType dtype) { return dtype == DType::f32 ? "f32" : "f64"; }

/// Seconds that are to become a share of the time taken.
Counter over_time(double seconds) { return Counter(seconds, Counter::kIsIterationInvariantRate); }

/// What the first of a measurement's repetitions finds out for all.
struct Known {
  benchmark::IterationCount at_once = 0;  ///< calls that are timed together: the same in all repetitions, for Google Benchmark
  std::map<std::string, double> library_seconds;
};

/// Runs as often as Google Benchmark wants, where run(n) does n calls and returns the seconds they took, `seconds` or more at once.
/// Returns the least seconds of a call: what it takes undisturbed, which is how the ceilings are measured too.
template <class Run>
double least_seconds_of(benchmark::State& state, double seconds, Known& known, const Run& run) {
  run(1);
  if (known.at_once == 0) known.at_once = static_cast<benchmark::IterationCount>(seconds / run(1)) + 1;
  double least = std::numeric_limits<double>::infinity();
  while (state.KeepRunningBatch(known.at_once)) least = std::min(least, run(known.at_once) / static_cast<double>(known.at_once));
  return least;
}

void time_kernel(benchmark::State& state, const Workload& workload, const kernels::Kernel& kernel, const Ceilings& ceilings,
                 Known& known) {
  const Call call(workload, kernel);
  if (known.library_seconds.empty())
    for (const Library& library : kLibraries)
      if (const Work work = library.work(workload, call.arguments())) known.library_seconds[library.name] = seconds_of(work);
  const double seconds = least_seconds_of(state, 2e-4, known, [&call](std::int64_t times) {
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < times; ++i) call.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  });

  const double bytes = workload.bytes(), flops = workload.flops;
  const double least = kernels::least_seconds(ceilings, flops, workload.dtype, bytes);
  const bool arithmetic = least > kernels::least_seconds(ceilings, 0, workload.dtype, bytes);
  state.SetLabel(arithmetic ? "arithmetic" : kernels::kLevelNames[static_cast<std::size_t>(kernels::level_of(ceilings, bytes))]);
  state.counters["gflops"] = over_time(flops * 1e-9);
  state.counters["gbytes"] = over_time(bytes * 1e-9);
  state.counters[kShare] = over_time(least);
  state.counters[kBestShare] = least / seconds;
  state.counters[kLeast] = least;
  if (workload.calls > 0 && &kernel == workload.kernels(kernel.isa).front()) state.counters[kCalls] = workload.calls;
  for (const auto& [name, seconds] : known.library_seconds) state.counters[kTimesAsFast + name] = over_time(seconds);
}

void time_iteration(benchmark::State& state, const PopulationOptions& options, const Ceilings& ceilings, Known& known) {
  Population population(options);
  const double seconds = least_seconds_of(
      state, 0.02, known, [&population](std::int64_t times) { return static_cast<double>(times) * population.run(times).wall; });
  const double flops = population.flops_per_iteration();
  const double least = kernels::least_seconds(ceilings, flops, options.dtype, 0) / static_cast<double>(options.threads);
  state.SetLabel("arithmetic");
  state.counters["gflops"] = over_time(flops * 1e-9);
  state.counters[kShare] = over_time(least);
  state.counters[kBestShare] = least / seconds;
  state.counters[kLeast] = least;
}

/// Registers what the benchmarks refer to stays where it is until they have run.
class Registry {
 public:
  explicit Registry(const Options& options) : options_(options) {}

  void add_kernels() {
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t lanes : {std::int64_t{1}, kernels::pack_lanes(options_.isa)}) {
        add(case_workloads(dtype, lanes));
        for (const Network& network : networks()) add(step_workloads(network, dtype, lanes, options_.isa));
      }
  }

  /// CUDA kernels over the case lists. Each says why it is not measured.
  void add_device_kernels() {
    std::string reason;
    try {
      reason = fmt::format("kernels are not timed on a device yet ({})", find_cuda_device());
    } catch (const DeviceError& e) {
      reason = e.what();
    }
    for (const DType dtype : {DType::f32, DType::f64})
      for (const Workload& workload : case_workloads(dtype, 1))
        for (const kernels::Kernel* kernel : workload.kernels(kernels::Isa::cuda))
          benchmark::RegisterBenchmark(row_name(workload, *kernel).c_str(),
                                       [reason](benchmark::State& state) { state.SkipWithError(reason.c_str()); });
  }

  void add_iterations() {
    const std::int64_t pack = kernels::pack_lanes(options_.isa);
    struct Row {
      std::int64_t trials, threads;
    };
    for (const Network& network : networks())
      for (const Row row : {Row{1, 1}, Row{1, 2}, Row{pack, 1}, Row{2 * pack, 2}}) {
        PopulationOptions options{.model = network.model,
                                  .mode = network.train ? models::Mode::train : models::Mode::eval,
                                  .isa = options_.isa,
                                  .trials = row.trials,
                                  .batch = network.batch,
                                  .threads = row.threads};
        const std::string name =
            fmt::format("iteration/{}/{}/{} trial{}/{} thread{}", network.model, network.train ? "train" : "eval", row.trials,
                        row.trials > 1 ? "s" : "", row.threads, row.threads > 1 ? "s" : "");
        benchmark::RegisterBenchmark(
            name.c_str(),
            [this, options, known = Known()](benchmark::State& state) mutable { time_iteration(state, options, ceilings_, known); })
            ->UseRealTime()
            ->MeasureProcessCPUTime()
            ->Unit(benchmark::kMillisecond);
      }
  }

  void measure_ceilings() {
    ceilings_ = kernels::measure_ceilings(options_.isa);
    const auto context = [](const std::string& key, double value) {
      benchmark::AddCustomContext(key, fmt::format("{:.1f}", value));
    };
    benchmark::AddCustomContext("isa", kernels::kIsaNames[static_cast<std::size_t>(options_.isa)]);
    for (const DType dtype : {DType::f32, DType::f64})
      context(fmt::format("ceiling {} GFLOP/s", name_of(dtype)), ceilings_.gflops[static_cast<std::size_t>(dtype)]);
    for (std::size_t level = 0; level < kernels::kLevelNames.size(); ++level)
      context(fmt::format("ceiling {} GB/s", kernels::kLevelNames[level]), ceilings_.read_gbs[level]);
  }

  const Ceilings& ceilings() const { return ceilings_; }

 private:
  void add(std::vector<Workload> workloads) {
    for (Workload& w : workloads) {
      const Workload& workload = *workloads_.emplace_back(std::make_unique<Workload>(std::move(w)));
      for (const kernels::Kernel* kernel : workload.kernels(options_.isa)) {
        benchmark::RegisterBenchmark(row_name(workload, *kernel).c_str(), [this, &workload, kernel,
                                                                           known = Known()](benchmark::State& state) mutable {
          time_kernel(state, workload, *kernel, ceilings_, known);
        })->Unit(benchmark::kMicrosecond);
      }
    }
  }

  /// Two rows never have the same.
  std::string row_name(const Workload& workload, const kernels::Kernel& kernel) {
    const std::string stem = fmt::format("{}/{}/{}x{}/{}/{}", workload.op, kernel.name, name_of(workload.dtype), workload.lanes,
                                         workload.form, workload.label);
    std::string name = stem;
    for (int copy = 2; !names_.insert(name).second; ++copy) name = fmt::format("{} ({})", stem, copy);
    return name;
  }

  const Options& options_;
  Ceilings ceilings_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::set<std::string> names_;
};

int run(const Options& options, std::vector<std::string> arguments) {
  const bool list = std::ranges::any_of(arguments, [](const std::string& a) { return a.starts_with("--benchmark_list_tests"); });
  // Google Benchmark takes the last of options given twice.
  arguments.insert(arguments.begin(), {"gi_bench", "--benchmark_min_time=0.05"});
  if (!options.filter.empty()) arguments.push_back("--benchmark_filter=" + options.filter);
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  if (benchmark::ReportUnrecognizedArguments(argc, argv.data())) return 2;

  Registry registry(options);
  registry.add_kernels();
  registry.add_device_kernels();
  registry.add_iterations();
  if (!list) registry.measure_ceilings();
  if (options.table || options.below > 0) {
    TableReporter reporter = options.below > 0 ? TableReporter(options.below) : TableReporter();
    benchmark::RunSpecifiedBenchmarks(&reporter);
  } else {
    benchmark::RunSpecifiedBenchmarks();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string isa = kernels::kIsaNames[static_cast<std::size_t>(options.isa)];
  CLI::App app{
      "Times kernels and whole iterations against the ceilings of this machine. Options that begin with --benchmark_ go "
      "to Google Benchmark, e.g. --benchmark_out=FILE, --benchmark_repetitions=5."};
  app.allow_extras();
  app.add_option("--isa", isa, "portable, avx2 or avx512, of those this processor has")
      ->check(CLI::IsMember(
          std::vector<std::string>(kernels::kIsaNames.begin(), kernels::kIsaNames.begin() + 1 + static_cast<int>(options.isa))))
      ->capture_default_str();
  app.add_option("--filter", options.filter, "only measurements whose names match this regular expression");
  app.add_flag("--table", options.table, "a table by op, the furthest below the ceiling first");
  app.add_option("--below", options.below, "the table with only the rows below this share of the ceiling, e.g. 0.5")
      ->check(CLI::Range(0.0, 1.0));
  CLI11_PARSE(app, argc, argv);
  for (std::size_t i = 0; i < kernels::kIsaNames.size(); ++i)
    if (isa == kernels::kIsaNames[i]) options.isa = static_cast<kernels::Isa>(i);
  try {
    return run(options, app.remaining());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gi_bench: error: %s\n", error.what());
    return 1;
  }
}
