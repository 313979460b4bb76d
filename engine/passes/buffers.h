// Places values of known lifetimes in one arena.
#pragma once

#include <cstddef>
#include <vector>

namespace gi::passes {

struct Lifetime {
  std::size_t bytes = 0;
  int first = 0, last = 0;  ///< steps, both inclusive
};

struct Placement {
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;  ///< of the arena
};

/// Largest first, each at the lowest offset free during its life. Offsets are multiples of `alignment`.
Placement place(const std::vector<Lifetime>& values, std::size_t alignment);

}  // namespace gi::passes
