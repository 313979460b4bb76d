// A build without CUDA.
#include "engine/core/error.h"
#include "engine/device/cuda_device.h"

namespace gi {

std::string find_cuda_device() { throw DeviceError("no CUDA device: this build has no CUDA"); }
std::unique_ptr<Device> open_cuda_device(bool) { throw DeviceError("no CUDA device: this build has no CUDA"); }

}  // namespace gi
