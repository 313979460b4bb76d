// The register tile under every convolution and product of matrices.
//
//   out[k][q] (+)= sum over channels and taps of  w[k][channel][tap] * x[channel][tap][q]
//
// for k < rows and q < columns, a sum of outer products kept in registers. What k, q, channel and tap stand for, and
// where they lie in memory, is the caller's: trials or pixels in the lanes of x and out, w of the same kind or a scalar
// that all lanes share. All steps are in bytes.
#pragma once

#include "kernels/common/vector.h"

namespace gi::kernels::GI_ISA {

struct Tap {
  std::int64_t x, w;  ///< offsets
};

struct TileJob {
  const std::byte* x = nullptr;
  const std::byte* w = nullptr;
  std::byte* out = nullptr;
  const Tap* taps = nullptr;
  std::int64_t tap_count = 1, channels = 1;
  std::int64_t x_channel = 0, w_channel = 0;  ///< steps from channel to channel
  std::int64_t w_k = 0, out_k = 0;            ///< from row to row of the tile
  std::int64_t x_q = 0, out_q = 0;            ///< from column to column
  std::int64_t parts = 1;                     ///< vectors side by side that make one number
  bool accumulate = false;                    ///< add to what `out` holds
  // Shared w only: scalars that the caller reads later, fetched meanwhile, since they are too far between for the processor to
  // foresee. As many as w has here: one after the other or, where `ahead_channel` is given, those of a channel one after the
  // other and the channels that far from each other.
  const std::byte* ahead = nullptr;
  std::int64_t ahead_channel = 0;
  // Shared w and several taps only: from one channel of x to the next is so far that the processor does not foresee it. What the
  // taps read of the next one is fetched meanwhile.
  bool far_channels = false;
  // The whole is repeated over an outer axis, `ahead` moving with w.
  std::int64_t lines = 1, x_line = 0, w_line = 0, out_line = 0;
};

/// out[k][q] for k < rows, q < columns of any extents. With `Shared`, w holds scalars, else vectors like x.
template <class Scalar, bool Shared>
void multiply(const TileJob& job, std::int64_t rows, std::int64_t columns);

extern template void multiply<float, false>(const TileJob&, std::int64_t, std::int64_t);
extern template void multiply<float, true>(const TileJob&, std::int64_t, std::int64_t);
extern template void multiply<double, false>(const TileJob&, std::int64_t, std::int64_t);
extern template void multiply<double, true>(const TileJob&, std::int64_t, std::int64_t);

/// Why tiles of trials' numbers cannot take a problem's factors, two and two, or null: each must be dense, in packs or shared by
/// the trials, but not both.
const char* factors_declined(const Problem& problem);

/// A register tile of many rows has at most this many columns. Without fused multiply-add a product takes a register too.
inline constexpr std::int64_t kMaxTileColumns = kIsa == Isa::portable ? 3 : 4;

/// What tile_rows gives at most.
inline constexpr std::int64_t kMaxTileRows = kVectorRegisters == 32 ? 12 : 6;

/// Rows of one register tile when there are `rows` and `columns` in all: what callers should hand over at a time to keep
/// the tile's part of w in the first cache.
std::int64_t tile_rows(std::int64_t rows, std::int64_t columns);

}  // namespace gi::kernels::GI_ISA
