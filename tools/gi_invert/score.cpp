#include "tools/gi_invert/score.h"

#include "inversion/metrics.h"

namespace gi::tools {

std::vector<ImageResult> score(const Scene& scene, const inversion::RunResult& run) {
  const inversion::Problem& p = scene.problem;
  const inversion::ImageSize size{p.model.image.channels, p.model.image.height, p.model.image.width};
  const auto count = static_cast<std::size_t>(size.count());
  std::vector<ImageResult> results;
  for (std::size_t v = 0; v < p.victims.size(); ++v) {
    std::vector<double> all;
    std::vector<int> match;
    if (run.best[v]) {
      all = inversion::pixels(run.trials[*run.best[v]].x.to_doubles(), p);
      if (!scene.truth.empty()) match = inversion::match_images(scene.truth[v], all, static_cast<int>(p.images));
    }
    for (std::int64_t i = 0; i < p.images; ++i) {
      ImageResult r{
          .victim = static_cast<std::int64_t>(v), .index = i, .reconstruction = match.empty() ? i : match[i], .trial = run.best[v]};
      if (r.trial) r.pixels.assign(all.begin() + r.reconstruction * count, all.begin() + (r.reconstruction + 1) * count);
      if (r.trial && !scene.truth.empty()) {
        const auto truth = std::span(scene.truth[v]).subspan(i * count, count);
        r.score = {inversion::psnr(truth, r.pixels), inversion::ssim(truth, r.pixels, size), inversion::mse(truth, r.pixels),
                   inversion::constant_psnr(truth, size)};
      }
      results.push_back(std::move(r));
    }
  }
  return results;
}

}  // namespace gi::tools
