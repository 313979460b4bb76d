// gi_bench: the speed of every kernel, over the case lists and the steps of real attacks, and of whole iterations; each beside
// what this machine can do at most, and beside other libraries where they do the same.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/rows.h"
#include "bench/table.h"
#include "engine/core/error.h"
#include "engine/device/cuda_device.h"

namespace {

using namespace gi;
using namespace gi::bench;

struct Options {
  kernels::Isa isa = kernels::best_isa();
  std::string device = "auto";
  std::string filter;
  bool table = false;
  double below = 0;
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

  std::unique_ptr<Device> device;
  std::string no_device;
  try {
    if (options.device != "cpu") device = open_cuda_device();
  } catch (const DeviceError& e) {
    if (options.device == "cuda") throw;
    no_device = e.what();
  }
  CpuRows cpu_rows(options.isa);
  DeviceRows device_rows(device.get(), no_device);
  const auto add = [list](auto& rows) {
    rows.add_kernels();
    rows.add_iterations();
    if (!list) rows.measure_ceilings();
  };
  if (options.device != "cuda") add(cpu_rows);
  if (options.device != "cpu") add(device_rows);
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
  app.add_option("--device", options.device, "what is timed: the CPU, the first CUDA device, or auto: both, if there is one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
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
    return dynamic_cast<const DeviceError*>(&error) != nullptr ? 3 : 1;
  }
}
