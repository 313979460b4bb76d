// Per-channel means and deviations that pixels in [0,1] are normalised with: x = (pixel - mean) / std.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gi::models {

struct Normalization {
  std::string name;
  std::vector<double> mean, std;  ///< one a channel; a single one serves any number of channels
};

/// cifar10, cifar100, mnist, imagenet, resnet20-a, none. Errors UsageError: no such name.
const Normalization& normalization(std::string_view name);
const std::vector<Normalization>& all_normalizations();

}  // namespace gi::models
