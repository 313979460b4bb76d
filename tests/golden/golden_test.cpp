// Whole networks against values that PyTorch computed in f64 on the same weights, images and candidates.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <cmath>

#include "engine/exec/interpreter.h"
#include "inversion/attack.h"
#include "inversion/client.h"
#include "inversion/evaluate.h"
#include "models/normalization.h"
#include "models/safetensors.h"
#include "models/weight_files.h"
#include "models/zoo.h"
#include "tests/shared_data.h"
#include "tests/tested_device.h"

using namespace gi;

namespace {

struct Golden {
  const char* model;
  const char* weights;
  const char* file;
  models::Mode mode;
};
constexpr Golden kCases[] = {
    {"lenetzhu", "lenetzhu_seed42", "lenetzhu_matching_eval_img0", models::Mode::eval},
    {"lenetzhu", "lenetzhu_seed42", "lenetzhu_matching_eval_img0-3", models::Mode::eval},
    {"convnet64", "convnet_seed42", "convnet64_matching_eval_img0", models::Mode::eval},
    {"convnet64", "convnet_seed42", "convnet64_matching_train_img0-3", models::Mode::train},
    {"resnet20", "resnet20_seed42", "resnet20_matching_eval_img0", models::Mode::eval},
    {"resnet20", "resnet20_seed42", "resnet20_matching_train_img0-3", models::Mode::train},
};

double relative_error(std::span<const double> a, std::span<const double> b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

/// A golden file with the problem it describes: the victim's gradient computed from the true images, in f64.
struct Loaded {
  models::TensorFile file;
  inversion::Problem problem;
  Tensor x;
  std::vector<double> stored(const char* name) const { return file.find(name)->to_doubles(); }
};

std::optional<Loaded> load(const Golden& c) {
  const auto file = test::data_file(fmt::format("weights/golden/{}.safetensors", c.file));
  const auto weights = test::data_file(fmt::format("weights/untrained/{}.safetensors", c.weights));
  if (!file || !weights) return std::nullopt;
  Loaded l{.file = models::read_safetensors(*file), .problem = {.model = models::find_model(c.model)}, .x = {}};
  const std::int64_t n = l.file.find("x")->shape[0];
  const Shape shape{1, n, 3, 32, 32};
  l.x = l.file.find("x")->to_tensor(shape);
  l.problem.networks.push_back(models::load_weights(*weights, l.problem.model));
  l.problem.mode = c.mode;
  l.problem.images = n;
  std::vector<std::int64_t> labels;
  for (double y : l.stored("labels")) labels.push_back(static_cast<std::int64_t>(y));
  inversion::Client client(l.problem.model, c.mode, n, DType::f64);
  auto message = client.answer(l.problem.networks[0], l.file.find("x_true")->to_tensor(shape), labels);
  CHECK(std::abs(message.loss - l.stored("loss_true")[0]) <= 1e-12 * std::abs(message.loss));
  l.problem.victims.push_back({std::move(message.gradient), labels});
  return l;
}

std::vector<double> norms(std::span<const Tensor> tensors) {
  std::vector<double> result;
  for (const Tensor& t : tensors) {
    double sum = 0;
    for (double v : t.to_doubles()) sum += v * v;
    result.push_back(std::sqrt(sum));
  }
  return result;
}

}  // namespace

TEST_CASE("f64: losses, distances and their derivatives by the candidate are PyTorch's", "[golden]") {
  for (const Golden& c : kCases) {
    const auto l = load(c);
    if (!l) return;
    INFO(c.file);
    const double bound = c.mode == models::Mode::eval ? 1e-9 : 1e-8;
    // A bias in front of a training-mode BN has a gradient of exactly zero; both sides hold rounding there.
    std::vector<double> ours = norms(l->problem.victims[0].gradient), theirs = l->stored("grad_norms_true");
    double largest = 0;
    for (double v : theirs) largest = std::max(largest, v);
    for (std::size_t i = 0; i < theirs.size(); ++i) CHECK(std::abs(ours[i] - theirs[i]) <= bound * theirs[i] + 1e-13 * largest);

    const auto e = inversion::evaluate(l->problem, l->x, {.dtype = DType::f64});
    const std::array<double, 4> values{e.loss, e.cosine_distance, e.l2_distance, e.total_variation};
    const std::array<double, 4> expected{l->stored("loss")[0], l->stored("cosine_distance")[0], l->stored("l2_distance")[0],
                                         l->stored("total_variation")[0]};
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::abs(values[i] - expected[i]) <= bound * std::abs(expected[i]));
    const double cosine = relative_error(e.d_cosine_distance_d_x.to_doubles(), l->stored("d_cosine_distance_d_x"));
    const double l2 = relative_error(e.d_l2_distance_d_x.to_doubles(), l->stored("d_l2_distance_d_x"));
    const double tv = relative_error(e.d_total_variation_d_x.to_doubles(), l->stored("d_total_variation_d_x"));
    fmt::print("{:<36} f64: cosine {:.1e}, l2 {:.1e}, tv {:.1e}\n", c.file, cosine, l2, tv);
    CHECK(cosine <= bound);
    CHECK(l2 <= bound);
    CHECK(tv <= bound);
  }
}

TEST_CASE("f32: the derivatives are PyTorch's within 1e-4, with the f64 run's decisions where the network has any", "[golden]") {
  for (const Golden& c : kCases) {
    const auto l = load(c);
    if (!l) return;
    INFO(c.file);
    const auto exact = inversion::evaluate(l->problem, l->x, {.dtype = DType::f64, .record_decisions = true});
    const auto e = inversion::evaluate(l->problem, l->x, {.dtype = DType::f32, .forced = &exact.decisions});
    CHECK(exact.decisions.empty() == (std::string_view(c.model) == "lenetzhu"));
    const double cosine = relative_error(e.d_cosine_distance_d_x.to_doubles(), l->stored("d_cosine_distance_d_x"));
    const double l2 = relative_error(e.d_l2_distance_d_x.to_doubles(), l->stored("d_l2_distance_d_x"));
    fmt::print("{:<36} f32: cosine {:.1e}, l2 {:.1e}\n", c.file, cosine, l2);
    CHECK(cosine <= 1e-4);
    CHECK(l2 <= 1e-4);
  }
}

TEST_CASE("with products of three of bf16 the derivatives are PyTorch's within 1e-4, with the f64 run's decisions", "[golden]") {
  const auto list = kernels::cpu_kernels(kernels::best_isa());
  if (std::ranges::none_of(list, [](const auto& k) { return kernels::has_products(k, "bf16x3"); })) {
    fmt::print("[gi: skipped] this processor has no AMX\n");
    return;
  }
  for (const Golden& c : kCases) {
    if (std::string_view(c.model) == "lenetzhu") continue;  // 12 channels
    const auto l = load(c);
    if (!l) return;
    INFO(c.file);
    const auto exact = inversion::evaluate(l->problem, l->x, {.dtype = DType::f64, .record_decisions = true});
    for (const char* winograd : {"no", ""}) {
      std::map<std::string, std::string> force{{"products", "bf16x3"}};
      if (winograd[0] != 0) force["winograd"] = winograd;
      const auto e = inversion::evaluate(l->problem, l->x, {.dtype = DType::f32, .forced = &exact.decisions, .force = force});
      const double cosine = relative_error(e.d_cosine_distance_d_x.to_doubles(), l->stored("d_cosine_distance_d_x"));
      const double l2 = relative_error(e.d_l2_distance_d_x.to_doubles(), l->stored("d_l2_distance_d_x"));
      fmt::print("{:<36} bf16x3, winograd '{}': cosine {:.1e}, l2 {:.1e}\n", c.file, winograd, cosine, l2);
      CHECK(cosine <= 1e-4);
      CHECK(l2 <= 1e-4);
    }
  }
}

TEST_CASE("on a device too the derivatives are PyTorch's, in f64, and in f32 with the f64 run's decisions",
          "[golden][emulated][gpu]") {
  for (const Golden& c : kCases) {
    if (test::real_device() == nullptr && std::string_view(c.model) != "lenetzhu") continue;  // takes the emulator minutes
    const auto l = load(c);
    if (!l) return;
    INFO(c.file);
    test::TestedDevice device;
    const auto exact = inversion::evaluate(l->problem, l->x, {.dtype = DType::f64, .device = &device, .record_decisions = true});
    const auto single = inversion::evaluate(l->problem, l->x, {.dtype = DType::f32, .device = &device, .forced = &exact.decisions});
    for (const auto& [e, bound] : {std::pair{&exact, c.mode == models::Mode::eval ? 1e-9 : 1e-8}, std::pair{&single, 1e-4}}) {
      const double cosine = relative_error(e->d_cosine_distance_d_x.to_doubles(), l->stored("d_cosine_distance_d_x"));
      const double l2 = relative_error(e->d_l2_distance_d_x.to_doubles(), l->stored("d_l2_distance_d_x"));
      fmt::print("{:<36} {} on {}: cosine {:.1e}, l2 {:.1e}\n", c.file, e == &exact ? "f64" : "f32", device.name(), cosine, l2);
      CHECK(cosine <= bound);
      CHECK(l2 <= bound);
    }
  }
}

TEST_CASE("the gradients of a trained ResNet20 are PyTorch's", "[golden]") {
  const auto weights = test::data_file("weights/resnet_cifar10/resnet20-12fca82f.safetensors");
  const auto bin = test::data_file("cifar10/bin/test_00.bin");
  struct Case {
    const char* file;
    std::vector<int> images;
    models::Mode mode;
  };
  const Case cases[] = {{"weights/golden/resnet20_grad_eval_img61.safetensors", {61}, models::Mode::eval},
                        {"weights/golden/resnet20_grad_train_img0-3.safetensors", {0, 1, 2, 3}, models::Mode::train}};
  if (!weights || !bin) return;
  const models::Model model = models::find_model("resnet20-a");
  const models::Weights trained = models::load_weights(*weights, model);
  const auto norm = models::normalization("resnet20-a");
  std::FILE* in = std::fopen(bin->c_str(), "rb");
  REQUIRE(in != nullptr);
  std::vector<unsigned char> records(1000 * 3073);
  REQUIRE(std::fread(records.data(), 1, records.size(), in) == records.size());
  std::fclose(in);
  for (const Case& c : cases) {
    const auto file = test::data_file(c.file);
    if (!file) return;
    const auto n = static_cast<std::int64_t>(c.images.size());
    Tensor x({1, n, 3, 32, 32}, DType::f64);
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n; ++i) {
      const unsigned char* record = &records[c.images[i] * 3073];
      labels.push_back(record[0]);
      for (int p = 0; p < 3072; ++p)
        // The stored gradients were taken of images normalised in f32.
        x.as<double>()[i * 3072 + p] = (static_cast<float>(record[1 + p]) / 255.0f - static_cast<float>(norm.mean[p / 1024])) /
                                       static_cast<float>(norm.std[p / 1024]);
    }
    for (const DType dtype : {DType::f64, DType::f32}) {
      inversion::Client client(model, c.mode, n, dtype);
      const auto message = client.answer(trained, x, labels);
      const double loss = std::stod(models::read_safetensors(*file).metadata.at("loss"));
      CHECK(std::abs(message.loss - loss) <= (dtype == DType::f64 ? 1e-12 : 1e-5) * loss);
      const std::vector<Tensor> stored = models::read_parameter_list(*file, model);
      std::vector<double> ours, theirs;
      for (std::size_t i = 0; i < stored.size(); ++i) {
        for (double v : message.gradient[i].to_doubles()) ours.push_back(v);
        for (double v : stored[i].to_doubles()) theirs.push_back(v);
      }
      const double error = relative_error(ours, theirs);
      fmt::print("{:<60} {}: {:.1e}\n", c.file, dtype == DType::f64 ? "f64" : "f32", error);
      CHECK(error <= 1e-5);
    }
  }
}
