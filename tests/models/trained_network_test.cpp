// Whole networks against numbers another framework computed for the same weights and images.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/autodiff/grad.h"
#include "engine/exec/workspace.h"
#include "engine/ops/losses.h"
#include "models/network.h"
#include "models/safetensors.h"
#include "models/weight_files.h"
#include "models/zoo.h"
#include "tests/models/cifar.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::models;
using gi::test::data_file;

namespace {

/// Loss and the gradient of every parameter, f64.
struct Measured {
  double loss;
  std::vector<std::vector<double>> gradients;
};
Measured measure(const Model& model, const Weights& weights, Mode mode, const Tensor& images, const Tensor& labels) {
  Graph g;
  const Network net(g, model, weights, {.mode = mode});
  const Value loss = cross_entropy(net.logits(g.input("x", images.shape())), g.input("labels", labels.shape()));
  ProgramSpec spec{.outputs = {{"loss", loss}}};
  const auto dw = grad(loss, net.params());
  for (std::size_t i = 0; i < dw.size(); ++i) spec.outputs.push_back({net.param_names()[i], dw[i]});
  const Program program = Program::freeze(g, spec);
  const Plan plan = Plan::compile(program, {.dtype = DType::f64});
  Workspace run(plan);
  run.set("x", images);
  run.set("labels", labels);
  run.run();
  Measured out{run.get("loss").at(0), {}};
  for (const std::string& name : net.param_names()) out.gradients.push_back(run.get(name).to_doubles());
  return out;
}

double norm(const std::vector<double>& v) { return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0)); }

}  // namespace

TEST_CASE("losses and gradient norms of untrained networks agree with PyTorch's", "[golden]") {
  struct Row {
    const char* model;
    const char* weights;
    const char* golden;
    Mode mode;
  };
  const auto row = GENERATE(Row{"lenetzhu", "lenetzhu_seed42", "lenetzhu_matching_eval_img0", Mode::eval},
                            Row{"lenetzhu", "lenetzhu_seed42", "lenetzhu_matching_eval_img0-3", Mode::eval},
                            Row{"convnet64", "convnet_seed42", "convnet64_matching_eval_img0", Mode::eval},
                            Row{"convnet64", "convnet_seed42", "convnet64_matching_train_img0-3", Mode::train},
                            Row{"resnet20", "resnet20_seed42", "resnet20_matching_eval_img0", Mode::eval},
                            Row{"resnet20", "resnet20_seed42", "resnet20_matching_train_img0-3", Mode::train});
  const auto weights = data_file(std::string("weights/untrained/") + row.weights + ".safetensors");
  const auto golden = data_file(std::string("weights/golden/") + row.golden + ".safetensors");
  if (!weights || !golden) return;
  CAPTURE(row.golden);
  const Model model = find_model(row.model);
  const TensorFile file = read_safetensors(*golden);
  const auto& images = *file.find("x_true");
  std::vector<int> labels;
  for (const double y : file.find("labels")->to_doubles()) labels.push_back(static_cast<int>(y));
  const Measured m = measure(model, load_weights(*weights, model), row.mode, images.to_tensor({1, images.shape[0], 3, 32, 32}),
                             test::one_hot(labels, 10));
  CHECK(m.loss == Approx(file.find("loss_true")->to_doubles()[0]).epsilon(1e-12));
  const auto norms = file.find("grad_norms_true")->to_doubles();
  REQUIRE(m.gradients.size() == norms.size());
  const double largest = *std::ranges::max_element(norms);
  for (std::size_t i = 0; i < norms.size(); ++i) {
    CAPTURE(i, model.parameters()[i].name);
    CHECK(std::abs(norm(m.gradients[i]) - norms[i]) < 1e-11 * norms[i] + 1e-14 * largest);
  }
}

TEST_CASE("gradients of the trained ResNet20 agree with PyTorch's", "[golden]") {
  struct Row {
    const char* golden;
    Mode mode;
    std::vector<int> indices;
  };
  const auto row =
      GENERATE(Row{"resnet20_grad_eval_img61", Mode::eval, {61}}, Row{"resnet20_grad_train_img0-3", Mode::train, {0, 1, 2, 3}});
  const auto weights = data_file("weights/resnet_cifar10/resnet20-12fca82f.safetensors");
  const auto golden = data_file(std::string("weights/golden/") + row.golden + ".safetensors");
  const auto images = data_file("cifar10/bin/test_00.bin");
  if (!weights || !golden || !images) return;
  CAPTURE(row.golden);
  const Model model = find_model("resnet20-a");
  const auto cifar = test::read_cifar<float>(*images, row.indices, normalization("resnet20-a"));  // as the file's were
  const Measured m = measure(model, load_weights(*weights, model), row.mode, cifar.images, test::one_hot(cifar.labels, 10));
  CHECK(m.loss == Approx(std::stod(read_safetensors(*golden).metadata.at("loss"))).epsilon(1e-12));
  const std::vector<Tensor> expected = read_parameter_list(*golden, model);  // rounded to f32
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i, model.parameters()[i].name);
    std::vector<double> difference = m.gradients[i];
    for (std::size_t k = 0; k < difference.size(); ++k) difference[k] -= expected[i].at(k);
    CHECK(norm(difference) < 6e-8 * norm(m.gradients[i]));
  }
}

TEST_CASE("the trained ResNet20 recognises the first hundred test images", "[golden]") {
  const auto weights = data_file("weights/resnet_cifar10/resnet20-12fca82f.safetensors");
  const auto images = data_file("cifar10/bin/test_00.bin");
  if (!weights || !images) return;
  const Model model = find_model("resnet20-a");
  std::vector<int> indices(100);
  std::iota(indices.begin(), indices.end(), 0);
  const auto cifar = test::read_cifar<double>(*images, indices, normalization(model_info("resnet20-a").normalization));
  Graph g;
  const Weights w = load_weights(*weights, model);
  const Network net(g, model, w);
  const Program program = Program::freeze(g, {.outputs = {{"logits", net.logits(g.input("x", net.images(100)))}}});
  const Plan plan = Plan::compile(program, {.dtype = DType::f64});
  Workspace run(plan);
  run.set("x", cifar.images);
  run.run();
  const auto logits = run.get("logits").to_doubles();
  std::vector<int> wrong;
  for (int i = 0; i < 100; ++i) {
    const auto row = logits.begin() + 10 * i;
    if (std::max_element(row, row + 10) - row != cifar.labels[i]) wrong.push_back(i);
  }
  // What is mistaken has a loss above ln 2; elsewhere measured: 8.80, 7.52, 1.74, 1.18, .968, .874 for these six, less for all
  // others.
  CHECK(wrong == std::vector<int>{35, 52, 58, 59, 61, 95});
}
