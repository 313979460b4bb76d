#define GI_DEVICE emulated
#include "tests/device/wrappers_cuda.cu"
