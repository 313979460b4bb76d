#include "tools/gi_invert/scene.h"

#include <fmt/format.h>

#include <chrono>

#include "engine/core/error.h"
#include "inversion/client.h"
#include "inversion/labels.h"
#include "models/weight_files.h"
#include "tools/common/options.h"

namespace gi::tools {
namespace {

std::vector<std::string> parameter_names(const models::Model& model) {
  std::vector<std::string> names;
  for (const models::TensorSpec& spec : model.parameters()) names.push_back(spec.name);
  return names;
}

/// Options with what --shape says in place of --size.
NetworkOptions with_shape(const Settings& s) {
  NetworkOptions o = s.network;
  if (s.shape.empty()) return o;
  if (!o.size.empty()) throw UsageError("--shape: says the size already; --size does not go with it");
  const std::vector<std::int64_t> e = parse_extents("--shape", s.shape, 4, 4);
  o.size = fmt::format("{}x{}x{}", e[1], e[2], e[3]);
  return o;
}

void draw_networks(const Settings& s, inversion::Problem& p) {
  const std::size_t networks = s.fresh_networks ? p.victims.size() : 1;
  for (std::size_t i = 0; i < networks; ++i) p.networks.push_back(make_network(s.network, p.model, s.network.seed + i));
}

std::span<const std::int64_t> of_victim(const std::vector<std::int64_t>& labels, std::size_t victim, std::int64_t images) {
  return std::span(labels).subspan(victim * static_cast<std::size_t>(images), static_cast<std::size_t>(images));
}

void require_one_a_picture(const Settings& s, const Counts& counts) {
  const auto expected = static_cast<std::size_t>(counts.victims * counts.images);
  if (!s.labels.empty() && s.labels.size() != expected)
    throw UsageError(fmt::format("--labels: expected one an image, {}, got {}", expected, s.labels.size()));
}

/// The client's part: everything it knows goes into `scene`, only its messages into the problem.
void play_client(const Settings& s, Scene& scene, Device* device) {
  inversion::Problem& p = scene.problem;
  const std::vector<double> pixels = load_pixels(s.images, p.model.image, parse_crop(s.crop));
  scene.true_labels = s.labels;
  for (std::size_t i = s.labels.size(); i < s.images.size(); ++i)
    scene.true_labels.push_back(inversion::draw_label(s.network.seed, i, p.model.classes));
  scene.truth_files = s.images;
  const std::vector<double> x = inversion::normalised(pixels, p);
  const Shape shape = p.candidates(1);
  const auto count = static_cast<std::size_t>(shape.count());
  const std::vector<std::string> names = parameter_names(p.model);

  const auto start = std::chrono::steady_clock::now();
  inversion::Client client(p.model, p.mode, p.images, s.number_type(), device);
  for (std::size_t v = 0; v < p.victims.size(); ++v) {
    scene.truth.emplace_back(pixels.begin() + v * count, pixels.begin() + (v + 1) * count);
    auto message = client.answer(p.network_of(static_cast<std::int64_t>(v)),
                                 Tensor::from(shape, std::span<const double>(x).subspan(v * count, count)),
                                 of_victim(scene.true_labels, v, p.images));
    inversion::check_gradient(message.gradient, names, fmt::format("{}: its gradient", s.images[v * p.images]));
    p.victims[v].gradient = std::move(message.gradient);
    scene.losses.push_back(message.loss);
  }
  scene.client_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void load_messages(const Settings& s, Scene& scene) {
  inversion::Problem& p = scene.problem;
  const std::vector<std::string> names = parameter_names(p.model);
  for (std::size_t v = 0; v < p.victims.size(); ++v) {
    p.victims[v].gradient = models::read_parameter_list(s.gradients[v], p.model);
    inversion::check_gradient(p.victims[v].gradient, names, s.gradients[v]);
  }
  // Victims of one run are one tensor: where some are f64, all are.
  bool wide = false;
  for (const auto& victim : p.victims)
    for (const Tensor& t : victim.gradient) wide |= t.dtype() == DType::f64;
  for (auto& victim : p.victims)
    for (Tensor& t : victim.gradient)
      if (wide && t.dtype() != DType::f64) t = t.to(DType::f64);

  const std::size_t expected = p.victims.size() * static_cast<std::size_t>(p.images);
  if (s.truth.empty()) return;
  if (s.truth.size() != expected)
    throw UsageError(fmt::format("--truth: expected one an image, {}, got {}", expected, s.truth.size()));
  scene.truth_files = s.truth;
  const std::vector<double> pixels = load_pixels(s.truth, p.model.image, parse_crop(s.crop));
  const std::size_t count = pixels.size() / p.victims.size();
  for (std::size_t v = 0; v < p.victims.size(); ++v)
    scene.truth.emplace_back(pixels.begin() + v * count, pixels.begin() + (v + 1) * count);
}

}  // namespace

Counts count_images(const Settings& s) {
  if (!s.both_sides()) {
    const std::int64_t images = s.shape.empty() ? 1 : parse_extents("--shape", s.shape, 4, 4)[0];
    return {static_cast<std::int64_t>(s.gradients.size()), images};
  }
  if (!s.shape.empty() && !s.images.empty())
    throw UsageError("--shape: goes with --gradient; pictures are counted, --size gives their size");
  if (s.images.empty()) return {1, s.shape.empty() ? 1 : parse_extents("--shape", s.shape, 4, 4)[0]};
  const auto n = static_cast<std::int64_t>(s.images.size());
  return s.batch ? Counts{1, n} : Counts{n, 1};
}

inversion::Problem empty_problem(const Settings& s) {
  const Counts counts = count_images(s);
  require_one_a_picture(s, counts);
  inversion::Problem p = make_problem(with_shape(s), counts.images);
  p.victims.resize(static_cast<std::size_t>(counts.victims));
  draw_networks(s, p);
  return p;
}

Scene make_scene(const Settings& s, Device* device) {
  Scene scene;
  const Counts counts = count_images(s);
  scene.labels_known = s.both_sides() ? s.labels_known : !s.labels.empty();
  if (!scene.labels_known && counts.images > 1)
    throw UsageError(
        fmt::format("--labels: {} images share a gradient; labels can be recovered for a single one only\n"
                    "  hint: tell the attack their classes with --labels",
                    counts.images));
  scene.problem = empty_problem(s);
  inversion::Problem& p = scene.problem;
  if (s.both_sides()) play_client(s, scene, device);
  else load_messages(s, scene);
  const std::vector<std::int64_t>& told = s.both_sides() ? scene.true_labels : s.labels;
  for (std::size_t v = 0; v < p.victims.size(); ++v) {
    if (scene.labels_known) {
      const auto own = of_victim(told, v, p.images);
      p.victims[v].labels.assign(own.begin(), own.end());
    } else {
      p.victims[v].labels = {inversion::recover_label(p.model, p.victims[v].gradient)};
    }
    (void)inversion::one_hot(p.victims[v].labels, p.model.classes);  // refuses labels out of range before anything runs
  }
  std::vector<std::string> files = s.images;
  files.insert(files.end(), s.gradients.begin(), s.gradients.end());
  files.insert(files.end(), s.truth.begin(), s.truth.end());
  files.push_back(s.network.weights);
  scene.hashes = hash_files(files);
  return scene;
}

}  // namespace gi::tools
