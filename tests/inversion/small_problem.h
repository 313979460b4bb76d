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
                                        const char* model = "lenetzhu") {
  inversion::Problem p;
  p.model = models::find_model(model, {.image = models::ImageShape{3, side, side}, .classes = {}});
  const models::Normalization& n = models::normalization("cifar10");
  p.mean = n.mean;
  p.std = n.std;
  for (int v = 0; v < (own_networks ? victims : 1); ++v) p.networks.push_back(models::initialise(p.model, 7 + v));
  inversion::Client client(p.model, p.mode, 1, DType::f64);
  for (int v = 0; v < victims; ++v) {
    const std::vector<double> x = inversion::normalised(smooth_picture(side, v), p);
    const std::vector<std::int64_t> labels{v % 10};
    p.victims.push_back(
        {client.answer(p.networks[own_networks ? v : 0], Tensor::from(p.candidates(1), x), labels).gradient, labels});
  }
  return p;
}

}  // namespace gi::test
