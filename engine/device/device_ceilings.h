// What a device can do at most.
#pragma once

#include "engine/device/device.h"
#include "kernels/api/ceilings.h"

namespace gi {

/// Multiply-adds from registers in f32 and f64, products of TF32 matrices, reading half of the device's last cache (L2), and, of
/// far more than it holds, reading or copying, whichever is faster (memory; a copy reads and writes). The best of many short
/// repetitions; less than a second on a GPU. Errors DeviceError: no memory for what is read.
/// Tests tests/bench/device_test.cpp
kernels::Ceilings measure_ceilings(Device& device);

}  // namespace gi
