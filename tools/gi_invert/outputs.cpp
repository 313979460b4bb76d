#include "tools/gi_invert/outputs.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "models/file.h"
#include "models/safetensors.h"
#include "tools/common/image.h"

namespace gi::tools {
namespace fs = std::filesystem;

void prepare_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) throw IoError(fmt::format("{}: cannot be made: {}", folder.string(), code.message()));
  const fs::path probe = folder / ".gi-probe";
  models::write_file_atomically(probe, "x");
  fs::remove(probe, code);
}

std::string picture_name(const Scene& scene, const ImageResult& image) {
  return fmt::format("reconstruction_{:03}.png", image.victim * scene.problem.images + image.reconstruction);
}

void write_results(const fs::path& folder, const Scene& scene, const inversion::RunResult& run,
                   const std::vector<ImageResult>& images) {
  const models::ImageShape& shape = scene.problem.model.image;
  const auto picture = [&](std::span<const double> planes) {
    return from_planes(planes, static_cast<int>(shape.channels), static_cast<int>(shape.height), static_cast<int>(shape.width));
  };
  const std::size_t count = static_cast<std::size_t>(shape.channels * shape.height * shape.width);
  std::vector<SheetRow> rows;
  for (const ImageResult& image : images) {
    if (!image.trial) continue;
    const Image reconstruction = picture(image.pixels);
    save_png(folder / picture_name(scene, image), reconstruction);
    if (!image.score) continue;
    const Image truth = picture(std::span(scene.truth[image.victim]).subspan(image.index * count, count));
    rows.push_back({{truth, reconstruction, difference(truth, reconstruction)},
                    fmt::format("PSNR {:.2f} dB  SSIM {:.3f}", image.score->psnr, image.score->ssim)});
  }
  if (!rows.empty())
    save_png(folder / "comparison.png",
             comparison_sheet(rows, std::array<std::string, 3>{"truth", "reconstruction", "difference"}));

  // In the attack's own order, victim after victim: x fits --evaluate and the labels.
  std::vector<double> x, pixels;
  std::int64_t total = 0;
  DType dtype = DType::f32;
  for (const auto& best : run.best) {
    if (!best) continue;
    const Tensor& t = run.trials[*best].x;
    const std::vector<double> values = t.to_doubles(), in_range = inversion::pixels(values, scene.problem);
    x.insert(x.end(), values.begin(), values.end());
    pixels.insert(pixels.end(), in_range.begin(), in_range.end());
    total += scene.problem.images;
    dtype = t.dtype();
  }
  if (total == 0) return;
  const std::vector<std::int64_t> dims{total, shape.channels, shape.height, shape.width};
  const auto entry = [&](const char* name, const std::vector<double>& values) {
    return models::TensorEntry::from(name, dims,
                                     Tensor::from({1, total, shape.channels, shape.height, shape.width}, values, dtype));
  };
  models::write_safetensors(folder / "reconstruction.safetensors",
                            {.tensors = {entry("image", pixels), entry("x", x)}, .metadata = {}});
}

}  // namespace gi::tools
