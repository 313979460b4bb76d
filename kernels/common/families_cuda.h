// The CUDA kernels of the families, best first within an op. Only for *_cuda.cu files.
#pragma once

#include "kernels/common/cuda.h"

namespace gi::kernels::GI_DEVICE {

std::span<const Kernel> batchnorm_kernels();
std::span<const Kernel> ceiling_kernels();
std::span<const Kernel> conv2d_kernels();
std::span<const Kernel> conv2d_depthwise_kernels();
std::span<const Kernel> conv2d_tensor_kernels();
std::span<const Kernel> elementwise_kernels();
std::span<const Kernel> matmul_tensor_kernels();
std::span<const Kernel> matmul_tiles_kernels();
std::span<const Kernel> movement_kernels();
std::span<const Kernel> pool_kernels();
std::span<const Kernel> reduce_kernels();
std::span<const Kernel> softmax_kernels();
std::span<const Kernel> total_variation_kernels();

}  // namespace gi::kernels::GI_DEVICE
