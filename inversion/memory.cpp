#include "inversion/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace gi::inversion {
namespace {

std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  if (in >> value) return value;  // "max" is no number: no limit
  return std::nullopt;
}

std::optional<std::uint64_t> kilobytes_of(const char* path, const std::string& key) {
  std::ifstream in(path);
  for (std::string word; in >> word;) {
    std::uint64_t value = 0;
    if (word == key && in >> value) return value * 1024;
  }
  return std::nullopt;
}

}  // namespace

std::size_t available_memory() {
  constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t least = kilobytes_of("/proc/meminfo", "MemAvailable:").value_or(kUnknown);
  const auto limited = [&](std::optional<std::uint64_t> limit, std::optional<std::uint64_t> used) {
    if (limit) least = std::min(least, *limit - std::min(*limit, used.value_or(0)));
  };
  limited(number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory.current"));
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    limited(space.rlim_cur, kilobytes_of("/proc/self/status", "VmSize:"));
  return least == kUnknown ? 0 : least;
}

}  // namespace gi::inversion
