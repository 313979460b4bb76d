// A build without CUDA.
#include "kernels/api/kernel.h"

namespace gi::kernels {

std::span<const Kernel> cuda_kernels() { return {}; }

}  // namespace gi::kernels
