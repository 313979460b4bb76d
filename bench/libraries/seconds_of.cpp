#include <algorithm>
#include <cstdint>
#include <ctime>

#include "bench/libraries/libraries.h"

namespace gi::bench {

namespace {

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double seconds_of(const Work& work) {
  constexpr double kRun = 0.01;
  constexpr int kRuns = 4;
  const auto mean = [&work](std::int64_t times) {
    const double begin = processor_seconds();
    for (std::int64_t i = 0; i < times; ++i) work();
    return (processor_seconds() - begin) / static_cast<double>(times);
  };
  double best = mean(1);
  std::int64_t times = 1;
  while (best * static_cast<double>(times) < kRun && times < 1 << 24) best = mean(times *= 2);
  for (int i = 1; i < kRuns; ++i) best = std::min(best, mean(times));
  return best;
}

}  // namespace gi::bench
