#include "inversion/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <string_view>
#include <thread>

#include "engine/core/error.h"
#include "engine/exec/workspace.h"
#include "inversion/memory.h"
#include "inversion/sha256.h"

namespace gi::inversion {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A pack takes the time of eight or more single trials, whatever it holds, and only one thread works on it: it pays once it is
/// full. This must not depend on threads or the clock: a result depends on the Plan.
std::int64_t usual_chunk(std::int64_t trials, std::int64_t pack) { return trials >= pack ? pack : 1; }

/// Of a trial in a pack, beyond which single trials are faster, whose values lie in the caches. Measured on an AMD EPYC (Zen 4) by
/// gi_bench_iteration, a trial in a pack of 16 (AVX-512, --trials 16 --chunk 16) against a single one: LeNetZhu (0.2 MiB) 0.63 of
/// the time, ResNet18 for CIFAR of 4 and 8 channels (0.8, 1.9) 0.63 and 0.85; ConvNet of 8 (2.7) 1.13, ResNet20 (4.4) 1.18, in
/// training mode (5.8) 1.17, ConvNet of 16 (5.6) 1.55. In packs of 8 (AVX2) 0.64 to 1.20, with the same turn. A batch of 16 images
/// as trials (--batch 16 --images-in-lanes) against as it is (--lanes 1): LeNetZhu (0.2 MiB an image) 0.67, ConvNet of 6 (1.9)
/// 0.71, ResNet18 of 4, 8 and 14 channels (0.7, 1.3, 2.25) 0.77, 0.90 and 0.76; of 16 (2.6) 1.08, ConvNet of 8 (2.5) 1.16, ResNet20
/// (3.2) 1.17; in packs of 8 0.68, 1.02, 0.75, 0.95, 1.00; 1.08, 1.28, 1.25.
constexpr std::size_t kLargestInPack = std::size_t{19} << 17;

bool has_convolutions(const Plan& plan) {
  return std::ranges::any_of(plan.iteration(),
                             [](const Plan::Step& step) { return std::string_view(step.kernel->op).starts_with("conv2d"); });
}

/// Of one operand, all trials together: CUDA kernels count in int.
constexpr std::int64_t kMostNumbers = std::numeric_limits<int>::max();

/// Numbers of the largest operand of a step.
std::int64_t largest_value(const Plan& plan) {
  std::int64_t largest = 1;
  for (const auto steps : {plan.setup(), plan.iteration()})
    for (const Plan::Step& step : steps)
      for (const auto* operands : {&step.in, &step.out})
        for (const Plan::Operand& operand : *operands) largest = std::max(largest, operand.layout.count());
  return largest;
}

/// `shape` [1,...] of `all`'s numbers.
Tensor trial_of(const Tensor& all, std::int64_t trial, const Shape& shape) {
  Tensor one(shape, all.dtype());
  const std::size_t bytes = static_cast<std::size_t>(one.count()) * kernels::size_of(all.dtype());
  std::memcpy(one.view().data, static_cast<const std::byte*>(all.view().data) + trial * bytes, bytes);
  return one;
}

void add_tensor(Sha256& hash, const Tensor& t) {
  hash.add(t.shape().str());
  hash.add(
      std::span(static_cast<const std::byte*>(t.view().data), static_cast<std::size_t>(t.count()) * kernels::size_of(t.dtype())));
}

/// Of all the attack is given: weights, messages, labels, normalisation.
std::string hash_of_inputs(const Problem& problem) {
  Sha256 hash;
  for (const models::Weights& w : problem.networks)
    for (const models::NamedTensor& e : w.entries) add_tensor(hash.add(e.name), e.tensor);
  for (const Victim& v : problem.victims) {
    for (const Tensor& t : v.gradient) add_tensor(hash, t);
    for (const std::int64_t label : v.labels) hash.add(fmt::format("{},", label));
  }
  for (const double value : problem.mean) hash.add(fmt::format("{},", value));
  for (const double value : problem.std) hash.add(fmt::format("{},", value));
  return hash.hex();
}

std::optional<std::int64_t> whole(const Settings& settings, const std::string& key) {
  const auto found = settings.find(key);
  std::int64_t value = 0;
  if (found == settings.end()) return std::nullopt;
  const std::string& text = found->second;
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{} ? std::optional(value) : std::nullopt;
}

}  // namespace

/// What the threads of a run have in common.
struct AttackRun::Shared {
  RunResult& result;
  const Journal& journal;
  ThreadShares threads;
  Clock::time_point start = Clock::now();
  std::atomic<std::int64_t> next_chunk{0}, done{0}, resumed{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;  // of what follows, and of calls to `progress`
  std::exception_ptr failure;
  double busy_seconds = 0;
  std::int64_t busy_iterations = 0;
};

std::optional<std::size_t> best_trial(const std::vector<Trial>& trials, std::size_t begin, std::size_t end) {
  std::optional<std::size_t> best;
  for (std::size_t i = begin; i < end; ++i)
    if (trials[i].started && std::isfinite(trials[i].cost) && (!best || trials[i].cost < trials[*best].cost)) best = i;
  return best;
}

bool pack_pays(const Plan& packed) {
  return packed.workspace_bytes() <= static_cast<std::size_t>(packed.trials()) * kLargestInPack || !has_convolutions(packed);
}

bool fills_packs(const Problem& problem, std::int64_t pack) { return problem.images % pack == 0 && images_meet_in_sums(problem); }

bool images_pay(const Plan& of_images, std::int64_t trials) {
  return pack_pays(of_images) && (has_convolutions(of_images) || trials < of_images.lanes());
}

AttackRun::AttackRun(const Problem& problem, const AttackOptions& attack, RunOptions options)
    : problem_(problem), attack_(attack), options_(std::move(options)) {
  if (problem.victims.empty() || attack.restarts < 1 || attack.steps < 1) throw UsageError("attack: no victims, restarts or steps");
  if (options_.device != nullptr) cut_for_device();
  else cut_for_processor();
}

/// Of the journal that the run goes on with: another cut's states would fit nowhere.
std::optional<std::int64_t> AttackRun::stored_chunk() const {
  if (!options_.resume) return std::nullopt;
  const auto settings = Journal(options_.journal).settings();
  return settings ? whole(*settings, "trials_per_chunk") : std::nullopt;
}

void AttackRun::cut_for_processor() {
  const std::int64_t pack = kernels::pack_lanes(kernels::best_isa());
  std::int64_t per_chunk = options_.lanes > 0 ? options_.lanes : usual_chunk(trials(), pack);
  bool fixed = options_.lanes > 0;
  if (const auto stored = stored_chunk(); stored && (*stored == 1 || *stored == pack)) per_chunk = *stored, fixed = true;
  // What is forced is meant for the kernels that there would be otherwise.
  const bool may_spread = options_.lanes == 0 && !(fixed && per_chunk > 1) && options_.force.empty() && fills_packs(problem_, pack);
  if (may_spread) compile(1, true);
  if (!may_spread || !images_pay(*plan_, trials())) compile(per_chunk);

  const std::size_t memory = options_.memory > 0 ? options_.memory : available_memory() / 10 * 9;
  const bool fits = memory == 0 || plan_->workspace_bytes() <= memory;
  if (per_chunk_ > 1 && !fixed && !(fits && pack_pays(*plan_))) compile(1);
  const std::size_t bytes = plan_->workspace_bytes();
  if (memory > 0) require_room(memory);
  const int wanted = options_.threads > 0 ? options_.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::int64_t threads = std::min<std::int64_t>(wanted, chunks());
  if (memory > 0) threads = std::min<std::int64_t>(threads, static_cast<std::int64_t>(memory / std::max<std::size_t>(bytes, 1)));
  threads_ = static_cast<int>(std::max<std::int64_t>(1, threads));
  threads_per_chunk_ = std::max(1, wanted / threads_);
}

void AttackRun::cut_for_device() {
  const std::size_t memory = options_.memory > 0 ? options_.memory : options_.device->free_memory() / 10 * 9;
  std::int64_t per_chunk = options_.lanes > 0 ? options_.lanes : stored_chunk().value_or(0);
  if (per_chunk == 0) {
    compile(1);
    require_room(memory);
    // What trials share is counted once for each: never too few bytes.
    const auto most = std::min(static_cast<std::int64_t>(memory / plan_->workspace_bytes()), kMostNumbers / largest_value(*plan_));
    const std::int64_t chunks = (trials() + most - 1) / std::max<std::int64_t>(most, 1);
    per_chunk = (trials() + chunks - 1) / chunks;
  }
  if (plan_ == nullptr || per_chunk != per_chunk_) compile(per_chunk);
  require_room(memory);
}

void AttackRun::require_room(std::size_t memory) const {
  const std::size_t bytes = plan_->workspace_bytes();
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  if (bytes <= memory) return;
  const char* const single = options_.device != nullptr ? "fewer or smaller images, a smaller network, or --device cpu need less"
                                                        : "fewer or smaller images, or a smaller network, need less";
  throw Error(fmt::format("attack: {} of {} needs {:.2f} GiB, {:.2f} GiB are available\n  hint: {}",
                          per_chunk_ == 1 ? "one trial" : fmt::format("a pack of {} trials", per_chunk_), problem_.model.name,
                          static_cast<double>(bytes) / kGiB, static_cast<double>(memory) / kGiB,
                          per_chunk_ == 1 ? single : "--lanes 1 needs less"));
}

void AttackRun::compile(std::int64_t per_chunk, bool images_as_trials) {
  per_chunk_ = per_chunk;
  attack_.images_as_trials = images_as_trials;
  const Program program = attack_program(problem_, attack_, per_chunk);
  plan_.reset();
  plan_ = std::make_unique<Plan>(Plan::compile(program, {.dtype = options_.dtype,
                                                         .device = options_.device,
                                                         .lanes = options_.device != nullptr ? 1
                                                                  : images_as_trials         ? 0
                                                                                             : per_chunk,
                                                         .force = options_.force,
                                                         .choices = options_.choices,
                                                         .prepare = options_.prepare}));
}

std::int64_t AttackRun::curve_every() const { return std::max<std::int64_t>(1, attack_.steps / 100); }

std::vector<TrialId> AttackRun::ids_of(std::int64_t chunk) const {
  std::vector<TrialId> ids;
  for (std::int64_t t = 0; t < per_chunk_; ++t) {
    std::int64_t i = chunk * per_chunk_ + t;
    if (i >= trials()) i = chunk * per_chunk_;
    ids.push_back({i / attack_.restarts, i % attack_.restarts});
  }
  return ids;
}

Settings AttackRun::settings() const {
  Settings settings{{"model", problem_.model.name},
                    {"mode", problem_.mode == models::Mode::eval ? "eval" : "train"},
                    {"images", std::to_string(problem_.images)},
                    {"victims", std::to_string(problem_.victims.size())},
                    {"steps", std::to_string(attack_.steps)},
                    {"restarts", std::to_string(attack_.restarts)},
                    {"seed", std::to_string(attack_.seed)},
                    {"lr", fmt::format("{}", attack_.learning_rate)},
                    {"tv", fmt::format("{}", attack_.tv)},
                    {"sign", attack_.sign ? "yes" : "no"},
                    {"box", attack_.box ? "yes" : "no"},
                    {"decay", attack_.decay ? "yes" : "no"},
                    {"dtype", options_.dtype == DType::f32 ? "f32" : "f64"},
                    {"trials_per_chunk", std::to_string(per_chunk_)},
                    {"plan", fmt::format("{:016x}", plan_->hash())},
                    {"inputs", hash_of_inputs(problem_)}};
  if (options_.device != nullptr) settings["device"] = options_.device->name();
  return settings;
}

RunResult AttackRun::execute() {
  Journal journal(options_.journal);
  if (journal.kept()) {
    const auto old = options_.resume ? journal.settings() : std::nullopt;
    if (old) require_equal_settings(*old, settings(), options_.journal);
    else journal.begin(settings());
  }

  RunResult result;
  result.curve_every = curve_every();
  result.trials.resize(static_cast<std::size_t>(trials()));
  for (std::int64_t i = 0; i < trials(); ++i) result.trials[i].id = {i / attack_.restarts, i % attack_.restarts};

  Shared shared{.result = result, .journal = journal, .threads{threads_ * threads_per_chunk_, threads_}};
  const auto stopped = [&] { return options_.stop != nullptr && options_.stop->load(); };
  if (options_.profile) result.profiles.assign(static_cast<std::size_t>(threads_), Profile(*plan_));
  const auto work_through = [&](std::size_t thread) {
    try {
      Workspace work = options_.device != nullptr ? Workspace(*plan_, *options_.device) : Workspace(*plan_, threads_per_chunk_);
      if (options_.profile) work.attach(&result.profiles[thread]);
      for (std::int64_t c = shared.next_chunk++; c < chunks() && !shared.failed; c = shared.next_chunk++)
        if (!stopped() || journal.load(c)) run_chunk(work, c, shared);
      shared.threads.leave();
    } catch (...) {
      const std::lock_guard lock(shared.mutex);
      if (!shared.failed.exchange(true)) shared.failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < threads_; ++i) others.emplace_back(work_through, static_cast<std::size_t>(i));
    work_through(0);
  }
  if (shared.failure) std::rethrow_exception(shared.failure);

  for (const Trial& t : result.trials) result.interrupted |= t.iterations < attack_.steps;
  for (std::size_t v = 0; v < problem_.victims.size(); ++v)
    result.best.push_back(best_trial(result.trials, v * attack_.restarts, (v + 1) * attack_.restarts));
  result.seconds = seconds_since(shared.start);
  if (shared.busy_iterations > 0) result.seconds_per_iteration = shared.busy_seconds / static_cast<double>(shared.busy_iterations);
  return result;
}

void AttackRun::run_chunk(Workspace& work, std::int64_t chunk, Shared& shared) const {
  const std::vector<TrialId> ids = ids_of(chunk);
  const std::int64_t begin = chunk * per_chunk_, count = std::min(per_chunk_, trials() - begin);
  ChunkState state;
  if (auto stored = shared.journal.load(chunk)) state = std::move(*stored);
  else state.states = attack_start(problem_, attack_, ids);
  shared.resumed += state.iteration;
  shared.done += state.iteration;

  if (state.cost.empty()) {
    bind_attack_inputs(problem_, attack_, ids, [&](const std::string& name, const Tensor& value) { work.set(name, value); });
    for (const auto& [name, value] : state.states) work.set(name, value);
    const auto keep_states = [&] {
      for (auto& [name, value] : state.states) value = work.get(name);
    };
    const auto stopped = [&] { return shared.failed || (options_.stop != nullptr && options_.stop->load()); };
    const Clock::time_point start = Clock::now();
    Clock::time_point saved = start;
    const std::int64_t first = state.iteration;
    while (state.iteration < attack_.steps && !stopped()) {
      // A profile is of one number of threads.
      if (const int threads = shared.threads.each(); threads != work.threads() && !options_.profile) work.share(threads);
      work.run();
      if (state.iteration % curve_every() == 0) state.curve.push_back(work.get("cost").to_doubles());
      ++state.iteration;
      const std::int64_t done = ++shared.done;
      if (options_.progress && (state.iteration % options_.progress_every == 0 || state.iteration == attack_.steps)) {
        const std::lock_guard lock(shared.mutex);
        std::vector<double> costs = work.get("cost").to_doubles();
        costs.resize(static_cast<std::size_t>(count));
        options_.progress({chunk, chunks(), state.iteration, done, attack_.steps * chunks(), shared.resumed.load(),
                           seconds_since(shared.start), std::move(costs)});
      }
      if (shared.journal.kept() && seconds_since(saved) >= options_.checkpoint_seconds) {
        keep_states();
        shared.journal.save(chunk, state);
        saved = Clock::now();
      }
    }
    {
      const std::lock_guard lock(shared.mutex);
      shared.busy_seconds += seconds_since(start);
      shared.busy_iterations += state.iteration - first;
    }
    if (shared.failed) return;
    keep_states();
    if (state.iteration < attack_.steps) shared.journal.save(chunk, state);
    // An iteration's cost is that of the x it starts from: one more tells what the last x is worth.
    work.run();
    state.cost = work.get("cost").to_doubles();
    state.tv = work.get("tv_of_x").to_doubles();
    if (state.iteration == attack_.steps) shared.journal.save(chunk, state);
  }

  for (std::int64_t t = 0; t < count; ++t) {
    Trial& trial = shared.result.trials[static_cast<std::size_t>(begin + t)];
    trial.started = true;
    trial.iterations = state.iteration;
    trial.cost = state.cost[t];
    trial.tv = state.tv[t];
    trial.x = trial_of(state.states.front().second, t, problem_.candidates(1));
    for (const auto& row : state.curve) trial.curve.push_back(row[t]);
  }
}

}  // namespace gi::inversion
