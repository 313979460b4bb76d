// What *_cuda.cu files are written with: CUDA itself under nvcc, the emulator (kernels/emu/) under an ordinary compiler.
//
// A file is compiled in a namespace of its own, GI_DEVICE: `cuda`, or `emulated` for tests. Its kernels are launched from itself,
// through launch(), and keep to the rules of kernels/api/kernel.h; besides:
//  - `parts` is null, and lanes is 1: trials are blocks of the grid.
//  - run() only enqueues on Arguments::stream; what goes wrong on the device shows at the next synchronisation.
//  - No atomics on floating-point numbers; sums have a fixed order.
#pragma once

#ifndef GI_DEVICE
#error "*_cuda.cu files are compiled with GI_DEVICE naming their namespace"
#endif

#if defined(__CUDACC__)
#include <cuda_runtime.h>
/// An array that the threads of a block share: GI_SHARED(float, tile, [16][17]);
#define GI_SHARED(Type, name, extents) __shared__ Type name extents
/// The same of the size given to launch(), aligned to 128 bytes; one to a kernel.
#define GI_DYNAMIC_SHARED(Type, name)                                 \
  extern __shared__ __align__(128) unsigned char gi_dynamic_shared[]; \
  Type* const name = reinterpret_cast<Type*>(gi_dynamic_shared)
#else
#include "kernels/emu/emulator.h"
#endif

#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "kernels/api/kernel.h"

namespace gi::kernels::GI_DEVICE {

/// Runs `kernel` on `grid` blocks of `block` threads with `shared` bytes of dynamic shared memory, after what the stream has.
template <class... Parameters, class... Values>
void launch(const Arguments& args, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared, Values&&... values) {
#if defined(__CUDACC__)
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = static_cast<cudaStream_t>(args.stream);
  if (shared > 48 * 1024) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Values>(values))...);
#else
  static_cast<void>(args);
  emu::launch(kernel, grid, block, shared, std::forward<Values>(values)...);
#endif
}

__host__ __device__ constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Numbers from a trial to the next: 0 where they share the operand.
inline std::int64_t trial_step(const ConstView& v) { return v.shared() ? 0 : v.strides[0]; }

/// Kernels count in int.
inline const char* too_large(const Problem& problem) {
  const auto large = [](const Layout& v) { return v.count() > std::numeric_limits<int>::max(); };
  for (const ConstView& v : problem.in)
    if (large(v)) return "an input has more than 2^31 numbers";
  for (const View& v : problem.out)
    if (large(v)) return "an output has more than 2^31 numbers";
  return nullptr;
}

/// For kernels that take any operands which are dense, but for the trial axis of inputs.
inline const char* dense_only(const Problem& problem) {
  for (const ConstView& v : problem.in)
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
  return too_large(problem);
}

template <class Scalar>
inline constexpr DType kDType = sizeof(Scalar) == 4 ? DType::f32 : DType::f64;

}  // namespace gi::kernels::GI_DEVICE
