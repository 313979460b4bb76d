// Everything the command line and a configuration file can say.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "inversion/attack.h"
#include "inversion/run.h"
#include "tools/common/network_options.h"

namespace gi::tools {

struct Settings {
  std::vector<std::string> images;     ///< both sides: the client's
  std::vector<std::string> gradients;  ///< the server alone: one file a victim
  std::vector<std::string> truth;
  std::string shape;
  bool batch = false, fresh_networks = false;
  std::vector<std::int64_t> labels, crop;
  bool labels_known = true;
  NetworkOptions network;
  inversion::AttackOptions attack;
  std::string preset, config, dtype = "f32", device = "auto";
  std::int64_t threads = 0, lanes = 0, memory_mib = 0;
  double checkpoint_every = 60;
  std::vector<std::string> impl;
  std::string evaluate, tune, plan_file;
  double tune_seconds = 300;
  bool explain_plan = false, list_models = false, resume = false, profile = false, debug = false;
  std::string output = "gi_invert_out";

  /// The plan file, read or written; empty: none.
  const std::string& kernels_file() const { return tune.empty() ? plan_file : tune; }
  bool both_sides() const { return gradients.empty(); }
  DType number_type() const { return dtype == "f64" ? DType::f64 : DType::f32; }
};

/// Reads command line, configuration file and preset, in this order of precedence. Errors CLI::ParseError, UsageError.
Settings parse_settings(int argc, char** argv);

}  // namespace gi::tools
