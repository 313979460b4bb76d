// Operands with trials in the lanes, and slabs of them with their halo. Only for *_cpu.cpp files.
#pragma once

#include "kernels/common/copy_row.h"
#include "kernels/common/numbers.h"
#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

template <class Scalar>
constexpr std::int64_t kNumberBytes = kLanes* static_cast<std::int64_t>(sizeof(Scalar));

/// Bytes of one number of an operand: a pack, or a scalar that is shared.
template <class Scalar>
std::int64_t number_bytes(const Layout& v) {
  return v.lanes * static_cast<std::int64_t>(sizeof(Scalar));
}

/// The operand's numbers of one trial block.
template <class Scalar>
const std::byte* trial_block(const ConstView& v, std::int64_t block) {
  return static_cast<const std::byte*>(v.data) + block * v.strides[0] * number_bytes<Scalar>(v);
}

/// Rows and columns of a source [channels][height][width], zero outside of it; a shared source is splatted.
struct Window {
  std::int64_t channels, height, width;
  std::int64_t row, rows, column, columns;
};

template <class Scalar>
void copy_window(const Window& win, const std::byte* source, bool shared, std::byte* slab) {
  constexpr std::int64_t parts = kParts<Scalar>, number = kLanes;  // vectors, scalars of a number
  const std::int64_t left = at_most(at_least(-win.column, 0), win.columns);
  const std::int64_t right = at_least(left, at_most(win.columns, win.width - win.column));
  Scalar* to = reinterpret_cast<Scalar*>(slab);
  for (std::int64_t c = 0; c < win.channels; ++c) {
    for (std::int64_t i = 0; i < win.rows; ++i, to += win.columns * number) {
      const std::int64_t row = win.row + i;
      if (row < 0 || row >= win.height) {
        zero_vectors(win.columns * parts, to);
        continue;
      }
      zero_vectors(left * parts, to);
      const std::int64_t first = (c * win.height + row) * win.width + win.column + left;
      if (shared) {
        const Scalar* from = reinterpret_cast<const Scalar*>(source) + first;
        auto* packs = reinterpret_cast<Vector<Scalar>*>(to);
        for (std::int64_t j = left; j < right; ++j)
          for (std::int64_t part = 0; part < parts; ++part) packs[j * parts + part] = broadcast(from[j - left]);
      } else {
        copy_row<1>(reinterpret_cast<const Scalar*>(source) + first * number, (right - left) * number, to + left * number);
      }
      zero_vectors((win.columns - right) * parts, to + right * number);
    }
  }
}

}  // namespace gi::kernels::GI_ISA
