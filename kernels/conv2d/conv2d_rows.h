// Rows of the output out of what its phases (conv2d_axis.h) came to. Only for *_cpu.cpp files.
#pragma once

#include "kernels/common/copy_row.h"
#include "kernels/common/transpose.h"
#include "kernels/conv2d/conv2d_axis.h"

namespace gi::kernels::GI_ISA {

/// Output rows from i0 on, put together from all phases.
template <class Sizes, class Scalar>
void write_rows(const Sizes& sizes, const Scalar* sums, std::int64_t i0, Range wanted, Scalar* out) {
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t step = sizes.w.phases(), width = sizes.w.dest, phase_sums = sizes.phase_sums;
  for (std::int64_t phase_h = 0; phase_h < sizes.h.phases(); ++phase_h, sums += step * phase_sums) {
    const std::int64_t i1 = at_most(i0 + sizes.block_rows, sizes.h.count(phase_h));
    for (std::int64_t k = wanted.first; k < wanted.last; ++k) {
      for (std::int64_t i = i0; i < i1; ++i) {
        const Scalar* from = sums + k * sizes.sums_channel + (i - i0) * sizes.pitch;
        Scalar* const to = out + (k * sizes.h.dest + i * sizes.h.phases() + phase_h) * width;
        if (step == 1) {
          copy_row<1>(from, width, to);
        } else if (step == 2) {
          for (std::int64_t j = 0; 2 * j < width; j += n) {
            Vector<Scalar> both[2];
            interleave<Scalar>(*reinterpret_cast<const Vector<Scalar>*>(from + j),
                               *reinterpret_cast<const Vector<Scalar>*>(from + phase_sums + j), both);
            copy_row<1>(reinterpret_cast<const Scalar*>(both), at_most(width - 2 * j, 2 * n), to + 2 * j);
          }
        } else {
          for (std::int64_t phase_w = 0; phase_w < step; ++phase_w, from += phase_sums)
            for (std::int64_t j = 0; j < sizes.w.count(phase_w); ++j) to[j * step + phase_w] = from[j];
        }
      }
    }
  }
}

}  // namespace gi::kernels::GI_ISA
