// Who knows what: the server's problem, and beside it the truth that only the score sees.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "inversion/problem.h"
#include "tools/gi_invert/settings.h"

namespace gi::tools {

struct Scene {
  inversion::Problem problem;
  std::vector<std::vector<double>> truth;     ///< a victim: pixels [N,C,H,W] in [0,1]; empty when unknown
  std::vector<std::string> truth_files;       ///< an image
  std::vector<std::int64_t> true_labels;      ///< an image; empty when unknown
  bool labels_known = true;                   ///< told to the attacker, not recovered
  std::vector<double> losses;                 ///< a victim: the client's, empty when unknown
  std::map<std::string, std::string> hashes;  ///< of every file read
  double client_seconds = 0;
};

/// How many victims and how many images each.
struct Counts {
  std::int64_t victims = 1, images = 1;
};
Counts count_images(const Settings& settings);

/// The problem without messages: enough for a plan.
inversion::Problem empty_problem(const Settings& settings);

/// Both sides: loads pictures, computes the client's messages. The server alone: loads messages.
/// The client computes on `device`, or on the CPU where it is null.
Scene make_scene(const Settings& settings, Device* device);

}  // namespace gi::tools
