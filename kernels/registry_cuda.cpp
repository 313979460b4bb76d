// A build with CUDA: its own kernels, then those of libraries that may be there.
#include <vector>

#include "kernels/common/cuda_library.h"

namespace gi::kernels {

namespace cuda {
std::span<const Kernel> kernels();
}

std::span<const Kernel> cuda_kernels() {
  static const std::vector<Kernel> all = [] {
    std::vector<Kernel> list;
    for (std::span<const Kernel> some : {cuda::kernels(), cudnn_kernels(), cublas_kernels()})
      list.insert(list.end(), some.begin(), some.end());
    return list;
  }();
  return all;
}

}  // namespace gi::kernels
