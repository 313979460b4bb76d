// gi_invert: what a server sees of the images behind a gradient.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "engine/core/error.h"
#include "tools/common/program.h"
#include "tools/gi_invert/modes.h"
#include "tools/gi_invert/outputs.h"
#include "tools/gi_invert/profile.h"
#include "tools/gi_invert/progress.h"
#include "tools/gi_invert/scene.h"
#include "tools/gi_invert/score.h"
#include "tools/gi_invert/tuning.h"

namespace gi::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void print_results(const Settings& s, const Scene& scene, const inversion::RunResult& run, const std::vector<ImageResult>& images) {
  double sum = 0;
  int scored = 0;
  for (const ImageResult& image : images) {
    const std::int64_t number = image.victim * scene.problem.images + image.index;
    if (!image.trial) {
      fmt::print("image {}: no restart has a finite cost\n", number);
      continue;
    }
    fmt::print("image {}: cost {:.4e}", number, run.trials[*image.trial].cost);
    if (image.score) {
      fmt::print(", PSNR {:.2f} dB, SSIM {:.4f} (a constant image: {:.2f} dB)", image.score->psnr, image.score->ssim,
                 image.score->constant_psnr);
      sum += image.score->psnr;
      ++scored;
    }
    fmt::print("\n");
  }
  if (scored > 1) fmt::print("mean PSNR {:.2f} dB over {} images\n", sum / scored, scored);
  const std::filesystem::path folder = s.output;
  fmt::print("{} {}\n",
             scored > 0 ? "pictures: " : "results:  ", scored > 0 ? (folder / "comparison.png").string() : folder.string());
  fmt::print("report:    {}\n", (folder / "report.json").string());
}

int attack(const Settings& s, Device* device) {
  const Clock::time_point start = Clock::now();
  inversion::RunOptions options = run_options(s, device);
  const Scene scene = make_scene(s, device);
  prepare_folder(s.output);

  const Clock::time_point plan_start = Clock::now();
  ProgressLine line;
  options.stop = &stop_on_signal();
  options.progress = [&line](const inversion::Progress& p) { line.show(p); };
  inversion::AttackRun attack = prepared_run(scene.problem, s, options);
  Timings timings{.plan_seconds = seconds_since(plan_start), .client_seconds = scene.client_seconds};
  const inversion::RunResult run = attack.execute();
  line.finish();

  const std::vector<ImageResult> images = score(scene, run);
  write_results(s.output, scene, run, images);
  timings.total_seconds = seconds_since(start);
  write_report(s.output, s, scene, attack, run, images, timings);
  // Only now: until the results are in place the journal is what they can be had from.
  if (!run.interrupted) inversion::Journal(options.journal).remove();
  print_results(s, scene, run, images);
  if (s.profile) write_profile(s.output, attack, run);

  if (run.interrupted)
    warn(options.journal.empty() ? "ended early; these are the present states"
                                 : "ended early; these are the present states, and --resume goes on with the run");
  bool any = false;
  for (const ImageResult& image : images) any |= image.trial.has_value();
  if (!any) throw Error("no trial ended with a finite cost; there is nothing to show");
  return kDone;
}

int body(int argc, char** argv) {
  const Settings settings = parse_settings(argc, argv);
  if (settings.list_models) {
    list_models();
    return kDone;
  }
  const std::unique_ptr<Device> device = chosen_device(settings.device, settings.debug);
  if (settings.explain_plan) explain_plan(settings, device.get());
  else if (!settings.evaluate.empty()) evaluate_candidate(settings, device.get());
  else return attack(settings, device.get());
  return kDone;
}

}  // namespace
}  // namespace gi::tools

int main(int argc, char** argv) { return gi::tools::run_program("gi_invert", argc, argv, gi::tools::body); }
