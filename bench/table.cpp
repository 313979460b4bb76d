#include "bench/table.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <sstream>

namespace gi::bench {

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string time(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.2f} us", seconds * 1e6) : fmt::format("{:.2f} ms", seconds * 1e3);
}

}  // namespace

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.error_occurred) ++skipped_[run.error_message];
    if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
    Row& row = rows_[run.run_name.function_name];
    const bool wall = !run.run_name.time_type.empty();
    row.on_device = run.run_name.time_type == "manual_time";
    row.seconds.push_back((wall ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime()) /
                          benchmark::GetTimeUnitMultiplier(run.time_unit));
    for (const auto& [name, counter] : run.counters) row.counters[name].push_back(counter.value);
    row.bound = run.report_label;
  }
}

void TableReporter::Finalize() {
  const auto share = [](const Row& row) { return median(row.counters.at(kShare)); };
  const auto op = [](const std::string& name) { return name.substr(0, name.find('/')); };
  std::vector<const std::pair<const std::string, Row>*> sorted;
  for (const auto& row : rows_) {
    const bool call = median(row.second.counters.at(kLeast)) < kCallSeconds;
    if (share(row.second) < below_ && !(call && below_ < std::numeric_limits<double>::infinity())) sorted.push_back(&row);
  }
  std::sort(sorted.begin(), sorted.end(), [&](const auto* a, const auto* b) {
    return std::pair(op(a->first), share(a->second)) < std::pair(op(b->first), share(b->second));
  });
  std::size_t width = 4;
  for (const auto* row : sorted) width = std::max(width, row->first.size());
  auto& out = GetOutputStream();
  fmt::print(out, "{:<{}} {:>5} {:>11} {:>9} {:>9} {:>7} {:>7}  {}\n", "name", width, "calls", "time", "GFLOP/s", "GB/s", "share",
             "at best", "bound by");
  for (const auto* entry : sorted) {
    const Row& row = entry->second;
    const auto counter = [&row](const char* name) { return row.counters.count(name) != 0 ? median(row.counters.at(name)) : 0; };
    std::string notes = row.bound;
    if (counter(kLeast) < kCallSeconds) notes += ", mostly the call";
    for (const auto& [name, values] : row.counters)
      if (name.starts_with(kTimesAsFast))
        notes += fmt::format(", {:.2f} x {}", median(values), name.substr(std::string(kTimesAsFast).size()));
    const std::vector<double>& best = row.counters.at(kBestShare);
    fmt::print(out, "{:<{}} {:>5} {:>11} {:>9.2f} {:>9.2f} {:>6.1f}% {:>6.1f}%  {}\n", entry->first, width, counter(kCalls),
               time(median(row.seconds)), counter("gflops"), counter("gbytes"), 100 * share(row),
               100 * *std::max_element(best.begin(), best.end()), notes);
  }
  for (const auto& [reason, rows] : skipped_) fmt::print(out, "{} row{} skipped: {}\n", rows, rows == 1 ? "" : "s", reason);
  if (below_ == std::numeric_limits<double>::infinity()) print_networks();
}

void TableReporter::print_networks() const {
  struct Sum {
    double seconds = 0, least = 0;
    void add(const Row& row) {
      const double calls = row.counters.at(kCalls).front();
      seconds += calls * median(row.seconds);
      least += calls * median(row.counters.at(kLeast));
    }
  };
  std::map<std::string, std::pair<Sum, std::map<std::string, Sum>>> networks;  // by name and number type; by op
  for (const auto& [name, row] : rows_) {
    if (row.counters.count(kCalls) == 0) continue;
    std::vector<std::string> part;  // op, kernel, number type, network, label
    std::istringstream parts(name);
    for (std::string p; std::getline(parts, p, '/');) part.push_back(p);
    auto& [all, by_op] = networks[part[3] + ", " + part[2] + (row.on_device ? " on the device" : "")];
    all.add(row);
    by_op[part[0]].add(row);
  }
  for (const auto& [name, sums] : networks) {
    const auto& [all, by_op] = sums;
    fmt::print(GetOutputStream(), "\n{}: measured steps of an iteration take {}, {:.0f}% of the ceiling\n", name, time(all.seconds),
               100 * all.least / all.seconds);
    std::vector<std::pair<double, std::string>> lines;
    for (const auto& [op, sum] : by_op)
      lines.emplace_back(-sum.seconds, fmt::format("  {:<22} {:>5.1f}% of the time at {:>5.1f}% of the ceiling", op,
                                                   100 * sum.seconds / all.seconds, 100 * sum.least / sum.seconds));
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) fmt::print(GetOutputStream(), "{}\n", line.second);
  }
}

}  // namespace gi::bench
