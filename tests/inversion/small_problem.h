// A client and its message, small enough for many tests: LeNetZhu on a smooth picture.
#pragma once

#include <cmath>
#include <vector>

#include "inversion/client.h"
#include "inversion/problem.h"
#include "models/normalization.h"
#include "models/zoo.h"

namespace gi::test {

/// Pixels [3,side,side] in [0,1] of slow waves, different for each `which`.
inline std::vector<double> smooth_picture(std::int64_t side, int which) {
  std::vector<double> pixels;
  for (int c = 0; c < 3; ++c)
    for (std::int64_t y = 0; y < side; ++y)
      for (std::int64_t x = 0; x < side; ++x)
        pixels.push_back(0.5 + 0.4 * std::sin(0.25 * static_cast<double>(x) + 0.15 * static_cast<double>(y) + c + which));
  return pixels;
}

inline inversion::Problem small_problem(int victims = 1, bool own_networks = false, std::int64_t side = 16,
                                        const char* model = "lenetzhu", std::int64_t images = 1) {
  inversion::Problem p;
  p.model = models::find_model(model, {.image = models::ImageShape{3, side, side}, .classes = {}});
  const models::Normalization& n = models::normalization("cifar10");
  p.mean = n.mean;
  p.std = n.std;
  p.images = images;
  for (int v = 0; v < (own_networks ? victims : 1); ++v) p.networks.push_back(models::initialise(p.model, 7 + v));
  inversion::Client client(p.model, p.mode, images, DType::f64);
  for (int v = 0; v < victims; ++v) {
    std::vector<double> x;
    std::vector<std::int64_t> labels;
    for (int i = 0; i < images; ++i) {
      const std::vector<double> one = inversion::normalised(smooth_picture(side, v + i), p);
      x.insert(x.end(), one.begin(), one.end());
      labels.push_back((v + i) % 10);
    }
    p.victims.push_back(
        {client.answer(p.networks[own_networks ? v : 0], Tensor::from(p.candidates(1), x), labels).gradient, labels});
  }
  return p;
}

}  // namespace gi::test
