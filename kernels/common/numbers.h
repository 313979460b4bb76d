// Whole numbers: pieces of extents, places in scratch, parts of a kernel's work. Only for *_cpu.cpp files.
#pragma once

#include "kernels/common/pack.h"

namespace gi::kernels::GI_ISA {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t at_most(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t at_least(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
/// Scratch is handed out in cache lines.
inline std::int64_t aligned(std::int64_t bytes) { return ceil_div(bytes, 64) * 64; }
/// The size of pieces of at most `most` (at least 1), as even as they go.
inline std::int64_t even_piece(std::int64_t extent, std::int64_t most) {
  return ceil_div(extent, ceil_div(extent, at_least(most, 1)));
}

/// `extent` in pieces of at most `most` (at least 1), as even as they go: the first `large` of `size`, the others one less.
struct Split {
  std::int64_t pieces, size, large;
  Split(std::int64_t extent, std::int64_t most)
      : pieces(ceil_div(extent, most)), size(ceil_div(extent, pieces)), large(pieces - (pieces * size - extent)) {}
  std::int64_t operator[](std::int64_t piece) const { return piece < large ? size : size - 1; }
};

struct Range {
  std::int64_t first, last;
};

/// Which of `count` parts a call is to do.
inline Range parts_of(const Arguments& args, std::int64_t count) { return {args.first_part, at_most(args.last_part, count)}; }
/// What the parts that a call is to do amount to, of `extent` cut into pieces of `piece`.
inline Range pieces_of(const Arguments& args, std::int64_t extent, std::int64_t piece) {
  const Range parts = parts_of(args, ceil_div(extent, piece));
  return {parts.first * piece, at_most(parts.last * piece, extent)};
}

}  // namespace gi::kernels::GI_ISA
