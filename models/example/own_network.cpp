// Declares the network of own_network.h, gives it weights, and measures the gradient one image leaves in it: what a client of
// federated learning would send, and what gi_invert starts from.
#include "models/example/own_network.h"

#include <fmt/format.h>

#include <string>

#include "engine/autodiff/grad.h"
#include "engine/exec/interpreter.h"
#include "engine/ops/losses.h"
#include "engine/ops/reduce.h"
#include "models/network.h"
#include "models/random.h"

int main() {
  using namespace gi;
  using namespace gi::models;

  const Model model = define_model("own", {.channels = 3, .height = 32, .width = 32}, 10, example::own_network);
  const Weights weights = initialise(model, 1);
  fmt::print("{}: {} parameters in {} tensors\n", model.name, model.parameter_count(), model.parameters().size());

  Graph graph;
  const Network net(graph, model, weights);
  const Value x = graph.input("x", net.images(1)), label = graph.input("label", {1, 1, model.classes});
  const Value loss = cross_entropy(net.logits(x), label);
  ProgramSpec spec{.outputs = {{"loss", loss}}};
  const auto gradient = grad(loss, net.params());
  for (std::size_t i = 0; i < gradient.size(); ++i) spec.outputs.push_back({net.param_names()[i], norm(gradient[i])});
  const Program program = Program::freeze(graph, spec);

  Random random(2);
  Tensor image(net.images(1), DType::f64), one_hot({1, 1, model.classes}, DType::f64);
  for (double& pixel : image.as<double>()) pixel = random.normal();
  one_hot.as<double>()[3] = 1;
  Interpreter run(program);
  run.set("x", image);
  run.set("label", one_hot);
  run.run();
  for (const auto& output : program.outputs()) fmt::print("{:<20} {:.6f}\n", output.name, run.get(output.name).at(0));
}
