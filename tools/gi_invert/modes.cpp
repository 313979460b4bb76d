#include "tools/gi_invert/modes.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "engine/exec/profile.h"
#include "engine/exec/winograd_choice.h"
#include "inversion/evaluate.h"
#include "models/safetensors.h"
#include "models/zoo.h"
#include "tools/gi_invert/outputs.h"
#include "tools/gi_invert/progress.h"
#include "tools/gi_invert/scene.h"
#include "tools/gi_invert/tuning.h"

namespace gi::tools {

void list_models() {
  fmt::print("{:<20} {:>12}  {:<10} {}\n", "name", "parameters", "image", "architecture");
  for (const models::ModelInfo& info : models::list_models()) {
    const models::Model model = models::find_model(info.name);
    fmt::print("{:<20} {:>12}  {:<10} {}\n", info.name, model.parameter_count(),
               fmt::format("{}x{}x{}", info.image.channels, info.image.height, info.image.width), info.description);
  }
  fmt::print("\nOther widths and multiples go by the same names: convnet32, resnet20-10, resnet18-w16.\n");
}

inversion::RunOptions run_options(const Settings& s, Device* device) {
  inversion::RunOptions o;
  o.device = device;
  o.dtype = s.number_type();
  o.threads = static_cast<int>(s.threads);
  o.lanes = s.lanes;
  const std::int64_t pack = kernels::pack_lanes(kernels::best_isa());
  if (device == nullptr && s.lanes != 0 && s.lanes != 1 && s.lanes != pack)
    throw UsageError(fmt::format("--lanes: expected 1 or this processor's {}, got {}", pack, s.lanes));
  o.memory = static_cast<std::size_t>(s.memory_mib) << 20;
  for (const std::string& pair : s.impl) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) throw UsageError(fmt::format("--impl: expected OP=KERNEL, got '{}'", pair));
    const std::string op = pair.substr(0, equals), kernel = pair.substr(equals + 1);
    bool known = op == "winograd" && std::ranges::count(kWinogradChoices, kernel) > 0;
    for (const kernels::Kernel& k : device != nullptr ? device->kernels() : kernels::cpu_kernels(kernels::best_isa()))
      known |= op == "products" ? kernels::has_products(k, kernel) : k.op == op && k.name == kernel;
    if (!known && op == "products")
      throw UsageError(fmt::format("--impl: no kernel {} has products of kind '{}'",
                                   device != nullptr ? "of " + device->name() : "for this processor", kernel));
    if (!known)
      throw UsageError(fmt::format("--impl: {} has no kernel '{}'\n  hint: --explain-plan names those there are", op, kernel));
    o.force[op] = kernel;
  }
  if (s.checkpoint_every > 0) o.journal = std::filesystem::path(s.output) / "journal";
  o.checkpoint_seconds = s.checkpoint_every;
  o.resume = s.resume;
  o.profile = s.profile;
  return o;
}

namespace {

/// Of attacks on the CPU; on devices nothing was measured yet.
void guess_time(const inversion::AttackRun& run, std::int64_t iterations) {
  // LeNetZhu, MLP, ConvNet64 and ResNets were seen at 30 to 77 %, mostly 40 to 70 %, of their steps' ceilings, with every
  // instruction set, dtype and number of lanes (one thread of an AMD EPYC): a guess, no promise.
  constexpr double kUsualShare = 0.5;
  const Plan& plan = run.plan();
  const kernels::Ceilings ceilings = kernels::measure_ceilings(plan.isa());
  double least = 0;
  for (const Plan::Step& step : plan.iteration()) least += least_seconds(ceilings, step);
  const double seconds = least / kUsualShare / run.threads_per_chunk();
  const std::int64_t rounds = (run.chunks() + run.threads() - 1) / run.threads();
  fmt::print(
      "time       about {:.3g} s an iteration, {} for {} iterations (guessed: {:.0f} % of what a thread can do, {:.0f} GFLOP/s)\n",
      seconds, duration(seconds * static_cast<double>(iterations * rounds)), iterations, 100 * kUsualShare,
      ceilings.gflops[static_cast<std::size_t>(plan.dtype())]);
}

}  // namespace

void explain_plan(const Settings& s, Device* device) {
  const inversion::Problem problem = empty_problem(s);
  inversion::RunOptions options = run_options(s, device);
  options.journal.clear();
  options.resume = false;
  const inversion::AttackRun run = prepared_run(problem, s, options);
  const Plan& plan = run.plan();
  constexpr double kMiB = 1024.0 * 1024.0;
  fmt::print("{}\n", plan.explain());
  fmt::print("trials     {} in {} chunk{} of {}, {} thread{}\n", run.trials(), run.chunks(), run.chunks() == 1 ? "" : "s",
             run.trials_per_chunk(), run.threads() * run.threads_per_chunk(),
             run.threads() * run.threads_per_chunk() == 1 ? "" : "s");
  if (run.images_as_trials()) fmt::print("images     are the trials of the plan, which sums over them\n");
  fmt::print("memory     {:.1f} MiB a thread; arena {:.1f} MiB, {:.0f} % of {:.1f} MiB without sharing\n",
             static_cast<double>(plan.workspace_bytes()) / kMiB, static_cast<double>(plan.arena_bytes()) / kMiB,
             100.0 * static_cast<double>(plan.arena_bytes()) / static_cast<double>(std::max<std::size_t>(plan.unshared_bytes(), 1)),
             static_cast<double>(plan.unshared_bytes()) / kMiB);
  fmt::print("work       {:.4g} GFLOP an iteration of a chunk\n", plan.flops_per_iteration() * 1e-9);
  if (device == nullptr) guess_time(run, s.attack.steps);
}

void evaluate_candidate(const Settings& s, Device* device) {
  const Scene scene = make_scene(s, device);
  const inversion::Problem& p = scene.problem;
  if (p.victims.size() != 1)
    throw UsageError(
        fmt::format("--evaluate: expected one victim, got {}\n  hint: --batch makes several pictures one batch", p.victims.size()));
  const models::TensorFile file = models::read_safetensors(s.evaluate);
  const models::TensorEntry* candidate = file.find("x");
  if (candidate == nullptr) throw IoError(fmt::format("{}: holds no tensor 'x'", s.evaluate));
  const Shape shape = p.candidates(1);
  const std::vector<std::int64_t> expected(shape.dims().begin() + 1, shape.dims().end());
  if (candidate->shape != expected)
    throw IoError(fmt::format("{}: 'x' is {}, expected [{}]", s.evaluate, candidate->shape_str(), fmt::join(expected, ",")));
  if (!candidate->all_finite()) throw IoError(fmt::format("{}: 'x' holds a NaN or an infinity", s.evaluate));
  prepare_folder(s.output);
  const inversion::Evaluation e = inversion::evaluate(
      p, candidate->to_tensor(shape), {.dtype = s.number_type(), .device = device, .force = run_options(s, device).force});

  models::TensorFile out;
  const auto add = [&](const char* name, double value, const Tensor& derivative) {
    out.tensors.push_back(models::TensorEntry::from(name, {1}, std::span<const double>(&value, 1)));
    out.tensors.push_back(models::TensorEntry::from(fmt::format("d_{}_d_x", name), expected, derivative));
    fmt::print("{:<16} {:.17g}\n", name, value);
  };
  out.tensors.push_back(models::TensorEntry::from("loss", {1}, std::span<const double>(&e.loss, 1)));
  fmt::print("{:<16} {:.17g}\n", "loss", e.loss);
  add("cosine_distance", e.cosine_distance, e.d_cosine_distance_d_x);
  add("l2_distance", e.l2_distance, e.d_l2_distance_d_x);
  add("total_variation", e.total_variation, e.d_total_variation_d_x);
  const std::filesystem::path path = std::filesystem::path(s.output) / "evaluation.safetensors";
  models::write_safetensors(path, out);
  fmt::print("derivatives      {}\n", path.string());
}

}  // namespace gi::tools
