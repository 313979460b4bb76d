// The network of models/example, end to end: declared, initialised, differentiated.
#include <catch2/catch.hpp>

#include "engine/autodiff/grad.h"
#include "engine/exec/interpreter.h"
#include "engine/ops/losses.h"
#include "engine/ops/reduce.h"
#include "models/example/own_network.h"
#include "models/network.h"
#include "models/random.h"

using namespace gi;
using namespace gi::models;

TEST_CASE("a network of one's own is declared, initialised and differentiated", "[unit]") {
  const Model m = define_model("own", {3, 32, 32}, 10, example::own_network);
  // stem 16*3*9 + 32, block 16*16*9 + 32, out 16*16 + 16, head 10*(16*8*8) + 10.
  CHECK(m.parameter_count() == 464 + 2336 + 272 + 10250);
  CHECK(m.parameters().size() == 10);
  CHECK(m.parameters()[6].name == "block.out.weight");

  const Weights w = initialise(m, 1);
  Graph g;
  const Network net(g, m, w, {.trials = 2, .mode = Mode::train});
  const Value x = g.input("x", net.images(2)), labels = g.input("labels", {2, 2, 10});
  const Value loss = cross_entropy(net.logits(x), labels);
  // The gradient by the last bias sums to zero over the classes: softmax minus one-hot does.
  const auto dw = grad(loss, net.params());
  const Program p = Program::freeze(g, {.outputs = {{"loss", loss}, {"head.bias", dw[9]}, {"stem", norm(dw[0])}}});
  Random random(2);
  Tensor images(net.images(2), DType::f64), one_hot({2, 2, 10}, DType::f64);
  for (double& v : images.as<double>()) v = random.normal();
  for (int i = 0; i < 4; ++i) one_hot.as<double>()[10 * i + i] = 1;
  Interpreter run(p);
  run.set("x", images);
  run.set("labels", one_hot);
  run.run();
  for (int t = 0; t < 2; ++t) {
    CHECK(run.get("loss").at(t) > 0);
    CHECK(run.get("stem").at(t) > 0);
    double sum = 0;
    for (int k = 0; k < 10; ++k) sum += run.get("head.bias").at(10 * t + k);
    CHECK(std::abs(sum) < 1e-14);
  }
}
