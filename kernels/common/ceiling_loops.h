// The loops of one instruction set behind measure_ceilings.
#pragma once

#include "kernels/api/kernel.h"

namespace gi::kernels {

struct CeilingLoops {
  /// By DType: `rounds` of independent multiply-adds; returns the flops done.
  double (*multiply_add[2])(std::int64_t rounds);
  /// Reads `bytes`, a multiple of 1024, `rounds` times.
  void (*read)(const std::byte* data, std::size_t bytes, std::int64_t rounds);
};

CeilingLoops ceiling_loops(Isa isa);

}  // namespace gi::kernels
