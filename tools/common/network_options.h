// Options that say which network it is and what goes into it, shared by the programs.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "inversion/problem.h"
#include "tools/common/image.h"

namespace gi::tools {

struct NetworkOptions {
  std::string model;
  std::string weights;            ///< file; empty: fresh ones from the seed
  std::int64_t classes = 0;       ///< 0: the model's
  std::string size;               ///< [C x] H x W, or one number; empty: the model's
  std::string normalization;      ///< empty: the model's
  std::vector<double> mean, std;  ///< empty: the normalization's
  std::string mode = "eval";
  std::uint64_t seed = 0;
};

void add_network_options(CLI::App& app, NetworkOptions& options);

/// The model and its normalisation, without networks and victims. Errors UsageError naming the option.
inversion::Problem make_problem(const NetworkOptions& options, std::int64_t images);

/// The network of --weights, or a fresh one from `seed`.
models::Weights make_network(const NetworkOptions& options, const models::Model& model, std::uint64_t seed);

/// --crop X,Y,W,H. Errors UsageError.
std::optional<Rect> parse_crop(const std::vector<std::int64_t>& numbers);

/// Pixels [N,C,H,W] in [0,1] of pictures brought to the model's size.
std::vector<double> load_pixels(const std::vector<std::string>& files, const models::ImageShape& shape,
                                const std::optional<Rect>& crop);

/// SHA-256 of every file. Errors IoError.
std::map<std::string, std::string> hash_files(const std::vector<std::string>& files);

}  // namespace gi::tools
