// Hand-worked values of the reference kernels of batch normalisation, softmax and total variation.
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "kernels/batchnorm/batchnorm.h"
#include "tests/kernels/reference_run.h"

using namespace gi::kernels;
using Values = std::vector<double>;

namespace {

auto close_to(const Values& expected, double epsilon = 4e-15) {
  return Catch::Matchers::Approx(expected).epsilon(epsilon).margin(1e-300);
}

double dot(const Values& a, const Values& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

/// Central difference of f at x along every coordinate; the error is about step^2.
template <class F>
Values numeric_gradient(F f, const Values& x, double step) {
  Values gradient;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Values above = x, below = x;
    above[i] += step;
    below[i] -= step;
    gradient.push_back((f(above) - f(below)) / (2 * step));
  }
  return gradient;
}

// 1, 3, 5, 7: mean 4, variance 5; with eps 4 the deviations are divided by 3.
const Values kX{1, 3, 5, 7};
const Values kG{1, 2, 3, 6};
const Dims kFour{1, 2, 1, 1, 2};
const BatchnormAttrs kEps{.eps = 4};

// p = 1/8, 2/8, 5/8
const Values kLogits{0, std::log(2.0), std::log(5.0)};
const Dims kRow{1, 1, 3};

}  // namespace

TEST_CASE("batchnorm of four numbers", "[unit]") {
  CHECK_THAT(reference("batchnorm", kEps, {{kFour, kX}}, kFour), close_to({-1, -1. / 3, 1. / 3, 1}));
  // mean(g) = 3, mean(g xh) = 4/3
  CHECK_THAT(reference("batchnorm_grad", kEps, {{kFour, kG}, {kFour, kX}}, kFour), close_to({-2. / 9, -5. / 27, -4. / 27, 5. / 9}));
  // a = -1/4, b = 4/3, c = -1/2: -(xh/2 + 4/3 (u - 1/4) - 1/4 (g - 3)) / 9
  CHECK_THAT(reference("batchnorm_grad2", kEps, {{kFour, {1, 0, 0, 0}}, {kFour, kG}, {kFour, kX}}, kFour),
             close_to({-1. / 9, 1. / 36, 1. / 54, 7. / 108}));
}

TEST_CASE("statistics are of one channel of one trial, over images and positions", "[unit]") {
  // [2,2,2,1,2]: channel 1 of trial 0 is constant; trial 1 is trial 0 with its channels swapped
  const Dims dims{2, 2, 2, 1, 2};
  const double third = 1. / 3;
  CHECK_THAT(reference("batchnorm", kEps, {{dims, {1, 3, 9, 9, 5, 7, 9, 9, 9, 9, 1, 3, 9, 9, 5, 7}}}, dims),
             close_to({-1, -third, 0, 0, third, 1, 0, 0, 0, 0, -1, -third, 0, 0, third, 1}));
}

TEST_CASE("each order of batchnorm is the derivative of the one before", "[unit]") {
  const BatchnormAttrs eps{.eps = 0.5};
  const Values u{0.5, -1, 2, 0.25};
  const auto order0 = [&](const Values& x) { return dot(kG, reference("batchnorm", eps, {{kFour, x}}, kFour)); };
  const auto order1 = [&](const Values& x) { return dot(u, reference("batchnorm_grad", eps, {{kFour, kG}, {kFour, x}}, kFour)); };
  const Values x{0.3, -1.2, 0.9, 2};
  CHECK_THAT(reference("batchnorm_grad", eps, {{kFour, kG}, {kFour, x}}, kFour),
             Catch::Matchers::Approx(numeric_gradient(order0, x, 1e-4)).epsilon(1e-6));
  CHECK_THAT(reference("batchnorm_grad2", eps, {{kFour, u}, {kFour, kG}, {kFour, x}}, kFour),
             Catch::Matchers::Approx(numeric_gradient(order1, x, 1e-4)).epsilon(1e-6));
}

TEST_CASE("log_softmax of logarithms", "[unit]") {
  const Values expected{-std::log(8.0), -std::log(4.0), -std::log(1.6)};
  CHECK_THAT(reference("log_softmax", {{kRow, kLogits}}, kRow), close_to(expected));
  Values shifted = kLogits;
  for (double& z : shifted) z += 1024;
  CHECK_THAT(reference("log_softmax", {{kRow, shifted}}, kRow), close_to(expected, 1e-12));  // 1024 + log 2 is itself rounded
  CHECK_THAT(reference("log_softmax", {{{1, 1, 2}, {-1000, 1000}}}, {1, 1, 2}), close_to({-2000, 0}));
  CHECK(reference("log_softmax", {{{1, 1, 1}, {3}}}, {1, 1, 1}) == Values{0});
}

TEST_CASE("cross-entropy: one-hot, soft, and the mean over a batch", "[unit]") {
  CHECK_THAT(reference("cross_entropy", {{kRow, kLogits}, {kRow, {0, 1, 0}}}, {1}), close_to({std::log(4.0)}));
  CHECK_THAT(reference("cross_entropy", {{kRow, kLogits}, {kRow, {0.5, 0.25, 0.25}}}, {1}),
             close_to({0.5 * std::log(8.0) + 0.25 * std::log(4.0) + 0.25 * std::log(1.6)}));
  // two trials of two images, [log 1 log 3] each, labels 0 0 and 0 1
  const Dims dims{2, 2, 2};
  const Array z{dims, {0, std::log(3.0)}, {0, 0, 1}}, l{dims, {1, 0, 1, 0, 1, 0, 0, 1}};
  CHECK_THAT(reference("cross_entropy", {z, l}, {2}), close_to({std::log(4.0), 0.5 * (std::log(4.0) + std::log(4.0 / 3))}));
}

TEST_CASE("softmax_residual is p - l, also for labels that do not sum to one", "[unit]") {
  CHECK_THAT(reference("softmax_residual", {{kRow, kLogits}, {kRow, {0, 1, 0}}}, kRow), close_to({0.125, -0.75, 0.625}));
  // p_j sum_{k!=j} l_k - l_j sum_{k!=j} p_k: 1/8 - 2 7/8, 3/4, 2 5/8 - 3/8
  CHECK_THAT(reference("softmax_residual", {{kRow, kLogits}, {kRow, {2, 0, 1}}}, kRow), close_to({-1.625, 0.75, 0.875}));
  CHECK(reference("softmax_residual", {{{1, 1, 1}, {3}}, {{1, 1, 1}, {1}}}, {1, 1, 1}) == Values{0});
}

TEST_CASE("an over-confident row keeps its relative accuracy", "[unit]") {
  // 1 - p_y = 1e-20 / (1 + 1e-20): no double lies that close below 1. The logit itself is good to 46 * 1e-16.
  const double z = std::log(1e-20);
  for (const double shift : {0.0, 64.0}) {
    const Array logits{kRow, {z + shift, shift, -1e4}}, label{kRow, {0, 1, 0}};
    CHECK_THAT(reference("softmax_residual", {logits, label}, kRow), close_to({1e-20, -1e-20, 0}, 2e-14));
    CHECK_THAT(reference("cross_entropy", {logits, label}, {1}), close_to({1e-20}, 2e-14));
    CHECK_THAT(reference("log_softmax", {logits}, kRow), close_to({z, -1e-20, -1e4 - shift}, 2e-14));
    CHECK_THAT(reference("softmax_vjp", {logits, {kRow, {1, 3, 0}}}, kRow), close_to({-2e-20, 2e-20, 0}, 2e-14));
  }
}

TEST_CASE("softmax_vjp is p (u - <p, u>)", "[unit]") {
  // <p, u> = 7/2
  CHECK_THAT(reference("softmax_vjp", {{kRow, kLogits}, {kRow, {8, 0, 4}}}, kRow), close_to({0.5625, -0.875, 0.3125}));
}

TEST_CASE("softmax_residual over N is the derivative of cross-entropy, softmax_vjp that of the residual", "[unit]") {
  const Dims dims{1, 2, 3};
  const Values z{0.3, -1, 0.5, 2, 1, -0.5}, u{1, -2, 0.5, 0.25, 3, -1};
  const Array l{dims, {0.2, 0.3, 0.5, 0, 1, 0}};
  const auto loss = [&](const Values& at) { return 2 * reference("cross_entropy", {{dims, at}, l}, {1})[0]; };
  const auto slope = [&](const Values& at) { return dot(u, reference("softmax_residual", {{dims, at}, l}, dims)); };
  CHECK_THAT(reference("softmax_residual", {{dims, z}, l}, dims),
             Catch::Matchers::Approx(numeric_gradient(loss, z, 1e-4)).epsilon(1e-6));
  CHECK_THAT(reference("softmax_vjp", {{dims, z}, {dims, u}}, dims),
             Catch::Matchers::Approx(numeric_gradient(slope, z, 1e-4)).epsilon(1e-6));
}

TEST_CASE("total variation of a 2x3 image", "[unit]") {
  const Array x{{1, 1, 1, 2, 3}, {1, 4, 2, 0, 4, 7}};
  // down: (1 + 0 + 5) / 3, across: (3 + 2 + 4 + 3) / 4; the pair 4, 4 has no slope
  CHECK_THAT(reference("total_variation", {x}, {1}), close_to({5}));
  const Values gradient = reference("total_variation_grad", {x}, x.dims);
  const Values expected{1. / 12, 1. / 2, -7. / 12, -7. / 12, 0, 7. / 12};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(gradient[i] == Approx(expected[i]).margin(1e-16));
}

TEST_CASE("total variation averages over images and channels, trial by trial", "[unit]") {
  // one row of two: two images, two channels, differences 1, 2, 3, 6, and ten times that
  const Array x{{2, 2, 2, 1, 2}, {0, 1, 5, 3, 0, 3, 6, 0, 0, 10, 50, 30, 0, 30, 60, 0}};
  CHECK_THAT(reference("total_variation", {x}, {2}), close_to({3, 30}));
  CHECK(reference("total_variation_grad", {x}, x.dims) ==
        Values{-.25, .25, .25, -.25, -.25, .25, .25, -.25, -.25, .25, .25, -.25, -.25, .25, .25, -.25});
}

TEST_CASE("an axis of extent 1 has no variation", "[unit]") {
  const Array column{{1, 1, 1, 3, 1}, {1, 4, 2}}, pixel{{1, 1, 1, 1, 1}, {7}};
  CHECK_THAT(reference("total_variation", {column}, {1}), close_to({2.5}));
  CHECK(reference("total_variation_grad", {column}, column.dims) == Values{-0.5, 1, -0.5});
  CHECK(reference("total_variation", {pixel}, {1}) == Values{0});
  CHECK(reference("total_variation_grad", {pixel}, pixel.dims) == Values{0});
}
