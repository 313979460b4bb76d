#include "bench/population.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <ctime>
#include <thread>

#include "engine/core/error.h"
#include "inversion/attack.h"
#include "inversion/client.h"
#include "models/normalization.h"
#include "models/random.h"
#include "models/weight_files.h"
#include "models/zoo.h"

namespace gi::bench {

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t chunk_of(const PopulationOptions& options) {
  const std::int64_t lanes = kernels::pack_lanes(options.isa);
  const std::int64_t chunk = options.chunk > 0 ? options.chunk : options.trials % lanes == 0 ? lanes : options.trials;
  if (options.trials % chunk != 0) throw UsageError(fmt::format("--chunk: {} does not divide --trials {}", chunk, options.trials));
  return chunk;
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

Population::Population(const PopulationOptions& options)
    : chunk_(chunk_of(options)), chunks_(options.trials / chunk_), problem_(make_problem(options, options.victims ? chunk_ : 1)) {
  const inversion::AttackOptions attack{.steps = 1'000'000, .restarts = options.victims ? 1 : chunk_};
  plan_ = std::make_unique<Plan>(Plan::compile(inversion::attack_program(problem_, attack, chunk_),
                                               {.dtype = options.dtype, .isa = options.isa, .lanes = options.lanes}));
  std::vector<inversion::TrialId> ids;
  for (std::int64_t t = 0; t < chunk_; ++t) ids.push_back(options.victims ? inversion::TrialId{t, 0} : inversion::TrialId{0, t});
  const std::int64_t threads = std::min(options.threads, chunks_);
  for (std::int64_t thread = 0; thread < threads; ++thread) {
    Workspace& workspace =
        *workspaces_.emplace_back(std::make_unique<Workspace>(*plan_, static_cast<int>(options.threads / threads)));
    inversion::bind_attack_inputs(problem_, attack, ids,
                                  [&](const std::string& name, const Tensor& value) { workspace.set(name, value); });
    for (const auto& [name, tensor] : inversion::attack_start(problem_, attack, ids)) workspace.set(name, tensor);
    workspace.run();  // constants, inputs
  }
  first_cost_ = workspaces_.front()->get("cost").at(0);
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
  const auto work = [&](std::int64_t thread) {
    together.arrive_and_wait();
    while (next++ < chunks_)
      for (std::int64_t step = 0; step < steps; ++step) workspaces_[thread]->run();
  };
  std::vector<std::thread> others;
  for (std::int64_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  return {wall / static_cast<double>(steps),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC / static_cast<double>(steps)};
}

}  // namespace gi::bench
