// Networks by name.
//
//   lenetzhu                                conv5 x 3, sigmoid
//   convnet, convnet<width>                 eight conv3 + BN + ReLU, two max-pools; convnet = convnet64
//   mlp, twolp                              linear layers and ReLU
//   resnet{20,28,32,44,56,110}[-<multiple>][-a]
//                                           three stages of 16-32-64 channels (times the multiple); shortcuts 1x1 conv + BN, or
//                                           with -a option A: subsampled and padded with zero channels
//   resnet{18,34,50,101,152}[-w<width>][-imagenet]
//                                           four stages from `width` (64) channels; conv3 stem, or with -imagenet conv7 + max-pool
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"

namespace gi::models {

struct ModelInfo {
  std::string name;
  std::string description;    ///< one line
  ImageShape image;           ///< default
  std::int64_t classes = 10;  ///< default
  std::string normalization;  ///< default, a name of models/normalization.h
};

/// The networks worth a line in a list; other widths and multiples are found too.
std::vector<ModelInfo> list_models();

/// Defaults of a network by name. Errors UsageError: no such name; lists near ones.
ModelInfo model_info(std::string_view name);

struct ModelOptions {
  std::optional<ImageShape> image;
  std::optional<std::int64_t> classes;
};

/// A network by name, for images and classes other than its defaults where asked.
/// Errors UsageError: no such name, or an option out of range; ShapeError: the image is too small.
Model find_model(std::string_view name, const ModelOptions& options = {});

}  // namespace gi::models
