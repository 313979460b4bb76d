#include "inversion/client.h"

#include "engine/autodiff/grad.h"
#include "engine/ops/losses.h"
#include "models/network.h"

namespace gi::inversion {
namespace {

Program client_program(const models::Model& model, models::Mode mode, std::int64_t images) {
  Graph g;
  models::Weights names;  // with leaves as inputs only names and shapes count
  for (const models::TensorSpec& spec : model.tensors)
    names.entries.push_back({spec.name, Tensor(spec.shape, DType::f32), spec.trainable});
  const models::Network net(g, model, names, {.mode = mode, .leaves = models::NetworkOptions::Leaves::inputs});
  const Value x = g.input("x", net.images(images));
  const Value loss = cross_entropy(net.logits(x), g.input("labels", {1, images, model.classes}));
  const std::vector<Value> dw = grad(loss, net.params());
  ProgramSpec spec{.outputs = {{"loss", loss}}};
  for (std::size_t i = 0; i < dw.size(); ++i) spec.outputs.push_back({"grad/" + net.param_names()[i], dw[i]});
  return Program::freeze(g, spec);
}

}  // namespace

Client::Client(const models::Model& model, models::Mode mode, std::int64_t images, DType dtype, Device* device)
    : model_(model),
      plan_(Plan::compile(client_program(model, mode, images), {.dtype = dtype, .device = device, .lanes = 1})),
      work_(device != nullptr ? Workspace(plan_, *device) : Workspace(plan_)) {}

Client::Message Client::answer(const models::Weights& weights, const Tensor& x, std::span<const std::int64_t> labels) {
  for (const Plan::Named& input : plan_.inputs())  // in training mode running statistics are no input
    if (input.name != "x" && input.name != "labels") work_.set(input.name, weights.at(input.name));
  work_.set("x", x);
  work_.set("labels", one_hot(labels, model_.classes));
  work_.run();
  Message message{work_.get("loss").at(0), {}};
  for (const models::TensorSpec& spec : model_.parameters()) message.gradient.push_back(work_.get("grad/" + spec.name));
  return message;
}

}  // namespace gi::inversion
