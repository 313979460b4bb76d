#include "inversion/attack.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "engine/autodiff/grad.h"
#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/losses.h"
#include "engine/ops/reduce.h"
#include "engine/passes/analysis.h"
#include "models/network.h"
#include "models/random.h"

namespace gi::inversion {
namespace {

/// One tensor of T trials from one of each.
Tensor stack(std::span<const Tensor* const> parts) {
  const Tensor& first = *parts.front();
  Tensor out(first.shape().with(0, static_cast<std::int64_t>(parts.size())), first.dtype());
  const std::size_t bytes = static_cast<std::size_t>(first.count()) * kernels::size_of(first.dtype());
  auto* to = static_cast<std::byte*>(out.view().data);
  for (const Tensor* part : parts) {
    if (part->shape() != first.shape() || part->dtype() != first.dtype())
      throw ShapeError(fmt::format("victims: {} beside {}", part->shape().str(), first.shape().str()));
    std::memcpy(to, part->view().data, bytes);
    to += bytes;
  }
  return out;
}

Tensor filled(Shape shape, double value) {
  Tensor t(shape, DType::f64);
  for (double& v : t.as<double>()) v = value;
  return t;
}

/// The learning rate's factor at iteration `step`: a tenth for each milestone behind.
Value decay_factor(Value step, std::int64_t steps) {
  const Value one = step.graph->fill(step.shape(), 1.0);
  Value factor = one;
  for (const std::int64_t at : decay_milestones(steps)) {
    const Value behind = relu_mask(one, offset(step, 0.5 - static_cast<double>(at)));
    factor = mul(factor, offset(scale(behind, -0.9), 1.0));
  }
  return factor;
}

/// Of a value [T,N,...].
Shape laid_out(Shape shape, const AttackOptions& options) {
  return options.images_as_trials ? shape.with(0, shape[1]).with(1, 1) : shape;
}

/// Then what it sent is read where it lies.
bool only_victim_is_known(const Problem& problem) {
  return problem.victims.size() == 1 && !problem.victims.front().gradient.empty();
}

}  // namespace

bool images_meet_in_sums(const Problem& problem) {
  Graph g;
  const models::Network network(g, problem.model, problem.networks.front(), {.mode = problem.mode});
  const Value x = g.input("x", network.images(2));
  return passes::keeps_images_apart(g, x.id, network.logits(x).id);
}

std::array<std::int64_t, 3> decay_milestones(std::int64_t steps) {
  const auto at = [steps](double part) { return static_cast<std::int64_t>(std::floor(static_cast<double>(steps) / part)); };
  return {at(2.667), at(1.6), at(1.142)};
}

Program attack_program(const Problem& problem, const AttackOptions& options, std::int64_t trials) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
  const bool spread = options.images_as_trials;
  if (spread && (trials != 1 || !images_meet_in_sums(problem)))
    throw UsageError("attack: only the images of one trial can be trials themselves, and not where a batch is normalised");
  const std::int64_t victims = problem.victims.size() > 1 ? trials : 1;  // extent of what differs between victims
  Graph g;
  const Shape shape = laid_out(problem.candidates(trials), options);
  const Shape scalar{trials};
  const Value x = g.state("x", shape), m = g.state("adam/m", shape), v = g.state("adam/v", shape), step = g.state("step", scalar);

  using Leaves = models::NetworkOptions::Leaves;
  const models::Network net(g, problem.model, problem.networks.front(),
                            {.trials = shape.trials(),
                             .mode = problem.mode,
                             .leaves = !problem.own_networks() ? Leaves::constants
                                       : spread                ? Leaves::shared_inputs
                                                               : Leaves::inputs});
  const Shape one_hot = laid_out({trials, problem.images, problem.model.classes}, options);
  const Value labels = broadcast_to(g.input("labels", spread ? one_hot : one_hot.with(0, victims)), one_hot);
  const auto mean_of_trial = [&](Value of_image) {
    return scale(sum_to(of_image, scalar), 1.0 / static_cast<double>(of_image.shape().trials() / trials));
  };
  const Value loss = mean_of_trial(cross_entropy(net.logits(x), labels));
  const std::vector<Value> dw = grad(loss, spread ? net.weights() : net.params());
  std::vector<Value> targets;
  for (std::size_t i = 0; i < dw.size(); ++i) {
    const std::string name = "target/" + net.param_names()[i];
    const Value received = only_victim_is_known(problem) ? g.constant(name, problem.victims.front().gradient.at(i))
                                                         : g.input(name, dw[i].shape().with(0, victims));
    targets.push_back(broadcast_to(received, dw[i].shape()));
  }
  const Value cost = cosine_distance(dw, targets);
  const Value tv = mean_of_trial(total_variation(x));
  const Value objective = add(cost, mul(g.input("tv", scalar), tv));
  const Value dx = grad(objective, std::array{x}).front();

  const Value direction = options.sign ? sign(dx) : dx;
  const Value next_step = offset(step, 1.0);
  const Value m1 = add(scale(m, kBeta1), scale(direction, 1 - kBeta1));
  const Value v1 = add(scale(v, kBeta2), scale(square(direction), 1 - kBeta2));
  const auto power = [&](double base) { return exp(scale(next_step, std::log(base))); };
  const auto complement = [](Value value) { return offset(neg(value), 1.0); };
  Value lr = g.input("lr", scalar);
  if (options.decay) lr = mul(lr, decay_factor(step, options.steps));
  const Value rate = broadcast_to(div(lr, complement(power(kBeta1))), shape);
  const Value root = broadcast_to(rsqrt(complement(power(kBeta2))), shape);
  Value x1 = sub(x, mul(rate, div(m1, offset(mul(sqrt(v1), root), kEpsilon))));
  if (options.box) {
    const Shape per_channel{1, 1, problem.model.image.channels, 1, 1};
    const auto bound = [&](const char* name) {
      return broadcast_to(broadcast_to(g.input(name, per_channel), per_channel.with(0, shape.trials())), shape);
    };
    x1 = maximum(minimum(x1, bound("box/high")), bound("box/low"));
  }
  return Program::freeze(
      g, {.outputs = {{"cost", cost}, {"tv_of_x", tv}, {"loss", loss}}, .updates = {{x, x1}, {m, m1}, {v, v1}, {step, next_step}}});
}

void bind_attack_inputs(const Problem& problem, const AttackOptions& options, std::span<const TrialId> ids,
                        const std::function<void(const std::string& name, const Tensor& value)>& bind) {
  const auto trials = static_cast<std::int64_t>(ids.size());
  const std::size_t distinct = problem.victims.size() > 1 ? ids.size() : 1;
  std::vector<const Tensor*> parts(distinct);
  const std::vector<models::TensorSpec> parameters = problem.model.parameters();
  for (std::size_t p = 0; p < parameters.size() && !only_victim_is_known(problem); ++p) {
    for (std::size_t i = 0; i < distinct; ++i) parts[i] = &problem.victims[ids[i].victim].gradient.at(p);
    bind("target/" + parameters[p].name, stack(parts));
  }
  std::vector<Tensor> labels;
  for (std::size_t i = 0; i < distinct; ++i)
    labels.push_back(one_hot(problem.victims[ids[i].victim].labels, problem.model.classes));
  for (std::size_t i = 0; i < distinct; ++i) parts[i] = &labels[i];
  Tensor of_all = stack(parts);
  const Shape shape = laid_out(of_all.shape(), options);
  bind("labels", std::move(of_all).reshaped(shape));
  if (problem.own_networks())
    for (std::size_t e = 0; e < problem.model.tensors.size(); ++e) {
      for (std::size_t i = 0; i < distinct; ++i) parts[i] = &problem.network_of(ids[i].victim).entries[e].tensor;
      bind(problem.model.tensors[e].name, stack(parts));
    }
  bind("lr", filled({trials}, options.learning_rate));
  bind("tv", filled({trials}, options.tv));
  if (options.box) {
    const std::int64_t channels = problem.model.image.channels;
    Tensor low({1, 1, channels, 1, 1}, DType::f64), high(low.shape(), DType::f64);
    for (std::int64_t c = 0; c < channels; ++c) {
      low.as<double>()[c] = -problem.mean[c] / problem.std[c];
      high.as<double>()[c] = (1 - problem.mean[c]) / problem.std[c];
    }
    bind("box/low", low);
    bind("box/high", high);
  }
}

Bindings attack_start(const Problem& problem, const AttackOptions& options, std::span<const TrialId> ids) {
  const auto trials = static_cast<std::int64_t>(ids.size());
  const Shape shape = laid_out(problem.candidates(trials), options);
  Tensor x(shape, DType::f64);
  const auto per_trial = static_cast<std::size_t>(shape.count() / trials);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    models::Random random(options.seed, fmt::format("start/{}/{}", ids[t].victim, ids[t].restart));
    for (double& value : x.as<double>().subspan(t * per_trial, per_trial)) value = random.normal();
  }
  Bindings out;
  out.emplace_back("x", std::move(x));
  out.emplace_back("adam/m", filled(shape, 0));
  out.emplace_back("adam/v", filled(shape, 0));
  out.emplace_back("step", filled({trials}, 0));
  return out;
}

}  // namespace gi::inversion
