#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "models/file.h"
#include "tools/common/program.h"
#include "tools/gi_invert/outputs.h"
#include "tools/gi_invert/profile.h"

namespace gi::tools {
namespace {

using Json = nlohmann::ordered_json;  // a number that is none (NaN, infinity) appears as null

Json settings_json(const Settings& s, const inversion::Problem& p) {
  return {
      {"model", p.model.name},
      {"image", {p.model.image.channels, p.model.image.height, p.model.image.width}},
      {"classes", p.model.classes},
      {"weights", s.network.weights.empty() ? Json(s.fresh_networks ? "fresh, one a victim" : "fresh") : Json(s.network.weights)},
      {"mode", p.mode == models::Mode::train ? "train" : "eval"},
      {"mean", p.mean},
      {"std", p.std},
      {"victims", p.victims.size()},
      {"images_per_victim", p.images},
      {"preset", s.preset.empty() ? Json() : Json(s.preset)},
      {"cost", "cosine"},
      {"optimizer", s.attack.sign ? "signed adam" : "adam"},
      {"steps", s.attack.steps},
      {"lr", s.attack.learning_rate},
      {"decay", s.attack.decay ? "step" : "none"},
      {"tv", s.attack.tv},
      {"box", s.attack.box},
      {"restarts", s.attack.restarts},
      {"dtype", s.dtype}};
}

Json image_json(const Scene& scene, const inversion::RunResult& run, const ImageResult& image) {
  const auto place = static_cast<std::size_t>(image.victim * scene.problem.images + image.index);
  Json j{{"victim", image.victim}, {"index", image.index}};
  if (!scene.truth_files.empty()) j["truth"] = scene.truth_files[place];
  if (!scene.true_labels.empty()) j["label"] = scene.true_labels[place];
  j["label_used"] = scene.problem.victims[image.victim].labels[image.index];
  if (!scene.losses.empty()) j["client_loss"] = scene.losses[image.victim];
  if (!image.trial) {
    j["trial"] = nullptr;  // no restart ended with a finite cost, or none was begun
    return j;
  }
  const inversion::Trial& trial = run.trials[*image.trial];
  j["reconstruction"] = image.reconstruction;
  j["file"] = picture_name(scene, image);
  j["restart"] = trial.id.restart;
  j["cost"] = trial.cost;
  j["tv"] = trial.tv;
  if (image.score) {
    j["psnr"] = image.score->psnr;
    j["ssim"] = image.score->ssim;
    j["mse"] = image.score->mse;
    j["constant_psnr"] = image.score->constant_psnr;
  }
  return j;
}

}  // namespace

void write_report(const std::filesystem::path& folder, const Settings& settings, const Scene& scene,
                  const inversion::AttackRun& attack, const inversion::RunResult& run, const std::vector<ImageResult>& images,
                  const Timings& timings) {
  const Plan& plan = attack.plan();
  Json report{{"schema", "gi_invert/1"},
              {"program", {{"name", "gi_invert"}, {"version", version_line("gi_invert")}}},
              {"revision", revision()},
              {"completed", !run.interrupted},
              {"settings", settings_json(settings, scene.problem)},
              {"seed", settings.attack.seed},
              {"labels", scene.labels_known ? "known" : "recovered"},
              {"device", device_json(attack)},
              {"plan",
               {{"hash", fmt::format("{:016x}", plan.hash())},
                {"dtype", settings.dtype},
                {"lanes", plan.lanes()},
                {"trials_per_chunk", attack.trials_per_chunk()},
                {"images_as_trials", attack.images_as_trials()},
                {"chunks", attack.chunks()},
                {"steps", plan.iteration().size()},
                {"gflop_per_iteration", plan.flops_per_iteration() * 1e-9},
                {"arena_bytes", plan.arena_bytes()},
                {"unshared_bytes", plan.unshared_bytes()},
                {"workspace_bytes", plan.workspace_bytes()}}},
              {"hashes", scene.hashes}};
  if (const std::string& file = settings.kernels_file(); !file.empty()) {
    report["plan"]["file"] = file;
    report["hashes"].update(hash_files({file}));
  }
  Json& list = report["images"] = Json::array();
  for (const ImageResult& image : images) list.push_back(image_json(scene, run, image));

  Json trials = Json::array();
  for (const inversion::Trial& t : run.trials)
    trials.push_back({{"victim", t.id.victim},
                      {"restart", t.id.restart},
                      {"iterations", t.iterations},
                      {"cost", t.started ? Json(t.cost) : Json()},
                      {"curve", t.curve}});
  report["cost_curve"] = {{"every", run.curve_every}, {"trials", trials}};

  report["timings"] = {
      {"seconds_per_iteration", run.seconds_per_iteration},
      {"seconds_per_iteration_per_trial", run.seconds_per_iteration / static_cast<double>(attack.trials_per_chunk())},
      {"attack_seconds", run.seconds},
      {"plan_seconds", timings.plan_seconds},
      {"client_seconds", timings.client_seconds},
      {"total_seconds", timings.total_seconds}};
  models::write_file_atomically(folder / "report.json", report.dump(2) + "\n");
}

}  // namespace gi::tools
