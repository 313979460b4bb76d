// How far a run is, on stderr: one line that changes on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "inversion/run.h"

namespace gi::tools {

class ProgressLine {
 public:
  ProgressLine();
  void show(const inversion::Progress& progress);
  /// Ends the changing line.
  void finish();

 private:
  bool terminal_;
  std::chrono::steady_clock::time_point last_{};
  std::int64_t last_tenth_ = 0;
  std::size_t width_ = 0;
};

/// 0.4 s, 12 s, 3:05, 2:05:09
std::string duration(double seconds);

/// Ctrl-C and SIGTERM: the first asks the run to end with what it has, a second one ends the program.
const std::atomic<bool>& stop_on_signal();

}  // namespace gi::tools
