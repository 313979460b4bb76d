#include "models/builder.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/ops/batchnorm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/movement.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"

namespace gi::models {
namespace {

constexpr double kBatchnormEps = 1e-5;

Initialiser constant(double value) { return {Initialiser::Kind::constant, value}; }
Initialiser uniform(double bound) { return {Initialiser::Kind::uniform, bound}; }

double inverse_root(std::int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

}  // namespace

Value Builder::conv(const std::string& name, Value x, std::int64_t out, std::int64_t kernel, const ConvOptions& o) {
  const std::int64_t in = x.shape()[2] / o.groups;
  const std::int64_t taps = kernel * kernel;
  const double fan_in_bound = scheme_ == InitScheme::uniform_half ? 0.5 : inverse_root(in * taps);
  const Initialiser filters = scheme_ == InitScheme::kaiming_fan_out
                                  ? Initialiser{Initialiser::Kind::normal, std::sqrt(2.0 / static_cast<double>(out * taps))}
                                  : uniform(fan_in_bound);
  const Value w = tensor({name + ".weight", {1, out, in, kernel, kernel}, true, filters});
  const Value y = conv2d(x, w, Conv2dOptions{.stride = o.stride, .pad = o.pad, .groups = o.groups});
  if (!o.bias) return y;
  return add(y, per_channel(tensor({name + ".bias", {1, out}, true, uniform(fan_in_bound)}), y.shape()));
}

Value Builder::batchnorm(const std::string& name, Value x) {
  const Shape channels{1, x.shape()[2]};
  const Value weight = tensor({name + ".weight", channels, true, constant(1)});
  const Value bias = tensor({name + ".bias", channels, true, constant(0)});
  const Value mean = tensor({name + ".running_mean", channels, false, constant(0)});
  const Value var = tensor({name + ".running_var", channels, false, constant(1)});
  batchnorms_.push_back({name, x, mean, var});
  if (options_.mode == Mode::train) return batchnorm_train(x, weight, bias, kBatchnormEps);
  return batchnorm_eval(x, weight, bias, mean, var, kBatchnormEps);
}

Value Builder::linear(const std::string& name, Value h, std::int64_t out, bool bias) {
  const std::int64_t in = h.shape()[2];
  const Initialiser init = uniform(scheme_ == InitScheme::uniform_half ? 0.5 : inverse_root(in));
  features_ = h;
  const Value w = tensor({name + ".weight", {1, out, in}, true, init});
  return gi::linear(h, w, bias ? tensor({name + ".bias", {1, out}, true, init}) : Value{});
}

Value Builder::decide(const char* op, Value x) {
  const std::string name = fmt::format("{}{}{}", options_.decision_prefix, op, decisions_.size());
  decisions_.push_back({x, name});
  return options_.force_decisions ? x.graph->input(name, x.shape()) : x;
}

Value Builder::relu(Value x) { return relu_mask(x, decide("relu", x)); }
Value Builder::leaky_relu(Value x, double slope) { return leaky_relu_mask(x, decide("leaky_relu", x), slope); }
Value Builder::relu6(Value x) { return clamp(x, decide("relu6_", x), 0.0, 6.0); }
Value Builder::max_pool(Value x, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  return max_select(x, decide("max_pool", x), pool_geometry(x.shape(), window, stride, pad));
}
Value Builder::avg_pool(Value x, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  return gi::avg_pool(x, pool_geometry(x.shape(), window, stride, pad));
}
Value Builder::global_avg_pool(Value x) { return flatten(gi::global_avg_pool(x)); }
Value Builder::flatten(Value x) {
  const Shape& s = x.shape();
  return reshape(x, {s[0], s[1], s.count_per_trial() / s[1]});
}

}  // namespace gi::models
