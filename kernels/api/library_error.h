// What went wrong in a library that a kernel calls, cuDNN or cuBLAS: a kernel cannot throw.
#pragma once

#include <string>

namespace gi::kernels {

/// The first error in kernels that this thread ran since it last asked, "cuDNN: conv2d: CUDNN_STATUS_...". Empty: none.
std::string take_library_error();

}  // namespace gi::kernels
