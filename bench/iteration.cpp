// gi_bench_iteration: the time of one iteration of the attack, for one trial or a population. Prints one JSON object.
//
// A population is run as gi_invert runs it: in chunks of trials, every thread taking whole chunks through their own Workspace.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/core/error.h"
#include "engine/exec/workspace.h"
#include "inversion/attack.h"
#include "inversion/client.h"
#include "models/normalization.h"
#include "models/random.h"
#include "models/weight_files.h"
#include "models/zoo.h"

namespace {

using namespace gi;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string model = "lenetzhu", weights, mode = "eval", dtype = "f32";
  std::int64_t trials = 1, chunk = 0, batch = 1, threads = 1, steps = 0, blocks = 5, lanes = 0;
  double seconds = 3;
  bool victims = false, explain = false;
};

/// `count` clients with one batch of noise images each.
inversion::Problem make_problem(const Options& options, std::int64_t count) {
  inversion::Problem problem{.model = models::find_model(options.model)};
  problem.mode = options.mode == "train" ? models::Mode::train : models::Mode::eval;
  problem.images = options.batch;
  const models::Normalization& normalization = models::normalization(models::model_info(options.model).normalization);
  for (std::int64_t c = 0; c < problem.model.image.channels; ++c) {
    const auto at = std::min<std::size_t>(c, normalization.mean.size() - 1);
    problem.mean.push_back(normalization.mean[at]);
    problem.std.push_back(normalization.std[at]);
  }
  problem.networks.push_back(options.weights.empty() ? models::initialise(problem.model, 42)
                                                     : models::load_weights(options.weights, problem.model));
  inversion::Client client(problem.model, problem.mode, problem.images, DType::f64);
  for (std::int64_t v = 0; v < count; ++v) {
    Tensor x(problem.candidates(1), DType::f64);
    models::Random random(v, "bench/truth");
    for (double& value : x.as<double>()) value = random.normal();
    std::vector<std::int64_t> labels;
    for (std::int64_t n = 0; n < problem.images; ++n) labels.push_back((v + n) % problem.model.classes);
    problem.victims.push_back({client.answer(problem.networks.front(), x, labels).gradient, labels});
  }
  return problem;
}

struct Time {
  double wall = 0, processor = 0;  // seconds; the processor's of all threads
  bool operator<(const Time& other) const { return wall < other.wall; }
};

/// The time in which `threads` threads take `chunks` chunks through `steps` iterations each, divided by `steps`.
Time time_population(std::vector<std::unique_ptr<Workspace>>& workspaces, std::int64_t chunks, std::int64_t steps) {
  const auto threads = static_cast<std::int64_t>(workspaces.size());
  Clock::time_point begin;
  std::clock_t processor = 0;
  std::barrier together(threads, [&]() noexcept {
    begin = Clock::now();
    processor = std::clock();
  });
  std::atomic<std::int64_t> next = 0;
  const auto work = [&](std::int64_t thread) {
    together.arrive_and_wait();
    while (next++ < chunks)
      for (std::int64_t step = 0; step < steps; ++step) workspaces[thread]->run();
  };
  std::vector<std::thread> others;
  for (std::int64_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  return {wall / static_cast<double>(steps),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC / static_cast<double>(steps)};
}

nlohmann::json measure(const Options& options) {
  const DType dtype = options.dtype == "f64" ? DType::f64 : DType::f32;
  const std::int64_t lanes = kernels::pack_lanes(kernels::best_isa());
  const std::int64_t chunk = options.chunk > 0 ? options.chunk : options.trials % lanes == 0 ? lanes : options.trials;
  if (options.trials % chunk != 0) throw UsageError("--chunk: must divide --trials");
  const std::int64_t chunks = options.trials / chunk, threads = std::min(options.threads, chunks);

  const inversion::Problem problem = make_problem(options, options.victims ? chunk : 1);
  const inversion::AttackOptions attack{.steps = 1'000'000, .restarts = options.victims ? 1 : chunk};
  const Program program = inversion::attack_program(problem, attack, chunk);
  const Plan plan = Plan::compile(program, {.dtype = dtype, .lanes = options.lanes});
  if (options.explain) std::fputs(plan.explain().c_str(), stderr);

  std::vector<inversion::TrialId> ids;
  for (std::int64_t t = 0; t < chunk; ++t) ids.push_back(options.victims ? inversion::TrialId{t, 0} : inversion::TrialId{0, t});
  std::vector<std::unique_ptr<Workspace>> workspaces;
  for (std::int64_t thread = 0; thread < threads; ++thread) {
    workspaces.push_back(std::make_unique<Workspace>(plan));
    for (const auto& [name, tensor] : inversion::attack_inputs(problem, attack, ids)) workspaces.back()->set(name, tensor);
    for (const auto& [name, tensor] : inversion::attack_start(problem, attack, ids)) workspaces.back()->set(name, tensor);
    workspaces.back()->run();  // constants, inputs
  }
  const double first_cost = workspaces.front()->get("cost").at(0);

  const double once = time_population(workspaces, chunks, 1).wall;
  const auto fill = [once](double seconds) { return std::max<std::int64_t>(1, std::llround(seconds / once)); };
  time_population(workspaces, chunks, fill(0.2 * options.seconds));
  const std::int64_t steps = options.steps > 0 ? options.steps : fill(options.seconds / static_cast<double>(options.blocks));
  std::vector<Time> figures;
  for (std::int64_t block = 0; block < options.blocks; ++block) figures.push_back(time_population(workspaces, chunks, steps));
  std::sort(figures.begin(), figures.end());
  const double median = figures[figures.size() / 2].wall;
  const double work = plan.flops_per_iteration() * static_cast<double>(chunks);
  return {{"program", "gi"},
          {"model", options.model},
          {"mode", options.mode},
          {"dtype", options.dtype},
          {"isa", kernels::kIsaNames[static_cast<std::size_t>(plan.isa())]},
          {"trials", options.trials},
          {"chunk", chunk},
          {"lanes", plan.lanes()},
          {"victims", options.victims ? chunk : 1},
          {"batch", options.batch},
          {"threads", options.threads},
          {"blocks_of", steps},
          {"first_cost", first_cost},
          {"gflop_per_iteration", work / 1e9},
          {"gflop_per_second", work / median / 1e9},
          {"arena_bytes", plan.arena_bytes()},
          {"unshared_bytes", plan.unshared_bytes()},
          {"workspace_bytes", plan.workspace_bytes()},
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
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"eval", "train"}))->capture_default_str();
  app.add_option("--dtype", options.dtype)->check(CLI::IsMember({"f32", "f64"}))->capture_default_str();
  app.add_option("--trials", options.trials, "size of the population")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--chunk", options.chunk, "trials of one Plan; default: one pack where that divides --trials, else all");
  app.add_option("--lanes", options.lanes, "trials side by side; 0: the Plan chooses")->capture_default_str();
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
  try {
    std::printf("%s\n", measure(options).dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gi_bench_iteration: error: %s\n", error.what());
    return 1;
  }
}
