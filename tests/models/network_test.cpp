#include "models/network.h"

#include <catch2/catch.hpp>

#include <cmath>

#include "engine/autodiff/grad.h"
#include "engine/core/error.h"
#include "engine/exec/interpreter.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/losses.h"
#include "models/random.h"
#include "models/zoo.h"

using namespace gi;
using namespace gi::models;

namespace {

Tensor noise(const Shape& shape, std::uint64_t seed) {
  Random r(seed);
  Tensor t(shape, DType::f64);
  for (double& v : t.as<double>()) v = r.normal();
  return t;
}

/// The numbers of one of several trials.
std::vector<double> part(const std::vector<double>& all, int trial, int trials) {
  const auto n = std::ssize(all) / trials;
  return {all.begin() + trial * n, all.begin() + (trial + 1) * n};
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double d = 0, n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d += (a[i] - b[i]) * (a[i] - b[i]), n += b[i] * b[i];
  return std::sqrt(d / n);
}

/// Two BN layers, a shortcut with padding, all activations and pools that take decisions.
Value small_network(Builder& b, Value x) {
  x = b.relu(b.batchnorm("bn1", b.conv("conv1", x, 4, 3, {.pad = 1, .bias = false})));
  x = b.max_pool(x, 2, 2);
  x = b.leaky_relu(b.conv("conv2", x, 4, 3, {.stride = 2, .pad = 1, .groups = 2}), 0.1);
  x = b.relu6(b.batchnorm("bn2", x));
  return b.linear("fc", b.global_avg_pool(x), b.classes());
}
Model small_model() { return define_model("small", {3, 8, 8}, 5, small_network); }

}  // namespace

TEST_CASE("a network offers leaves, per-trial parameters and names in one order", "[unit]") {
  const Model m = find_model("resnet20");
  const Weights w = initialise(m, 1);
  Graph g;
  const Network net(g, m, w, {.trials = 3});
  const auto specs = m.parameters();
  REQUIRE(net.params().size() == 65);
  REQUIRE(net.weights().size() == 65);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    CHECK(net.param_names()[i] == specs[i].name);
    CHECK(net.weights()[i].shape() == specs[i].shape);
    CHECK(net.params()[i].shape() == specs[i].shape.with(0, 3));
    CHECK(g.node(net.weights()[i].id).data == &w.at(specs[i].name));
  }
  const Value x = g.input("x", net.images(2));
  CHECK(x.shape() == Shape{3, 2, 3, 32, 32});
  CHECK(net.logits(x).shape() == Shape{3, 2, 10});
  CHECK(net.logits(x) == net.logits(x));  // the graph holds equal values once
  CHECK(net.forward(x).features.shape() == Shape{3, 2, 64});
  CHECK(net.forward(x).batchnorms.size() == 21);
  CHECK(net.forward(x).batchnorms[20].name == "layers.2.2.bn2");
}

TEST_CASE("what does not fit a network is refused", "[unit]") {
  const Model m = small_model();
  const Weights w = initialise(m, 1);
  Graph g;
  const Network net(g, m, w, {.trials = 2});
  CHECK_THROWS_WITH(net.logits(g.input("a", {2, 1, 3, 9, 8})), Catch::Contains("[2,1,3,9,8], expected [2,1,3,8,8]"));
  CHECK_THROWS_AS(net.logits(g.input("b", {1, 1, 3, 8, 8})), ShapeError);
  CHECK_THROWS_AS(net.logits(g.input("c", {2, 1, 3, 8, 8}), net.params().subspan(1)), ShapeError);
  CHECK_THROWS_AS(Network(g, m, w, {.trials = 2}), UsageError);  // the leaves' names exist already
  CHECK_NOTHROW(Network(g, m, w, {.trials = 2, .prefix = "second/"}));
  CHECK_THROWS_AS(Network(g, m, w, {.trials = 0}), UsageError);

  const Weights other = initialise(define_model("other", {3, 8, 8}, 6, small_network), 1);
  Graph h;
  CHECK_THROWS_WITH(Network(h, m, other), Catch::Contains("'fc.weight' is [1,6,4], expected [1,5,4]"));
  const std::vector<std::uint64_t> seeds{1, 2, 3};
  const Weights three = initialise(m, seeds);
  CHECK_THROWS_AS(Network(h, m, three, {.trials = 2, .prefix = "per trial/"}), ShapeError);
}

TEST_CASE("an architecture's mistakes are named when it is declared", "[unit]") {
  const auto twice = [](Builder& b, Value x) {
    x = b.conv("conv1", x, 4, 3);
    return b.linear("fc", b.flatten(b.conv("conv1", x, 4, 3)), b.classes());
  };
  CHECK_THROWS_WITH(define_model("twice", {3, 8, 8}, 5, twice), Catch::Contains("two tensors are named 'conv1.weight'"));
  const auto logits = [](Builder& b, Value x) { return b.linear("fc", b.flatten(x), 7); };
  CHECK_THROWS_WITH(define_model("seven", {3, 8, 8}, 5, logits), Catch::Contains("logits are [1,1,7], expected [1,1,5]"));
  CHECK_THROWS_WITH(define_model("small", {3, 2, 1}, 5, small_network), Catch::Contains("model small for images [3,2,1]: "));
}

TEST_CASE("a trial computes what it would compute alone", "[unit]") {
  const Model m = small_model();
  const Mode mode = GENERATE(Mode::eval, Mode::train);
  const std::vector<std::uint64_t> seeds{3, 4};
  const bool own_weights = GENERATE(false, true);
  const Weights w = own_weights ? initialise(m, seeds) : initialise(m, 3);
  const Tensor x = noise({2, 3, 3, 8, 8}, 1);
  Tensor labels({2, 3, 5}, DType::f64);
  for (int i = 0; i < 6; ++i) labels.as<double>()[i * 5 + i % 5] = 1;

  const auto gradients = [&](const Weights& weights, const Tensor& images, const Tensor& onehot) {
    Graph g;
    const Network net(g, m, weights, {.trials = images.shape().trials(), .mode = mode});
    const Value loss = cross_entropy(net.logits(g.input("x", images.shape())), g.input("labels", onehot.shape()));
    const auto dw = grad(loss, net.params());
    const Program program = Program::freeze(g, {.outputs = {{"loss", loss}, {"conv1", dw[0]}, {"fc", dw[7]}}});
    Interpreter run(program);
    run.set("x", images);
    run.set("labels", onehot);
    run.run();
    return std::vector{run.get("loss").to_doubles(), run.get("conv1").to_doubles(), run.get("fc").to_doubles()};
  };
  const auto together = gradients(w, x, labels);
  for (int t = 0; t < 2; ++t) {
    const auto alone =
        gradients(initialise(m, own_weights ? seeds[t] : 3), Tensor::from({1, 3, 3, 8, 8}, part(x.to_doubles(), t, 2)),
                  Tensor::from({1, 3, 5}, part(labels.to_doubles(), t, 2)));
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(part(together[i], t, 2) == alone[i]);
  }
}

TEST_CASE("weights as inputs compute what weights as constants do", "[unit]") {
  const Model m = small_model();
  const Weights w = initialise(m, 3);
  const Tensor x = noise({1, 2, 3, 8, 8}, 1);
  const auto logits = [&](NetworkOptions::Leaves leaves) {
    Graph g;
    const Network net(g, m, w, {.leaves = leaves});
    const Program program = Program::freeze(g, {.outputs = {{"logits", net.logits(g.input("x", x.shape()))}}});
    Interpreter run(program);
    run.set("x", x);
    if (leaves == NetworkOptions::Leaves::inputs)
      for (const NamedTensor& e : w.entries) run.set(e.name, e.tensor);
    run.run();
    return run.get("logits").to_doubles();
  };
  CHECK(logits(NetworkOptions::Leaves::inputs) == logits(NetworkOptions::Leaves::constants));
}

TEST_CASE("other parameters of the same shapes take the leaves' place", "[unit]") {
  const Model m = small_model();
  const Weights w = initialise(m, 3);
  const Tensor x = noise({1, 2, 3, 8, 8}, 1);
  Graph g;
  const Network net(g, m, w);
  const Value images = g.input("x", x.shape());
  std::vector<Value> doubled(net.params().begin(), net.params().end());
  doubled[doubled.size() - 2] = scale(doubled[doubled.size() - 2], 2);
  doubled[doubled.size() - 1] = scale(doubled[doubled.size() - 1], 2);
  const Program program = Program::freeze(g, {.outputs = {{"once", net.logits(images)}, {"twice", net.logits(images, doubled)}}});
  Interpreter run(program);
  run.set("x", x);
  run.run();
  const auto once = run.get("once").to_doubles(), twice = run.get("twice").to_doubles();
  for (std::size_t i = 0; i < once.size(); ++i) CHECK(twice[i] == 2 * once[i]);
}

TEST_CASE("forced decisions reproduce the run they are from and change another", "[unit]") {
  const Model m = small_model();
  const Weights w = initialise(m, 3);
  const Tensor x = noise({1, 2, 3, 8, 8}, 1), elsewhere = noise({1, 2, 3, 8, 8}, 2);

  // The free network: logits, and all pre-activations as outputs under the names of the decisions.
  Graph g;
  const Network net(g, m, w);
  const Value logits = net.logits(g.input("x", x.shape()));
  REQUIRE(net.decisions().size() == 4);
  ProgramSpec spec{.outputs = {{"logits", logits}}};
  for (const Decision& d : net.decisions()) spec.outputs.push_back({d.input, d.pre_activation});
  const Program free = Program::freeze(g, spec);
  CHECK(net.decisions()[0].input == "decision/relu0");
  CHECK(net.decisions()[1].input == "decision/max_pool1");

  Graph h;
  const Network forced_net(h, m, w, {.force_decisions = true});
  const Program forced = Program::freeze(h, {.outputs = {{"logits", forced_net.logits(h.input("x", x.shape()))}}});

  const auto compare = [&](const Tensor& decided_at) {
    Interpreter a(free), b(forced), truth(free);
    a.set("x", decided_at);
    a.run();
    b.set("x", x);
    for (const Decision& d : forced_net.decisions()) b.set(d.input, a.get(d.input));
    b.run();
    truth.set("x", x);
    truth.run();
    return distance(b.get("logits").to_doubles(), truth.get("logits").to_doubles());
  };
  CHECK(compare(x) == 0);
  CHECK(compare(elsewhere) > 1e-3);
}

TEST_CASE("decisions of several calls have names of their own", "[unit]") {
  const Model m = small_model();
  const Weights w = initialise(m, 3);
  Graph g;
  const Network net(g, m, w, {.force_decisions = true});
  net.logits(g.input("a", net.images(1)));
  net.logits(g.input("b", net.images(2)));
  REQUIRE(net.decisions().size() == 8);
  CHECK(net.decisions()[4].input == "decision2/relu0");
  CHECK(net.decisions()[4].pre_activation.shape() == Shape{1, 2, 4, 8, 8});
}

TEST_CASE("batch normalisation uses running statistics in eval mode, the batch's in train mode", "[unit]") {
  // One channel, weight 3, bias 1, running mean 2, variance 4; values 0 and 4 have mean 2 and variance 4 as well.
  const Model m = define_model("bn", {1, 1, 2}, 2, [](Builder& b, Value x) { return b.flatten(b.batchnorm("bn", x)); });
  Weights w = initialise(m, 0);
  const double numbers[] = {3, 1, 2, 4};
  for (int i = 0; i < 4; ++i) w.entries[i].tensor = Tensor::from({1, 1}, std::span(&numbers[i], 1));
  const auto run_at = [&](Mode mode, std::vector<double> x) {
    Graph g;
    const Network net(g, m, w, {.mode = mode});
    const Program p = Program::freeze(g, {.outputs = {{"y", net.logits(g.input("x", net.images(1)))}}});
    Interpreter run(p);
    run.set("x", Tensor::from(net.images(1), x));
    run.run();
    return run.get("y").to_doubles();
  };
  const double scale = 3 / std::sqrt(4 + 1e-5);
  for (const Mode mode : {Mode::eval, Mode::train}) {
    const auto y = run_at(mode, {0, 4});
    CHECK(y[0] == Approx(1 - 2 * scale));
    CHECK(y[1] == Approx(1 + 2 * scale));
  }
  CHECK(run_at(Mode::eval, {2, 6})[1] == Approx(1 + 4 * scale));
  CHECK(run_at(Mode::train, {2, 6})[1] == Approx(1 + 2 * scale));
}

TEST_CASE("option A subsamples and pads channels on both sides", "[unit]") {
  // All residual branches silenced (second BN of each block weight 0): what remains is stem, shortcuts and the classifier.
  const Model m = find_model("resnet20-a", {.image = ImageShape{3, 8, 8}, .classes = 64});
  Weights w = initialise(m, 1);
  for (NamedTensor& e : w.entries) {
    if (e.name.ends_with("bn2.weight")) e.tensor = Tensor(e.tensor.shape(), DType::f32);
    if (e.name.starts_with("linear.")) e.tensor = Tensor(e.tensor.shape(), DType::f32);
    if (e.name == "linear.weight")
      for (int i = 0; i < 64; ++i) e.tensor.as<float>()[i * 64 + i] = 1;  // logits are the pooled features
  }
  Graph g;
  const Network net(g, m, w);
  const Value x = g.input("x", net.images(1));
  const Network::Forward f = net.forward(x);
  const Program p = Program::freeze(g, {.outputs = {{"y", f.logits}, {"stem", f.decisions[0].pre_activation}}});
  Interpreter run(p);
  run.set("x", noise(net.images(1), 5));
  run.run();
  const auto y = run.get("y").to_doubles(), stem = run.get("stem").to_doubles();  // [64], [16,8,8]
  for (int c = 0; c < 64; ++c) {
    double expected = 0;  // pixels (0,0), (0,4), (4,0), (4,4) of stem channel c - 24
    if (c >= 24 && c < 40)
      for (const int at : {0, 4, 32, 36}) expected += std::max(0.0, stem[(c - 24) * 64 + at]) / 4;
    CHECK(y[c] == Approx(expected).margin(1e-12));
  }
}
