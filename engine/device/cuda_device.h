// The first CUDA device, if there is one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "engine/device/device.h"

namespace gi {

struct CudaProperties {
  std::string name;
  int multiprocessors = 0, capability = 0;  ///< 90 is sm_90
  std::size_t memory = 0;                   ///< bytes
};

/// Throws DeviceError, "no CUDA device: " and the reason: none in this build, no driver, or no device.
CudaProperties find_cuda_device();
/// Likewise.
std::unique_ptr<Device> open_cuda_device();

}  // namespace gi
