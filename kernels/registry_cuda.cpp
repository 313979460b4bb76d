// A build with CUDA.
#include "kernels/api/kernel.h"

namespace gi::kernels {

namespace cuda {
std::span<const Kernel> kernels();
}

std::span<const Kernel> cuda_kernels() { return cuda::kernels(); }

}  // namespace gi::kernels
