// A Model with its Weights as values of a Graph.
//
//   const Model model     = find_model("resnet20");                       // models/zoo.h; own ones: define_model, models/model.h
//   const Weights weights = load_weights("resnet20.safetensors", model);  // models/weight_files.h; or initialise(model, seed)
//   Graph g;
//   const Network net(g, model, weights, {.trials = trials, .mode = Mode::eval});
//   const Value x    = g.state("x", net.images(1));                       // [T,1,3,32,32]
//   const Value loss = cross_entropy(net.logits(x), labels);              // [T]
//   const auto  dw   = grad(loss, net.params());                          // per trial: [T,K,C,R,S], ...
//
// Leaves are named as the tensors ("conv1.weight"), with `prefix` in front. Received gradients come in the order of params():
// read_parameter_list, models/weight_files.h. Restarts, victims and sweeps are trials; networks of their own per trial are
// Weights with a real trial axis: initialise(model, seeds), stack.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/builder.h"
#include "models/model.h"
#include "models/weights.h"

namespace gi::models {

struct NetworkOptions {
  std::int64_t trials = 1;
  Mode mode = Mode::eval;
  /// Decisions of ReLU, leaky ReLU, ReLU6 and max pooling become inputs; see Network::decisions.
  bool force_decisions = false;
  /// constants: the Graph refers to the Weights' tensors. inputs: leaves are Graph::inputs [T, ...] under the same names, for
  /// chunks whose networks differ under one Plan; the Weights then only give names and shapes. shared_inputs: likewise, [1, ...].
  enum class Leaves { constants, inputs, shared_inputs } leaves = Leaves::constants;
  /// In front of every leaf's name: for a second network in one Graph.
  std::string prefix{};
};

class Network {
 public:
  /// Errors   ShapeError: `weights` have other shapes than `model` asks for, or neither 1 nor T trials; UsageError: other names.
  Network(Graph& graph, const Model& model, const Weights& weights, NetworkOptions options = {});
  Network(Graph&, const Model&, const Weights&&, NetworkOptions = {}) = delete;  // the Graph refers to them

  /// The trainable leaves, [1, ...] (or [T, ...] where each trial has its own), in the order of PyTorch's parameters().
  std::span<const Value> weights() const { return weights_; }
  /// The same spread over the trials, [T, ...]: what attacks differentiate by.
  std::span<const Value> params() const { return params_; }
  std::span<const std::string> param_names() const { return names_; }

  /// x [T,N,C,H,W] -> [T,N,classes]. May be called for several x; all use the same params().
  /// Errors ShapeError: x is not of the model's images and this network's trials.
  Value logits(Value x) const { return forward(x, params_).logits; }
  /// With other parameters of the same shapes, [T, ...]: locally updated ones.
  Value logits(Value x, std::span<const Value> params) const { return forward(x, params).logits; }

  struct Forward {
    Value logits;                          ///< [T,N,classes]
    Value features;                        ///< input of the last linear layer, [T,N,F]
    std::vector<Decision> decisions;       ///< in the order they are taken
    std::vector<BatchnormTap> batchnorms;  ///< inputs and running statistics, for priors
  };
  Forward forward(Value x, std::span<const Value> params) const;
  Forward forward(Value x) const { return forward(x, params_); }

  /// Pre-activations of all calls so far and the names of their decision inputs, whether decisions are forced or not: a test
  /// runs one network in f64, reads the pre-activations and binds them to the inputs of a second, forced one of equal calls.
  /// The first call's inputs are "decision/<op><i>", the k-th call's "decision<k>/<op><i>".
  std::span<const Decision> decisions() const { return decisions_; }

  const Model& model() const { return model_; }
  const NetworkOptions& options() const { return options_; }
  std::int64_t trials() const { return options_.trials; }
  /// Shape of n images a trial: [T,n,C,H,W].
  Shape images(std::int64_t n) const;

 private:
  Graph* graph_;
  Model model_;
  NetworkOptions options_;
  std::vector<Value> weights_, params_;      // trainable
  std::vector<std::string> names_;           // of those
  std::vector<Value> buffers_;               // [T, ...], in the model's order
  mutable std::vector<Decision> decisions_;  // grows with the graph
  mutable int calls_ = 0;
};

}  // namespace gi::models
