// What this machine can do at most: the measure every speed is held against.
#pragma once

#include "kernels/api/kernel.h"

namespace gi::kernels {

/// Levels of memory a working set can lie in, nearest first.
enum class Level : std::int64_t { l1, l2, l3, memory };
inline constexpr std::array<const char*, 4> kLevelNames{"L1", "L2", "L3", "memory"};

/// Of one thread, or of a whole device (Isa::cuda), of which L2 and memory are known: engine/device/device_ceilings.h. Other work
/// on the machine lowers what is measured, never raises it.
struct Ceilings {
  Isa isa = Isa::portable;
  std::array<double, 2> gflops{};            ///< by DType: multiply-adds from registers, 2 flops each, 1e9 a second
  double tensor_gflops = 0;                  ///< of a device: products of TF32 matrices by mma.sync, likewise
  double bf16_gflops = 0;                    ///< of a processor with AMX: products of bf16 matrices, likewise
  std::array<std::size_t, 3> cache_bytes{};  ///< data caches L1 to L3 as the system reports them; 0: unknown
  std::array<double, 4> read_gbs{};          ///< by Level: reading only, 1e9 bytes a second; 0 where the cache is unknown
};

/// Runs one instruction set's multiply-adds, and reads working sets of half of each cache and well beyond the last. The best of
/// many short repetitions; well under 2 s. Tests tests/kernels/ceilings_test.cpp
Ceilings measure_ceilings(Isa isa = best_isa());

/// The nearest known cache that holds `bytes`, else memory.
Level level_of(const Ceilings& ceilings, double bytes);

/// Neither a thread nor a device does `flops` on a working set of `bytes`, each touched once, in less:
///
///   max(flops / peak, bytes / read_gbs[level_of(bytes)])
///
/// Divided by the time taken, the share of the ceiling. Writing is counted as reading, which is never slower. The peak is
/// gflops[dtype], in f32 of a device the higher of that and tensor_gflops / 3: a product exact to f32 takes three of TF32.
double least_seconds(const Ceilings& ceilings, double flops, DType dtype, double bytes);
/// The same for this kernel: its peak is the above on tensor cores ("cuda_tensor...", "...3xtf32..."), tensor_gflops where its
/// products are TF32 by request ("..._tf32"), bf16_gflops / 3 where three of bf16 make one ("..._bf16x3"), and gflops[dtype] of all
/// others.
double least_seconds(const Ceilings& ceilings, double flops, const Kernel& kernel, double bytes);

}  // namespace gi::kernels
