// What an honest-but-curious server holds: the network it sent out and the messages that came back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "models/model.h"
#include "models/weights.h"

namespace gi::inversion {

/// One client's message, and the labels that were told or recovered.
struct Victim {
  std::vector<Tensor> gradient;      ///< [1,...] a parameter, in the order of Network::params()
  std::vector<std::int64_t> labels;  ///< one an image
};

/// Victims of one model and of equal image counts; they are trials of one Program.
struct Problem {
  models::Model model;
  std::vector<models::Weights> networks;  ///< one for all victims, or one for each
  models::Mode mode = models::Mode::eval;
  std::int64_t images = 1;        ///< a victim
  std::vector<double> mean, std;  ///< a channel; pixels in [0,1] are normalised to (pixel - mean) / std
  std::vector<Victim> victims;

  bool own_networks() const { return networks.size() > 1; }
  const models::Weights& network_of(std::int64_t victim) const { return networks[own_networks() ? victim : 0]; }
  /// [trials, images, C, H, W].
  Shape candidates(std::int64_t trials) const;
};

/// One-hot rows [1,N,classes]. Errors UsageError: a label outside 0..classes-1.
Tensor one_hot(std::span<const std::int64_t> labels, std::int64_t classes);

/// Pixels [N,C,H,W] in [0,1] to normalised values and back; `mean` and `std` have one entry a channel.
std::vector<double> normalised(std::span<const double> pixels, const Problem& problem);
/// Clamped to [0,1].
std::vector<double> pixels(std::span<const double> normalised, const Problem& problem);

/// Errors Error: a tensor with a NaN or infinity, or nothing but zeros; `what` begins the message.
void check_gradient(std::span<const Tensor> gradient, std::span<const std::string> names, const std::string& what);

}  // namespace gi::inversion
