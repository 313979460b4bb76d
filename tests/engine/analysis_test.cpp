// What is found out about a graph's values.
#include "engine/passes/analysis.h"

#include <catch2/catch.hpp>

#include "engine/ops/batchnorm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/losses.h"
#include "engine/ops/matmul.h"
#include "engine/ops/movement.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"

using namespace gi;

TEST_CASE("images are apart until something joins them", "[unit]") {
  Graph g;
  const Value x = g.input("x", {1, 2, 3, 4, 4}), w = g.input("w", {1, 5, 3, 3, 3}), bias = g.input("bias", {1, 5});
  const Value weight = g.input("weight", {1, 6, 80}), mask = g.input("mask", {1, 2, 5, 4, 4});
  const auto apart = [&](Value v) { return passes::keeps_images_apart(g, x.id, v.id); };

  const Value y = conv2d(x, w, {.pad = 1}), h = relu(add(y, per_channel(bias, y.shape())));
  const Value rows = reshape(h, {1, 2, 80}), logits = linear(rows, weight);
  for (const Value v : {y, h, rows, logits, log_softmax(logits), mul(h, mask), global_avg_pool(h), sum_to(h, {1, 2, 1, 1, 4}),
                        max_pool(h, pool_geometry(h.shape(), 2, 2)), avg_pool(h, pool_geometry(h.shape(), 2, 2)), slice(h, 2, 1, 3),
                        transpose(h, std::array{0, 1, 3, 2, 4}), weight, neg(weight)})
    CHECK(apart(v));

  const Value mean = sum_to(h, {1, 1, 5, 1, 1});
  PadAttrs third;
  third.after[1] = 1;
  for (const Value v :
       {mean, sub(h, broadcast_to(mean, h.shape())), batchnorm(h, 1e-5), sum(h), dot(h, mask), reshape(h, {1, 1, 160}),
        slice(h, 1, 0, 1), pad(h, third), transpose(h, std::array{0, 2, 1, 3, 4}), matmul(rows, rows, true),
        matmul(rows, rows, false, true), matmul(transpose(rows, std::array{0, 2, 1}), rows), cross_entropy(logits, logits)})
    CHECK_FALSE(apart(v));
}
