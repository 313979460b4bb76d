// The wrappers of kernels/common/cuda_ptx.h, each in a kernel that does nothing else: wrappers_cuda.cu, compiled by nvcc and as
// host C++ as kernels are. All memory is the device's.
#pragma once

namespace gi::test {

struct Wrappers {
  /// y[i] = to_tf32(x[i]).
  void (*to_tf32)(void* stream, const float* x, unsigned* y, int count);
  /// d += a b: for each of `warps`, what its lanes hold, a [32][4], b [32][2], d [32][4].
  void (*mma)(void* stream, const unsigned* a, const unsigned* b, float* d, int warps);
  /// Through shared memory by copy_async<bytes>, of 4, 8 or 16: piece i of `from` to piece i of `to`, its first there[i] bytes.
  /// Three pieces a thread, each a group of its own, and stored as soon as its group has landed; so 96 pieces a block.
  void (*copy)(void* stream, int bytes, const unsigned char* from, const int* there, unsigned char* to, int blocks);
};

/// Those of the CUDA device in gi_test_device; null in every other program.
const Wrappers* real_wrappers();

}  // namespace gi::test
