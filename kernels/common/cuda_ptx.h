// Instructions that CUDA C++ has no name for. Under nvcc they are PTX; the emulator has a twin of each (kernels/emu/ptx.h).
#pragma once

#include "kernels/common/cuda.h"

#if !defined(__CUDACC__)
#include "kernels/emu/ptx.h"
#endif

namespace gi::kernels::GI_DEVICE {

#if defined(__CUDACC__)

/// The nearest TF32 (10 bits behind the point, halves away from zero), as the bits of a float.
__device__ __forceinline__ unsigned to_tf32(float value) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}
__device__ __forceinline__ float from_tf32(unsigned bits) { return __uint_as_float(bits); }

/// d += A B over a warp, A 16x8 by rows and B 8x8 by columns. With g = lane / 4 and t = lane % 4 a lane holds
///   a  (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)        b  (t, g), (t + 4, g)
///   d  (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
/// Source: PTX ISA, "Matrix fragments for mma.m16n8k8".
__device__ __forceinline__ void mma_16x8x8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Starts a copy of Bytes (4, 8 or 16, both sides aligned to as many) from global to shared memory, of which the first `there`
/// are read and the others zero.
template <int Bytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, int there = Bytes) {
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(there) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(Bytes), "r"(there) : "memory");
}
/// Closes the group of the copies this thread has started.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `Pending` groups of this thread are under way. Other threads see the data after a barrier.
template <int Pending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

#else

using emu::copy_async, emu::copy_async_commit, emu::copy_async_wait, emu::from_tf32, emu::mma_16x8x8_tf32, emu::to_tf32;

#endif

}  // namespace gi::kernels::GI_DEVICE
