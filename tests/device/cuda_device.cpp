// Makes gi_test_device of the objects of other test programs: the CUDA device, or why there is none, in the form that ctest reports
// as skipped.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "engine/core/error.h"
#include "engine/device/cuda_device.h"
#include "tests/device/wrappers.h"
#include "tests/tested_device.h"

#if defined(GI_HAVE_CUDA)
namespace gi::kernels::cuda {
const test::Wrappers& wrappers();
}
#endif

namespace gi::test {

Device* real_device() {
  static const std::unique_ptr<Device> device = open_cuda_device();
  return device.get();
}

const Wrappers* real_wrappers() {
#if defined(GI_HAVE_CUDA)
  return &kernels::cuda::wrappers();
#else
  return nullptr;  // nor is there a device
#endif
}

namespace {

struct FindDevice : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    try {
      std::printf("device: %s\n", real_device()->name().c_str());
    } catch (const DeviceError& e) {
      std::printf("[gi: skipped] %s\n", e.what());
      std::exit(3);
    }
  }
};

}  // namespace
}  // namespace gi::test

using gi::test::FindDevice;
CATCH_REGISTER_LISTENER(FindDevice)
