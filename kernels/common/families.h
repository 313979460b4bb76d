// The kernel lists of the families in one instruction set's build, best first within an op. Only for *_cpu.cpp files.
#pragma once

#include <span>

#include "kernels/common/pack.h"

namespace gi::kernels::GI_ISA {

std::span<const Kernel> batchnorm_kernels();
std::span<const Kernel> conv2d_amx_kernels();                 ///< one trial, on tile units
std::span<const Kernel> conv2d_channels_kernels();            ///< one trial, channels in the lanes
std::span<const Kernel> conv2d_channels_winograd_kernels();   ///< the same by minimal filtering
std::span<const Kernel> conv2d_correlate_lanes_kernels();     ///< trials in the lanes: weight gradients
std::span<const Kernel> conv2d_correlate_winograd_kernels();  ///< its weight gradients
std::span<const Kernel> conv2d_lanes_kernels();               ///< trials in the lanes
std::span<const Kernel> conv2d_patches_kernels();             ///< one trial, the numbers of filters in the lanes
std::span<const Kernel> conv2d_pixels_kernels();              ///< one trial, pixels in the lanes; channels for weight gradients
std::span<const Kernel> conv2d_winograd_kernels();            ///< trials in the lanes, by minimal filtering
std::span<const Kernel> elementwise_kernels();
std::span<const Kernel> matmul_lanes_kernels();   ///< trials in the lanes
std::span<const Kernel> matmul_single_kernels();  ///< one trial
std::span<const Kernel> movement_kernels();
std::span<const Kernel> pool_kernels();
std::span<const Kernel> reduce_kernels();
std::span<const Kernel> softmax_kernels();
std::span<const Kernel> total_variation_kernels();
std::span<const Kernel> winograd_single_kernels();  ///< one trial

}  // namespace gi::kernels::GI_ISA
