#include "tools/gi_invert/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace gi::tools {
namespace {

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

const std::atomic<bool>& stop_on_signal() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &action, nullptr);
  return stop_asked;
}

std::string duration(double seconds) {
  const auto s = static_cast<long long>(std::llround(seconds));
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(const inversion::Progress& p) {
  constexpr auto kBetween = std::chrono::milliseconds(200);
  const auto now = std::chrono::steady_clock::now();
  const std::int64_t tenth = 10 * p.done / p.total;
  if (terminal_ ? now - last_ < kBetween && p.done < p.total : tenth == last_tenth_) return;
  last_ = now;
  last_tenth_ = tenth;

  double cost = std::numeric_limits<double>::infinity();
  for (const double c : p.costs)
    if (std::isfinite(c)) cost = std::min(cost, c);
  const double speed = p.seconds > 0 ? static_cast<double>(p.done - p.resumed) / p.seconds : 0;
  const std::string chunk = p.chunks > 1 ? fmt::format("chunk {}/{}  ", p.chunk + 1, p.chunks) : "";
  const std::string left = speed > 0 ? duration(static_cast<double>(p.total - p.done) / speed) : "?";
  const std::string line = fmt::format("{}iteration {}/{}  cost {:.4e}  {:.4g} it/s  {} left", chunk, p.iteration,
                                       p.total / p.chunks, cost, speed, left);
  if (terminal_) {
    fmt::print(stderr, "\r{:<{}}", line, width_);
    width_ = line.size();
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}\n", line);
  }
}

void ProgressLine::finish() {
  if (terminal_ && width_ > 0) fmt::print(stderr, "\n");
  width_ = 0;
}

}  // namespace gi::tools
