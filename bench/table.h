// What gi_bench prints with --table: one line a measurement, op by op, the furthest below its ceiling first; then what the steps
// of a network amount to.
#pragma once

#include <benchmark/benchmark.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

namespace gi::bench {

/// Counters of a measurement that the table and tools/dev/compare_bench.py read.
inline constexpr const char* kShare = "share";           ///< of the ceiling, 0 to 1
inline constexpr const char* kBestShare = "best_share";  ///< likewise, in the fastest fraction of a millisecond
inline constexpr const char* kLeast = "least_seconds";   ///< the time at the ceiling
inline constexpr const char* kCalls = "calls";           ///< in one iteration of the network it is a step of, by the kernel chosen
inline constexpr const char* kTimesAsFast = "times ";    ///< followed by a library's name: its time over ours

/// Work that the ceiling would let pass in less is mostly the cost of a call, and its share says nothing.
inline constexpr double kCallSeconds = 1e-7;

class TableReporter : public benchmark::BenchmarkReporter {
 public:
  /// Lists only rows whose share is less than `below`, none that are mostly the cost of a call.
  explicit TableReporter(double below = std::numeric_limits<double>::infinity()) : below_(below) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

 private:
  struct Row {
    std::vector<double> seconds;  ///< of the repetitions
    std::map<std::string, std::vector<double>> counters;
    std::string bound;
    bool on_device = false;
  };
  void print_networks() const;

  double below_;
  std::map<std::string, Row> rows_;     ///< by name
  std::map<std::string, int> skipped_;  ///< rows by the reason
};

}  // namespace gi::bench
