// The first CUDA device, if there is one.
#pragma once

#include <memory>
#include <string>

#include "engine/device/device.h"

namespace gi {

/// Its name. Throws DeviceError, "no CUDA device: " and the reason: none in this build, no driver, or no device.
std::string find_cuda_device();
/// Likewise. With `debug` check() waits for what it checks and nothing is recorded, so that the step is known at which something
/// failed; slow.
std::unique_ptr<Device> open_cuda_device(bool debug = false);

}  // namespace gi
