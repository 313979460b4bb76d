// The loops behind a machine's ceilings: of one instruction set for measure_ceilings, and of a device.
#pragma once

#include "kernels/api/kernel.h"

namespace gi::kernels {

struct CeilingLoops {
  /// By DType: `rounds` of independent multiply-adds; returns the flops done.
  double (*multiply_add[2])(std::int64_t rounds);
  /// Reads `bytes`, a multiple of 1024, `rounds` times.
  void (*read)(const std::byte* data, std::size_t bytes, std::int64_t rounds);
  /// Products of bf16 on tile units, likewise; null where there are none.
  double (*multiply_bf16)(std::int64_t rounds) = nullptr;
};

CeilingLoops ceiling_loops(Isa isa);

/// A device's loops are kernels of this op, with CeilingRounds for attributes, whose output [1, threads] has one number of every
/// thread, in blocks of kCeilingBlock. What a round is:
///   "cuda_multiply_add"  kCeilingMultiplyAdds of 0.75 x + 0.25 by every thread, of as many numbers x as cover their latency
///   "cuda_tensor_tf32"   kCeilingProducts of 16x8 by 8x8 by every warp
///   "cuda_read"          the input [1, numbers], whole fours of them, read past the caches of single processors by all threads
inline constexpr const char* kCeilingOp = "ceiling";
struct CeilingRounds {
  std::int64_t rounds = 1;
};
inline constexpr int kCeilingBlock = 256, kCeilingMultiplyAdds = 64, kCeilingProducts = 32;

}  // namespace gi::kernels
