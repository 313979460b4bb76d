#include "tools/common/network_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <limits>

#include "engine/core/error.h"
#include "inversion/sha256.h"
#include "models/file.h"
#include "models/normalization.h"
#include "models/weight_files.h"
#include "models/zoo.h"
#include "tools/common/options.h"

namespace gi::tools {

void add_network_options(CLI::App& app, NetworkOptions& o) {
  constexpr double kLargest = std::numeric_limits<double>::max(), kSmallest = std::numeric_limits<double>::min();
  std::vector<std::string> normalizations;
  for (const models::Normalization& n : models::all_normalizations()) normalizations.push_back(n.name);
  const char* group = "Network";
  app.add_option("--model", o.model, "The network by name; gi_invert --list-models tells them")->group(group);
  app.add_option("--weights", o.weights, "Its weights, safetensors; without it they are drawn from the seed")
      ->type_name("FILE")
      ->group(group);
  add_whole(app, "--classes", o.classes, 1, 1000000, "Classes of the network")->default_str("the model's")->group(group);
  app.add_option("--size", o.size, "Size of the network's images: 64, 48x64 (HxW) or 1x28x28 (CxHxW); default: the model's")
      ->type_name("SIZE")
      ->group(group);
  add_choice(app, "--normalization", o.normalization, normalizations, "Means and deviations that pixels are normalised with")
      ->default_str("the model's")
      ->group(group);
  add_reals(app, "--mean", o.mean, -kLargest, kLargest, "Means a channel, instead of the normalization's")->group(group);
  add_reals(app, "--std", o.std, kSmallest, kLargest, "Deviations a channel, instead of the normalization's")->group(group);
  add_choice(app, "--mode", o.mode, {"eval", "train"}, "How the client ran batch normalisation")->group(group);
}

namespace {

/// One value a channel, from as many or from one for all.
std::vector<double> by_channel(const char* option, std::vector<double> values, std::int64_t channels) {
  if (values.size() == 1) values.resize(static_cast<std::size_t>(channels), values.front());
  if (static_cast<std::int64_t>(values.size()) != channels)
    throw UsageError(
        fmt::format("{}: expected 1 or {} numbers for {} channels, got {}", option, channels, channels, values.size()));
  return values;
}

}  // namespace

inversion::Problem make_problem(const NetworkOptions& o, std::int64_t images) {
  if (o.model.empty()) throw UsageError("--model: not given\n  hint: gi_invert --list-models tells the networks there are");
  const models::ModelInfo info = models::model_info(o.model);
  models::ModelOptions wanted;
  if (o.classes > 0) wanted.classes = o.classes;
  if (!o.size.empty()) {
    std::vector<std::int64_t> e = parse_extents("--size", o.size, 1, 3);
    if (e.size() == 1) e.push_back(e[0]);
    if (e.size() == 2) e.insert(e.begin(), info.image.channels);
    wanted.image = models::ImageShape{e[0], e[1], e[2]};
  }
  inversion::Problem p;
  p.model = models::find_model(o.model, wanted);
  p.mode = o.mode == "train" ? models::Mode::train : models::Mode::eval;
  p.images = images;
  const models::Normalization& n = models::normalization(o.normalization.empty() ? info.normalization : o.normalization);
  const std::int64_t channels = p.model.image.channels;
  p.mean = by_channel(o.mean.empty() ? "--normalization" : "--mean", o.mean.empty() ? n.mean : o.mean, channels);
  p.std = by_channel(o.std.empty() ? "--normalization" : "--std", o.std.empty() ? n.std : o.std, channels);
  return p;
}

models::Weights make_network(const NetworkOptions& o, const models::Model& model, std::uint64_t seed) {
  return o.weights.empty() ? models::initialise(model, seed) : models::load_weights(o.weights, model);
}

std::optional<Rect> parse_crop(const std::vector<std::int64_t>& numbers) {
  if (numbers.empty()) return std::nullopt;
  if (numbers.size() != 4) throw UsageError(fmt::format("--crop: expected X,Y,W,H, got {} numbers", numbers.size()));
  return Rect{.top = static_cast<int>(numbers[1]),
              .left = static_cast<int>(numbers[0]),
              .height = static_cast<int>(numbers[3]),
              .width = static_cast<int>(numbers[2])};
}

std::vector<double> load_pixels(const std::vector<std::string>& files, const models::ImageShape& shape,
                                const std::optional<Rect>& crop) {
  std::vector<double> all;
  for (const std::string& file : files) {
    try {
      const Image image = resize_and_crop(load_image(file), static_cast<int>(shape.height), static_cast<int>(shape.width), crop);
      const std::vector<double> planes = to_planes(image, static_cast<int>(shape.channels));
      all.insert(all.end(), planes.begin(), planes.end());
    } catch (const UsageError& e) {
      throw UsageError(fmt::format("{}: {}", file, e.what()));
    }
  }
  return all;
}

std::map<std::string, std::string> hash_files(const std::vector<std::string>& files) {
  std::map<std::string, std::string> hashes;
  std::vector<std::byte> block(1 << 20);
  for (const std::string& name : files) {
    if (name.empty()) continue;
    models::InputFile file(name);
    inversion::Sha256 hash;
    for (std::uint64_t left = file.size(); left > 0;) {
      const std::span<std::byte> part(block.data(), std::min<std::uint64_t>(left, block.size()));
      file.read(part);
      hash.add(part);
      left -= part.size();
    }
    hashes[name] = hash.hex();
  }
  return hashes;
}

}  // namespace gi::tools
