// What a run leaves in its folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inversion/run.h"
#include "tools/gi_invert/scene.h"
#include "tools/gi_invert/score.h"

namespace gi::tools {

/// Makes the folder and tries that files can be written there, before anything is computed. Errors IoError.
void prepare_folder(const std::filesystem::path& folder);

/// Name of an image's picture: reconstruction_003.png, by victim and place.
std::string picture_name(const Scene& scene, const ImageResult& image);

/// Pictures, comparison.png and reconstruction.safetensors. Errors IoError.
void write_results(const std::filesystem::path& folder, const Scene& scene, const inversion::RunResult& run,
                   const std::vector<ImageResult>& images);

struct Timings {
  double plan_seconds = 0, client_seconds = 0, total_seconds = 0;
};

/// report.json. Errors IoError.
void write_report(const std::filesystem::path& folder, const Settings& settings, const Scene& scene,
                  const inversion::AttackRun& attack, const inversion::RunResult& run, const std::vector<ImageResult>& images,
                  const Timings& timings);

}  // namespace gi::tools
