// gi_client: the gradient that a client of federated learning would send for its images, as a file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "engine/core/error.h"
#include "inversion/client.h"
#include "inversion/labels.h"
#include "models/weight_files.h"
#include "tools/common/network_options.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

namespace gi::tools {
namespace {

/// g.safetensors -> g-3.safetensors.
std::filesystem::path numbered(const std::filesystem::path& path, std::size_t i) {
  return path.parent_path() / fmt::format("{}-{}{}", path.stem().string(), i, path.extension().string());
}

int body(int argc, char** argv) {
  CLI::App app{
      "Computes the gradient of the training loss (mean cross-entropy) by a network's parameters on one's images and writes it "
      "as safetensors: what a client of federated learning sends. gi_invert --gradient reads it."};
  app.name("gi_client");
  NetworkOptions network;
  std::vector<std::string> images;
  std::vector<std::int64_t> labels, crop;
  std::string output, dtype = "f32", device = "auto", config;
  bool batch = false;
  app.add_option("--image", images, "A picture (PNG, JPEG, BMP, binary PNM, first frame of a GIF); repeated for several")
      ->type_name("FILE")
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--batch", batch, "The pictures are one batch with one gradient; without it each has a file of its own");
  add_wholes(app, "--labels", labels, 0, 1000000, "Class of every picture; without it classes are drawn from the seed");
  app.add_option("--output", output, "The file to write; several pictures without --batch get -0, -1, ... before its ending")
      ->type_name("FILE");
  add_wholes(app, "--crop", crop, 0, 1 << 24, "X,Y,W,H: only this part of every picture");
  add_choice(app, "--dtype", dtype, {"f32", "f64"}, "Computed and written in");
  add_choice(app, "--device", device, {"auto", "cpu", "cuda"}, "Where it is computed");
  add_seed(app, "--seed", network.seed, "Of what is drawn: weights, classes");
  add_network_options(app, network);
  app.add_option("--config", config, "A TOML file of these options; the command line goes before it")->type_name("FILE");
  app.set_version_flag("--version", version_line("gi_client"));
  parse_command_line(app, argc, argv);
  if (!config.empty()) apply_config(app, config);
  const std::unique_ptr<Device> where = chosen_device(device);
  if (images.empty()) throw UsageError("--image: not given");
  if (output.empty()) throw UsageError("--output: not given");
  if (!labels.empty() && labels.size() != images.size())
    throw UsageError(fmt::format("--labels: expected one a picture, {}, got {}", images.size(), labels.size()));

  const std::size_t per_file = batch ? images.size() : 1;
  inversion::Problem problem = make_problem(network, static_cast<std::int64_t>(per_file));
  const models::Weights weights = make_network(network, problem.model, network.seed);
  for (std::size_t i = labels.size(); i < images.size(); ++i)
    labels.push_back(inversion::draw_label(network.seed, i, problem.model.classes));
  const std::vector<double> pixels = load_pixels(images, problem.model.image, parse_crop(crop));
  const std::vector<double> x = inversion::normalised(pixels, problem);

  inversion::Client client(problem.model, problem.mode, problem.images, dtype == "f64" ? DType::f64 : DType::f32, where.get());
  const Shape shape = problem.candidates(1);
  const auto count = static_cast<std::size_t>(shape.count());
  for (std::size_t i = 0; i * per_file < images.size(); ++i) {
    const auto own_labels = std::span<const std::int64_t>(labels).subspan(i * per_file, per_file);
    const inversion::Client::Message message =
        client.answer(weights, Tensor::from(shape, std::span<const double>(x).subspan(i * count, count)), own_labels);
    const std::filesystem::path file = per_file == images.size() ? std::filesystem::path(output) : numbered(output, i);
    models::write_parameter_list(file, problem.model, message.gradient);
    fmt::print("{}: gradient of {} on {} image{}, labels {}, loss {:.6g}\n", file.string(), problem.model.name, per_file,
               per_file == 1 ? "" : "s", fmt::join(own_labels, ","), message.loss);
  }
  return kDone;
}

}  // namespace
}  // namespace gi::tools

int main(int argc, char** argv) { return gi::tools::run_program("gi_client", argc, argv, gi::tools::body); }
