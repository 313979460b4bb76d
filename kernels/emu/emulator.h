// CUDA source as host C++: included where nvcc would have <cuda_runtime.h>. See README.md for what it catches.
//
// A CUDA thread is a fiber. The blocks of a grid run one after another on the calling OS thread; a fiber runs until it waits at a
// barrier or for its warp, then another one goes on. So a kernel keeps its meaning, while the sanitizers of the host see every load
// and store of it. Tests: tests/emulator/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr double2 make_double2(double x, double y) { return {x, y}; }
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace gi::emu {

/// The order in which blocks run, and in which the threads of a block go on: a right kernel gives the same bits in all of them.
enum class Order { forward, reverse, shuffled };
struct Config {
  Order order = Order::forward;
  std::uint64_t seed = 1;  ///< of Order::shuffled
};
Config& config();

/// Runs `kernel` to its end. Throws std::runtime_error with the fault in words where the kernel or the launch breaks a rule; its
/// threads are then left where they stand, nothing of theirs is unwound.
template <class... Parameters, class... Values>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared, Values&&... values);

// What kernels are made of.

/// What the running fiber knows of itself.
struct Current {
  uint3 thread, block;
  dim3 block_extents, grid_extents;
  unsigned lane;
  unsigned char* dynamic_shared;
};
extern constinit Current current;

/// Ends the launch with this fault of the running thread.
[[noreturn]] void fault(const char* what);

void run_grid(dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* argument);

/// Where a __shared__ variable lies in the block of that number.
struct SharedVariable {
  void* data = nullptr;
  std::uint64_t block = 0;
};
void* shared_in_block(SharedVariable& variable, std::size_t bytes, std::size_t alignment);

/// Waits for the block; the number of its threads that gave true.
int block_barrier(bool predicate, const char* file, int line);

/// Orders memory for ThreadSanitizer, among the threads of a block or all.
void block_fence();
void device_fence();

template <class Type, class Tag>
inline SharedVariable shared_variable;

template <class Type, class Tag>
Type& shared(Tag) {
  return *static_cast<Type*>(shared_in_block(shared_variable<Type, Tag>, sizeof(Type), alignof(Type)));
}

template <class... Parameters, class... Values>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared, Values&&... values) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  } call{kernel, std::tuple<Parameters...>(static_cast<Parameters>(std::forward<Values>(values))...)};
  const auto body = [](void* argument) {
    const Call& c = *static_cast<const Call*>(argument);
    std::apply(c.kernel, c.arguments);
  };
  run_grid(grid, block, shared, body, &call);
}

}  // namespace gi::emu

inline constexpr int warpSize = 32;
inline const uint3& threadIdx = gi::emu::current.thread;
inline const uint3& blockIdx = gi::emu::current.block;
inline const dim3& blockDim = gi::emu::current.block_extents;
inline const dim3& gridDim = gi::emu::current.grid_extents;

// A closure is a type of its own wherever it is written, also in each instance of a template: as is a __shared__ variable.
#define GI_SHARED(Type, name, extents) auto& name = ::gi::emu::shared<Type extents>([] {})
#define GI_DYNAMIC_SHARED(Type, name) Type* const name = reinterpret_cast<Type*>(::gi::emu::current.dynamic_shared)

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  gi::emu::block_barrier(false, file, line);
}
inline int __syncthreads_count(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return gi::emu::block_barrier(predicate != 0, file, line);
}
inline int __syncthreads_or(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return gi::emu::block_barrier(predicate != 0, file, line) != 0;
}
inline int __syncthreads_and(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return gi::emu::block_barrier(predicate == 0, file, line) == 0;
}
inline void __threadfence_block() { gi::emu::block_fence(); }
inline void __threadfence() { gi::emu::device_fence(); }

#include "kernels/emu/intrinsics.h"  // IWYU pragma: export
#include "kernels/emu/warp.h"        // IWYU pragma: export
