#include "bench/population.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <ctime>
#include <limits>
#include <map>
#include <thread>

#include "engine/core/error.h"
#include "inversion/attack.h"
#include "inversion/client.h"
#include "inversion/run.h"
#include "models/normalization.h"
#include "models/random.h"
#include "models/weight_files.h"
#include "models/zoo.h"

namespace gi::bench {

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t victims_of(const PopulationOptions& options, std::int64_t chunk) { return options.victims ? chunk : 1; }

inversion::AttackOptions attack_of(const PopulationOptions& options, std::int64_t chunk) {
  return {.steps = 1'000'000, .restarts = chunk / victims_of(options, chunk), .images_as_trials = options.images};
}

Plan plan_of(const inversion::Problem& problem, const PopulationOptions& options, std::int64_t chunk) {
  const Program program = inversion::attack_program(problem, attack_of(options, chunk), chunk);
  PlanOptions plan{.dtype = options.dtype, .isa = options.isa, .device = options.device, .lanes = options.lanes};
  if (!options.products.empty()) plan.force["products"] = options.products;
  if (!options.winograd.empty()) plan.force["winograd"] = options.winograd;
  return Plan::compile(program, plan);
}

/// Numbers of a Plan's largest value.
std::int64_t largest_value(const Plan& plan) {
  std::int64_t most = 1;
  for (const Plan::Step& step : plan.iteration())
    for (const Plan::Operand& o : step.out) most = std::max(most, o.layout.count());
  return most;
}

/// The most trials that divide all, whose memory the device has and whose values its kernels can count in int.
std::int64_t chunk_on_device(const PopulationOptions& options) {
  const Plan of_one = plan_of(silent_problem(options, 1), options, 1);
  const auto memory = static_cast<std::int64_t>(options.device->free_memory() / 10 * 9 / of_one.workspace_bytes());
  const std::int64_t most = std::min(memory, std::numeric_limits<int>::max() / largest_value(of_one));
  std::int64_t chunk = std::clamp<std::int64_t>(most, 1, options.trials);
  while (options.trials % chunk != 0) --chunk;
  return chunk;
}

/// Full packs where they pay.
std::int64_t chunk_on_processor(const PopulationOptions& options) {
  const std::int64_t pack = kernels::pack_lanes(options.isa);
  if (options.images) return 1;
  if (options.lanes != 0) return options.lanes;
  if (options.trials % pack != 0) return 1;
  return inversion::pack_pays(plan_of(silent_problem(options, victims_of(options, pack)), options, pack)) ? pack : 1;
}

std::int64_t chunk_of(const PopulationOptions& options) {
  std::int64_t chunk = options.chunk;
  if (chunk == 0) chunk = options.device != nullptr ? chunk_on_device(options) : chunk_on_processor(options);
  if (options.trials % chunk != 0)
    throw UsageError(fmt::format("--trials: {} do not divide into chunks of {}", options.trials, chunk));
  return chunk;
}

/// With images side by side where attacks have them so.
PopulationOptions settled(PopulationOptions options) {
  if (options.images || options.device != nullptr || options.chunk != 0 || options.lanes != 0) return options;
  if (!options.winograd.empty() || !options.products.empty()) return options;
  const inversion::Problem problem = silent_problem(options, 1);
  if (!inversion::fills_packs(problem, kernels::pack_lanes(options.isa))) return options;
  options.images = true;
  options.images = inversion::images_pay(plan_of(problem, options, 1), options.trials);
  return options;
}

/// Every client sends the gradient of one batch of noise.
inversion::Problem make_problem(const PopulationOptions& options, std::int64_t victims) {
  inversion::Problem problem = silent_problem(options, victims);
  inversion::Client client(problem.model, problem.mode, problem.images, options.dtype);
  for (std::int64_t v = 0; v < victims; ++v) {
    Tensor x(problem.candidates(1), DType::f64);
    models::Random random(v, "bench/truth");
    for (double& value : x.as<double>()) value = random.normal();
    std::vector<std::int64_t> labels;
    for (std::int64_t n = 0; n < problem.images; ++n) labels.push_back((v + n) % problem.model.classes);
    problem.victims[v] = {client.answer(problem.networks.front(), x, labels).gradient, labels};
  }
  return problem;
}

}  // namespace

inversion::Problem silent_problem(const PopulationOptions& options, std::int64_t victims) {
  inversion::Problem problem{.model = models::find_model(options.model)};
  problem.mode = options.mode;
  problem.images = options.batch;
  const models::Normalization& normalization = models::normalization(models::model_info(options.model).normalization);
  for (std::int64_t c = 0; c < problem.model.image.channels; ++c) {
    const auto at = std::min<std::size_t>(c, normalization.mean.size() - 1);
    problem.mean.push_back(normalization.mean[at]);
    problem.std.push_back(normalization.std[at]);
  }
  problem.networks.push_back(options.weights.empty() ? models::initialise(problem.model, 42)
                                                     : models::load_weights(options.weights, problem.model));
  problem.victims.resize(victims);
  return problem;
}

Population::Population(const PopulationOptions& given)
    : options_(settled(given)),
      device_(options_.device),
      chunk_(chunk_of(options_)),
      chunks_(options_.trials / chunk_),
      problem_(make_problem(options_, victims_of(options_, chunk_))),
      plan_(std::make_unique<Plan>(plan_of(problem_, options_, chunk_))) {
  const inversion::AttackOptions attack = attack_of(options_, chunk_);
  std::vector<inversion::TrialId> ids;
  for (std::int64_t t = 0; t < chunk_; ++t) ids.push_back(options_.victims ? inversion::TrialId{t, 0} : inversion::TrialId{0, t});
  const std::int64_t threads = device_ != nullptr ? 1 : std::min(options_.threads, chunks_);
  for (std::int64_t thread = 0; thread < threads; ++thread) {
    Workspace& workspace = *workspaces_.emplace_back(
        device_ != nullptr ? std::make_unique<Workspace>(*plan_, *device_)
                           : std::make_unique<Workspace>(*plan_, static_cast<int>(options_.threads / threads)));
    inversion::bind_attack_inputs(problem_, attack, ids,
                                  [&](const std::string& name, const Tensor& value) { workspace.set(name, value); });
    for (const auto& [name, tensor] : inversion::attack_start(problem_, attack, ids)) workspace.set(name, tensor);
    workspace.run();  // constants, inputs
  }
  first_cost_ = workspaces_.front()->get("cost").at(0);
  if (device_ != nullptr) run(1);  // what the others replay
}

Population::Time Population::run(std::int64_t steps) {
  const auto threads = static_cast<std::int64_t>(workspaces_.size());
  Clock::time_point begin;
  std::clock_t processor = 0;
  std::barrier together(threads, [&]() noexcept {
    begin = Clock::now();
    processor = std::clock();
  });
  std::atomic<std::int64_t> next = 0;
  ThreadShares shares(static_cast<int>(options_.threads), static_cast<int>(threads));
  const auto work = [&](std::int64_t thread) {
    Workspace& workspace = *workspaces_[thread];
    if (device_ == nullptr && workspace.threads() != shares.each()) workspace.share(shares.each());  // as the last run left it
    together.arrive_and_wait();
    while (next++ < chunks_)
      for (std::int64_t step = 0; step < steps; ++step) {
        if (const int each = shares.each(); device_ == nullptr && each != workspace.threads()) workspace.share(each);
        workspace.run();
      }
    shares.leave();
  };
  std::vector<std::thread> others;
  for (std::int64_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  if (device_ != nullptr) device_->synchronize();
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  return {wall / static_cast<double>(steps),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC / static_cast<double>(steps)};
}

}  // namespace gi::bench
