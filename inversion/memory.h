// How much memory this machine can still give.
#pragma once

#include <cstddef>

namespace gi::inversion {

/// Bytes a process can take now without swapping: the least of what the kernel calls available, what the control group leaves
/// and the process's own limit. 0 when the system does not say.
std::size_t available_memory();

}  // namespace gi::inversion
