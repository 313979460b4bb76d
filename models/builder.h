// What an architecture is written in: a function Value(Builder&, Value images) that walks the network once.
//
// The same walk declares the tensors (names, shapes, initialisers) and builds the values; which of the two it is depends only
// on where the Builder gets its tensors from. Names are PyTorch's state_dict names, and tensors are asked for in the order
// their modules are registered there (a shortcut after the main path), so that the order is that of parameters().
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace gi::models {

/// How one tensor starts: all `value`; U(-value, value); or N(0, value^2).
struct Initialiser {
  enum class Kind { constant, uniform, normal } kind = Kind::constant;
  double value = 0;
};

/// One tensor of a network.
struct TensorSpec {
  std::string name;
  Shape shape;            ///< with the trial axis in front: [1,K,C,R,S], [1,K,F], [1,K]
  bool trainable = true;  ///< false: a buffer, as running_mean
  Initialiser initialiser;
};

/// eval: batch normalisation by running statistics. train: by those of the batch.
enum class Mode { eval, train };

/// Starting values of convolutions and linear layers (batch normalisation always starts as the identity).
///   pytorch           weight and bias U(+-1/sqrt(fan_in))
///   kaiming_fan_out   convolutions N(0, 2/(K R S)), linear layers as above
///   uniform_half      weight and bias U(-.5, .5)
enum class InitScheme { pytorch, kaiming_fan_out, uniform_half };

struct ConvOptions {
  std::int64_t stride = 1, pad = 0, groups = 1;
  bool bias = true;
};

/// A piecewise op's pre-activation and the name its decision operand goes by.
struct Decision {
  Value pre_activation;
  std::string input;  ///< "decision/relu0": a Graph::input of the pre-activation's shape when decisions are forced
};

/// What priors look at: a batch normalisation's input and its running statistics [T,C].
struct BatchnormTap {
  std::string name;
  Value input, running_mean, running_var;
};

class Builder {
 public:
  /// Gives the value of a tensor: [T, ...].
  using Source = std::function<Value(const TensorSpec&)>;
  struct Options {
    std::int64_t classes = 10;
    Mode mode = Mode::eval;
    bool force_decisions = false;
    std::string decision_prefix = "decision/";
  };

  Builder(Source source, Options options) : source_(std::move(source)), options_(std::move(options)) {}

  std::int64_t classes() const { return options_.classes; }
  void initialisation(InitScheme scheme) { scheme_ = scheme; }

  // Layers with tensors; x [T,N,C,H,W], or [T,N,F] for linear.
  /// <name>.weight [K,C/groups,R,R], <name>.bias [K].
  Value conv(const std::string& name, Value x, std::int64_t out, std::int64_t kernel, const ConvOptions& options = {});
  /// <name>.weight, .bias, .running_mean, .running_var [C]; eps 1e-5.
  Value batchnorm(const std::string& name, Value x);
  /// <name>.weight [out,F], <name>.bias [out].
  Value linear(const std::string& name, Value h, std::int64_t out, bool bias = true);
  /// A tensor for a layer of one's own: [T, ...].
  Value tensor(const TensorSpec& spec) { return source_(spec); }

  // Layers without. Piecewise ones decide by x, or by a Graph::input when decisions are forced.
  Value relu(Value x);
  Value leaky_relu(Value x, double slope = 0.01);
  Value relu6(Value x);
  Value max_pool(Value x, std::int64_t window, std::int64_t stride, std::int64_t pad = 0);
  Value avg_pool(Value x, std::int64_t window, std::int64_t stride, std::int64_t pad = 0);
  /// [T,N,C,H,W] -> [T,N,C].
  Value global_avg_pool(Value x);
  /// [T,N,...] -> [T,N,F].
  Value flatten(Value x);
  // Smooth activations and sums need nothing of the Builder: sigmoid, tanh, add of engine/ops/elementwise.h.

  const std::vector<Decision>& decisions() const { return decisions_; }
  const std::vector<BatchnormTap>& batchnorms() const { return batchnorms_; }
  /// Input of the last linear layer, [T,N,F].
  Value features() const { return features_; }

 private:
  Value decide(const char* op, Value x);

  Source source_;
  Options options_;
  InitScheme scheme_ = InitScheme::pytorch;
  std::vector<Decision> decisions_;
  std::vector<BatchnormTap> batchnorms_;
  Value features_;
};

}  // namespace gi::models
