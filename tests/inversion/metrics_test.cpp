// The constants come from scikit-image 0.26:
//
//   import numpy as np
//   from skimage.metrics import structural_similarity, peak_signal_noise_ratio, mean_squared_error
//   c, y, x = np.mgrid[0:3, 0:14, 0:17].astype(float)
//   a, b = 0.5 + 0.4 * np.sin(0.7 * x + 0.3 * y + c), 0.45 + 0.35 * np.sin(0.75 * x - 0.1 * y + c)
//   raw = np.fromfile("cifar10/bin/test_00.bin", np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32) / 255
//   noisy = np.clip(raw[0] + (((np.arange(3072) * 37) % 101 - 50) / 500).reshape(3, 32, 32), 0, 1)
//   for p, q in (a, b), (raw[0], raw[1]), (raw[0], noisy):
//       print(mean_squared_error(p, q), peak_signal_noise_ratio(p, q, data_range=1),
//             structural_similarity(p, q, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
//             data_range=1))
//
// It filters the whole image with mirrored borders and averages where the window lies inside: the same positions as here.
#include "inversion/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>

#include "engine/core/error.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::inversion;
using Vector = std::vector<double>;

namespace {

constexpr ImageSize kCifar{3, 32, 32};

/// The first images of the test set, without their labels.
std::vector<Vector> cifar_images(const std::filesystem::path& path, int count) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Vector> images;
  for (int i = 0; i < count; ++i) {
    std::vector<unsigned char> record(3073);
    file.read(reinterpret_cast<char*>(record.data()), 3073);
    Vector image;
    for (std::size_t k = 1; k < record.size(); ++k) image.push_back(record[k] / 255.0);
    images.push_back(std::move(image));
  }
  REQUIRE(file);
  return images;
}

double cost_of(const Vector& cost, const std::vector<int>& column, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += cost[i * n + column[i]];
  return sum;
}

double least_by_trying_all(const Vector& cost, int n) {
  std::vector<int> column(n);
  std::iota(column.begin(), column.end(), 0);
  double least = std::numeric_limits<double>::infinity();
  do least = std::min(least, cost_of(cost, column, n));
  while (std::next_permutation(column.begin(), column.end()));
  return least;
}

}  // namespace

TEST_CASE("mse and psnr by hand", "[unit]") {
  CHECK(mse(Vector{0, 1, 0.5, 0}, Vector{0, 0.5, 0.5, 0.5}) == 0.125);
  CHECK(psnr(Vector{0, 0}, Vector{0.1, 0.1}) == Approx(20).epsilon(1e-14));
  CHECK(psnr_from_mse(1) == 0);
  CHECK(psnr(Vector{0.3}, Vector{0.3}) == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(psnr(Vector{0.3}, Vector{NAN})));
  CHECK_THROWS_AS(mse(Vector{1, 2}, Vector{1}), ShapeError);
  CHECK_THROWS_AS(mse(Vector{}, Vector{}), ShapeError);
}

TEST_CASE("mse, psnr and ssim of waves agree with scikit-image", "[unit]") {
  const ImageSize size{3, 14, 17};
  Vector a, b;
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 14; ++y)
      for (int x = 0; x < 17; ++x) {
        a.push_back(0.5 + 0.4 * std::sin(0.7 * x + 0.3 * y + c));
        b.push_back(0.45 + 0.35 * std::sin(0.75 * x - 0.1 * y + c));
      }
  CHECK(std::abs(mse(a, b) - 0.15291584160510294) < 1e-13);
  CHECK(std::abs(psnr(a, b) - 8.155475207008312) < 1e-12);
  CHECK(std::abs(ssim(a, b, size) - -0.33490871986532467) < 1e-12);
  CHECK(ssim(b, a, size) == Approx(ssim(a, b, size)).epsilon(1e-14));
  CHECK(ssim(a, a, size) == Approx(1).epsilon(1e-14));
}

TEST_CASE("ssim by hand on flat images, and where it is not defined", "[unit]") {
  // No variance: only the term of the means is left, (2 m n + C1) / (m^2 + n^2 + C1).
  const Vector dark(121, 0.2), light(121, 0.6);
  CHECK(ssim(dark, light, {1, 11, 11}) == Approx((2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4)).epsilon(1e-11));
  CHECK(std::isnan(ssim(Vector(110, 0.2), Vector(110, 0.2), {1, 11, 10})));
  CHECK_THROWS_AS(ssim(dark, light, {1, 11, 12}), ShapeError);
}

TEST_CASE("measures of CIFAR-10 images agree with scikit-image", "[data]") {
  const auto path = test::data_file("cifar10/bin/test_00.bin");
  if (!path) return;
  const auto images = cifar_images(*path, 2);
  Vector noisy = images[0];
  for (int i = 0; i < 3072; ++i) noisy[i] = std::clamp(noisy[i] + (i * 37 % 101 - 50) / 500.0, 0.0, 1.0);
  CHECK(std::abs(mse(images[0], images[1]) - 0.17683625788959376) < 1e-13);
  CHECK(std::abs(psnr(images[0], images[1]) - 7.524286839668848) < 1e-12);
  CHECK(std::abs(ssim(images[0], images[1], kCifar) - -0.07453511250800683) < 1e-12);
  CHECK(std::abs(psnr(images[0], noisy) - 24.700131751734702) < 1e-12);
  CHECK(std::abs(ssim(images[0], noisy, kCifar) - 0.8502527876119222) < 1e-12);
  CHECK(std::abs(constant_psnr(images[0], kCifar) - 14.77114422995612) < 1e-12);  // numpy: the mean of each plane as q
}

TEST_CASE("constant psnr by hand", "[unit]") {
  // Means 0.25 and 0.5; squared deviations 0.0625 everywhere in the first plane, 0 in the second.
  CHECK(constant_psnr(Vector{0, 0.5, 0.5, 0.5}, {2, 1, 2}) == Approx(-10 * std::log10(0.03125)));
  CHECK_THROWS_AS(constant_psnr(Vector{0, 1}, {2, 1, 2}), ShapeError);
}

TEST_CASE("assignments are as cheap as the cheapest of all", "[unit]") {
  std::mt19937_64 random(7);
  for (int n = 0; n <= 6; ++n)
    for (int trial = 0; trial < 200; ++trial) {
      Vector cost(n * n);
      // Few different values make ties, negative ones and large ranges.
      for (double& c : cost)
        c = trial % 2 ? static_cast<double>(random() % 5) - 2 : std::ldexp(static_cast<double>(random() % 1000), trial % 40);
      const std::vector<int> column = assign_rows(cost, n);
      std::vector<int> sorted = column;
      std::ranges::sort(sorted);
      for (int i = 0; i < n; ++i) REQUIRE(sorted[i] == i);
      REQUIRE(cost_of(cost, column, n) == least_by_trying_all(cost, n));
    }
}

TEST_CASE("assignment by hand, where greedy choices fail", "[unit]") {
  // Greedy takes 1 + 9; the other diagonal costs 2 + 3.
  CHECK(assign_rows(Vector{1, 2, 3, 9}, 2) == std::vector<int>{1, 0});
  CHECK_THROWS_AS(assign_rows(Vector{1, 2, 3}, 2), ShapeError);
}

TEST_CASE("a diverged reconstruction does not disturb the others", "[unit]") {
  const Vector cost{NAN, 5, 1, NAN, 1, 5, NAN, 2, 2};
  CHECK(assign_rows(cost, 3) == std::vector<int>{2, 1, 0});
  CHECK(assign_rows(Vector{INFINITY, NAN, NAN, NAN}, 2).size() == 2);
}

TEST_CASE("a batch in another order is put back in order", "[unit]") {
  std::mt19937_64 random(3);
  const int n = 40;
  const std::size_t size = 12;
  Vector truth(n * size), shuffled(n * size);
  for (double& v : truth) v = static_cast<double>(random() % 1000) / 999;
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::shuffle(order, random);
  for (int i = 0; i < n; ++i)
    for (std::size_t k = 0; k < size; ++k) shuffled[order[i] * size + k] = truth[i * size + k] + 0.01;
  CHECK(match_images(truth, shuffled, n) == order);
  CHECK_THROWS_AS(match_images(truth, shuffled, 7), ShapeError);
  CHECK_THROWS_AS(match_images(truth, Vector(3), 1), ShapeError);
}
