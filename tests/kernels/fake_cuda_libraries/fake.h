// Shared objects with the functions of cuDNN and cuBLAS that kernels call, which work on the host's memory by plain loops over what
// descriptors say: tests see there that kernels describe their operands right, without a GPU. They refuse what does not fit
// together, demand work space, fill it, and tell what they were asked for through `gi_fake_library`.
#pragma once

#include <cstddef>
#include <cstring>

struct FakeLibrary {
  bool device = true;  ///< false: there is none
  bool fails = false;  ///< the next product ends with an error
  int handles = 0;     ///< made so far
  int products = 0;
  int math = -1, algorithm = -1;  ///< of the last product; math is cuBLAS's compute type
  const void* stream = nullptr;
};

/// Work space of no round size, so that one taken for another shows.
inline bool fill_workspace(void* space, std::size_t given, std::size_t needed) {
  if (given < needed || (needed > 0 && (space == nullptr || reinterpret_cast<std::size_t>(space) % 256 != 0))) return false;
  if (needed > 0) std::memset(space, 0xa5, needed);
  return true;
}
