// Small whole attack iterations, with every kind of op in them, to drive Plan, Workspace and Interpreter with.
#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/autodiff/grad.h"
#include "engine/core/tensor.h"
#include "engine/graph/program.h"
#include "engine/ops/batchnorm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/losses.h"
#include "engine/ops/matmul.h"
#include "engine/ops/movement.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"

namespace gi::test {

struct SampleOptions {
  std::int64_t trials = 1;
  bool shared_weights = true;   ///< filters [1,...] broadcast, or [T,...]
  bool shared_targets = false;  ///< one victim for all trials
  bool training_mode = true;
  bool smooth = false;  ///< sigmoid and average pooling: f32 may be compared with f64
  std::int64_t images = 2;
  bool summed = false;  ///< matches the gradient of what all trials lose together; needs shared weights
};

/// A Graph with the Tensors it references and the values to bind.
struct Sample {
  Graph graph;
  std::vector<std::unique_ptr<Tensor>> constants;
  std::vector<std::pair<std::string, Tensor>> bindings;
  ProgramSpec spec;
  Program program() const { return Program::freeze(graph, spec); }
};

inline Tensor random_tensor(const Shape& shape, std::uint64_t seed, double size = 1.0) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  Tensor t(shape, DType::f64);
  for (double& v : t.as<double>()) v = static_cast<float>(size * normal(rng));  // the same number in f32 and f64
  return t;
}

/// Trial t of every tensor depends on t alone, so that trials can be compared across programs of other T.
inline Tensor random_trials(const Shape& shape, std::uint64_t seed, double size = 1.0) {
  Tensor t(shape, DType::f64);
  const std::int64_t n = shape.count_per_trial();
  for (std::int64_t i = 0; i < shape.trials(); ++i) {
    const Tensor one = random_tensor(shape.with(0, 1), seed + 1000 * i, size);
    std::ranges::copy(one.as<double>(), t.as<double>().begin() + i * n);
  }
  return t;
}

/// Two convolutions with BN and a residual, pooling, linear; cosine matching with TV, and a signed momentum step.
inline std::unique_ptr<Sample> small_attack(const SampleOptions& o) {
  auto sample = std::make_unique<Sample>();
  Graph& g = sample->graph;
  const std::int64_t T = o.trials, N = o.images, C = 5, H = 8, K = 3;
  std::vector<Value> params, leaves;
  std::uint64_t seed = 1;
  const auto param = [&](const std::string& name, Shape shape, double size) {
    sample->constants.push_back(std::make_unique<Tensor>(o.shared_weights ? random_tensor(shape.with(0, 1), seed, size)
                                                                          : random_trials(shape.with(0, T), seed, size)));
    ++seed;
    const Value leaf = leaves.emplace_back(g.constant(name, *sample->constants.back()));
    params.push_back(broadcast_to(leaf, shape.with(0, T)));
    return params.back();
  };
  const auto bind = [&](Value v, Tensor t) {
    sample->bindings.emplace_back(g.node(v.id).name, std::move(t));
    return v;
  };

  const Value w1 = param("w1", {1, C, 3, 3, 3}, 0.3), b1 = param("b1", {1, C}, 0.1);
  const Value gamma = param("gamma", {1, C}, 1.0), beta = param("beta", {1, C}, 0.2);
  const Value w2 = param("w2", {1, C, C, 3, 3}, 0.3), w3 = param("w3", {1, 2 * C, C, 1, 1}, 0.4);
  const Value fc = param("fc", {1, K, 2 * C * 2 * 2}, 0.3), fb = param("fb", {1, K}, 0.1);
  const Value x = bind(g.state("x", {T, N, 3, H, H}), random_trials({T, N, 3, H, H}, 77));
  const Value m = bind(g.state("m", {T, N, 3, H, H}), Tensor({T, N, 3, H, H}, DType::f64));
  const Value it = bind(g.state("it", {T}), Tensor({T}, DType::f64));
  const std::int64_t tl = o.shared_targets ? 1 : T;
  Tensor onehot({tl, N, K}, DType::f64);
  for (std::int64_t i = 0; i < tl * N; ++i) onehot.as<double>()[i * K + i % N % K] = 1.0;
  const Value labels = broadcast_to(bind(g.input("labels", {tl, N, K}), std::move(onehot)), {T, N, K});

  const auto act = [&](Value v) { return o.smooth ? sigmoid(v) : relu(v); };
  Value h = add(conv2d(x, w1, {.stride = 1, .pad = 1}), per_channel(b1, {T, N, C, H, H}));
  if (o.training_mode) {
    h = batchnorm_train(h, gamma, beta, 1e-5);
  } else {
    h = batchnorm_eval(h, gamma, beta, g.fill({T, C}, 0.1), g.fill({T, C}, 1.5), 1e-5);
  }
  h = act(h);
  h = act(add(conv2d(h, w2, {.stride = 1, .pad = 1}), h));
  h = conv2d(h, w3, {.stride = 2});
  const PoolGeometry pool = pool_geometry(h.shape(), 2, 2);
  h = o.smooth ? avg_pool(h, pool) : max_pool(h, pool);
  const Value logits = linear(reshape(h, {T, N, 2 * C * 2 * 2}), fc, fb);
  const auto of_all = [&](Value v) { return o.summed ? sum_to(v, {1}) : v; };
  const Value loss = of_all(cross_entropy(logits, labels));
  const std::vector<Value> dw = grad(loss, o.summed ? leaves : params);
  std::vector<Value> targets;
  for (std::size_t i = 0; i < params.size(); ++i) {
    const Shape s = dw[i].shape(), received = o.summed ? s : s.with(0, tl);
    const std::string name = "target" + std::to_string(i);
    targets.push_back(broadcast_to(bind(g.input(name, received), random_trials(received, 500 + i)), s));
  }
  const Value match = cosine_distance(dw, targets), tv = of_all(total_variation(x));
  const Value dx = grad(add(match, scale(tv, 0.05)), std::array{x}).front();
  const Value next_m = add(scale(m, 0.9), scale(sign(dx), 0.1));
  const Value rate = scale(recip(offset(it, 2.0)), 0.2);
  const Value moved = clamp(sub(x, mul(broadcast_to(rate, x.shape()), next_m)), -2.0, 2.0);
  sample->spec = {{{"match", match}, {"tv", tv}, {"loss", loss}, {"dx", dx}, {"logits", logits}},
                  {{x, moved}, {m, next_m}, {it, offset(it, 1.0)}}};
  return sample;
}

}  // namespace gi::test
