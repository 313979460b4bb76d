// gi_bench_iteration: the time of one iteration of the attack, for one trial or a population. Prints one JSON object.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/handover.h"
#include "bench/population.h"
#include "engine/core/error.h"
#include "engine/device/cuda_device.h"
#include "engine/exec/winograd_choice.h"

namespace {

using gi::DType;
using gi::bench::Population;

struct Options : gi::bench::PopulationOptions {
  std::string mode_name = "eval", dtype_name = "f32", device_name = "cpu";
  std::int64_t steps = 0, blocks = 5;
  double seconds = 3;
  bool explain = false;
};

/// Of this process. Not getrusage's: that one starts from what the parent held when it forked.
std::int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return 1024 * std::stoll(line.substr(6));
  return 0;
}

/// How many steps do them as `products` says.
std::int64_t steps_with(const gi::Plan& plan, std::string_view products) {
  return std::ranges::count_if(plan.iteration(),
                               [&](const auto& step) { return gi::kernels::has_products(*step.kernel, products); });
}

nlohmann::json measure(const Options& options) {
  Population population(options);
  const gi::Plan& plan = population.plan();
  if (options.explain) std::fputs(plan.explain().c_str(), stderr);

  std::vector<double> handover;  // before and after
  const auto add_handover = [&] {
    if (options.threads > 1 && options.device == nullptr) handover.push_back(gi::bench::handover_seconds());
  };
  add_handover();
  const double once = population.run(1).wall;
  const auto fill = [once](double seconds) { return std::max<std::int64_t>(1, std::llround(seconds / once)); };
  population.run(fill(0.2 * options.seconds));
  const std::int64_t steps = options.steps > 0 ? options.steps : fill(options.seconds / static_cast<double>(options.blocks));
  std::vector<Population::Time> figures;
  for (std::int64_t block = 0; block < options.blocks; ++block) figures.push_back(population.run(steps));
  add_handover();
  std::sort(figures.begin(), figures.end());
  const double median = figures[figures.size() / 2].wall;
  return {{"program", "gi"},
          {"model", options.model},
          {"mode", options.mode_name},
          {"dtype", options.dtype_name},
          {"products", options.products},
          {"products_steps", options.products.empty() ? 0 : steps_with(plan, options.products)},
          {"device", options.device != nullptr ? options.device->name() : "cpu"},
          {"isa", gi::kernels::kIsaNames[static_cast<std::size_t>(plan.isa())]},
          {"trials", options.trials},
          {"chunk", population.chunk()},
          {"lanes", plan.lanes()},
          {"victims", options.victims ? population.chunk() : 1},
          {"batch", options.batch},
          {"threads", options.threads},
          {"handover_seconds", handover},
          {"blocks_of", steps},
          {"first_cost", population.first_cost()},
          {"gflop_per_iteration", population.flops_per_iteration() / 1e9},
          {"gflop_per_second", population.flops_per_iteration() / median / 1e9},
          {"arena_bytes", plan.arena_bytes()},
          {"unshared_bytes", plan.unshared_bytes()},
          {"workspace_bytes", plan.workspace_bytes()},
          {"peak_memory_bytes", peak_memory_bytes()},
          {"seconds_per_iteration", median},
          {"least_seconds_per_iteration", figures.front().wall},
          {"cpu_seconds_per_iteration", figures[figures.size() / 2].processor},
          {"seconds_per_iteration_per_trial", median / static_cast<double>(options.trials)}};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Times one iteration of the attack and prints the result as JSON."};
  app.add_option("--model", options.model, "a network by name")->capture_default_str();
  app.add_option("--weights", options.weights, "safetensors; default: drawn from seed 42");
  app.add_option("--mode", options.mode_name)->check(CLI::IsMember({"eval", "train"}))->capture_default_str();
  app.add_option("--dtype", options.dtype_name)->check(CLI::IsMember({"f32", "f64"}))->capture_default_str();
  app.add_option("--device", options.device_name, "where it runs: the CPU, or the first CUDA device")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--winograd", options.winograd, "minimal filtering of 3x3 convolutions; default: where it pays")
      ->check(CLI::IsMember(std::vector<std::string>(gi::kWinogradChoices.begin(), gi::kWinogradChoices.end())));
  app.add_option("--products", options.products, "of f32, where there are kernels that do them so: tf32 on a CUDA device, bf16x3");
  app.add_option("--trials", options.trials, "size of the population")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--chunk", options.chunk,
                 "trials of one Plan; default: one pack where that divides --trials and pays, else one; of a device, as many as it "
                 "has memory for");
  app.add_option("--lanes", options.lanes, "trials side by side; 0: the Plan chooses")->capture_default_str();
  app.add_flag("--images-in-lanes", options.images,
               "the images of a trial side by side; without --chunk and --lanes they are wherever attacks have them so");
  app.add_flag("--victims", options.victims, "every trial of a chunk has a gradient of its own; else they are restarts of one");
  app.add_option("--batch", options.batch, "images a trial")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", options.steps, "iterations of a block; default: what fills --seconds");
  app.add_option("--blocks", options.blocks, "measured blocks; the median counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "time to measure for")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--explain", options.explain, "the Plan, on standard error");
  CLI11_PARSE(app, argc, argv);
  options.mode = options.mode_name == "train" ? gi::models::Mode::train : gi::models::Mode::eval;
  options.dtype = options.dtype_name == "f64" ? DType::f64 : DType::f32;
  try {
    std::unique_ptr<gi::Device> device;
    if (options.device_name == "cuda") device = gi::open_cuda_device();
    options.device = device.get();
    std::printf("%s\n", measure(options).dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gi_bench_iteration: error: %s\n", error.what());
    return dynamic_cast<const gi::DeviceError*>(&error) != nullptr ? 3 : 1;
  }
}
