// A reconstruction beside its truth.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inversion/run.h"
#include "tools/gi_invert/scene.h"

namespace gi::tools {

struct Score {
  double psnr = 0, ssim = 0, mse = 0, constant_psnr = 0;
};

/// One true image (or, where the truth is unknown, one reconstructed image) and what belongs to it.
struct ImageResult {
  std::int64_t victim = 0, index = 0;  ///< of the true image within the victim's
  std::int64_t reconstruction = 0;     ///< its place in the victim's reconstruction; index itself when nothing is known
  std::optional<std::size_t> trial;    ///< the chosen one; none: no restart has a finite cost
  std::vector<double> pixels;          ///< [C,H,W] in [0,1]; empty without a trial
  std::optional<Score> score;
};

/// A batch's reconstructions are matched to its true images one to one by least total error before they are scored.
std::vector<ImageResult> score(const Scene& scene, const inversion::RunResult& run);

}  // namespace gi::tools
