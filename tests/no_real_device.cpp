// What every test program but gi_test_device is linked with.
#include "tests/device/wrappers.h"
#include "tests/tested_device.h"

namespace gi::test {

Device* real_device() { return nullptr; }
const Wrappers* real_wrappers() { return nullptr; }

}  // namespace gi::test
