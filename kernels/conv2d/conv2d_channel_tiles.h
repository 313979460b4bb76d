// Minimal filtering of single trials with channels in the lanes: the tiles of an image, and their transforms. Only for *_cpu.cpp
// files.
//
// The side^2 matrices of a transform lie a vector further apart than they need: powers of two would all fall into the same places
// of a cache.
#pragma once

#include <cstring>

#include "kernels/common/numbers.h"
#include "kernels/common/transpose.h"
#include "kernels/common/winograd_transform.h"
#include "kernels/conv2d/conv2d.h"

namespace gi::kernels::GI_ISA {

/// An image of h x w numbers and its tiles, a block of some rows of them at a time. With `halo` tiles are those of a result of p x
/// q numbers, each of which needs a window of the image that is larger by two; without, those of the image itself.
struct ChannelTiles {
  std::int64_t h, w, pad_h, pad_w, size, halo;
  std::int64_t tiles_h, tiles_w;
  std::int64_t rows;  ///< of tiles in a block, set by who knows how much is to stay in a cache

  ChannelTiles(std::int64_t h, std::int64_t w, std::int64_t pad_h, std::int64_t pad_w, std::int64_t p, std::int64_t q,
               std::int64_t size, bool halo)
      : h(h),
        w(w),
        pad_h(pad_h),
        pad_w(pad_w),
        size(size),
        halo(halo ? 2 : 0),
        tiles_h(ceil_div(p, size)),
        tiles_w(ceil_div(q, size)),
        rows(tiles_h) {}
  std::int64_t side() const { return size + 2; }
  std::int64_t places() const { return side() * side(); }
  std::int64_t blocks() const { return ceil_div(tiles_h, rows); }
  /// Tiles of a block, of the one that begins with row i0.
  std::int64_t tiles() const { return rows * tiles_w; }
  std::int64_t tiles(std::int64_t i0) const { return at_most(rows, tiles_h - i0) * tiles_w; }
  /// The part of the image that a block's windows cover.
  std::int64_t slab_w() const { return tiles_w * size + halo; }
  std::int64_t slab_h() const { return rows * size + halo; }
  /// Numbers from place to place, and from group to group of as many channels as a vector has elements.
  std::int64_t place(std::int64_t elements) const { return (tiles() + 1) * elements; }
  std::int64_t group(std::int64_t elements) const { return places() * place(elements); }
};

/// [group of channels][place][tile][channel of the group] of the tiles of rows from i0 on. Channels that are not there are zero.
template <class Scalar, int M, bool Halo>
void transform_channels(const ChannelTiles& t, const Scalar* planes, std::int64_t channels, std::int64_t i0, Scalar* slab,
                        Scalar* groups) {
  using V = Vector<Scalar>;
  using Side = ImageSide<M, Halo>;
  constexpr std::int64_t n = kElements<Scalar>;
  const std::int64_t rows = at_most(t.rows, t.tiles_h - i0), top = i0 * M - t.pad_h, plane = t.h * t.w, step = t.place(n);
  std::memset(slab, 0, t.slab_h() * t.slab_w() * n * sizeof(Scalar));
  // What of the image is in the slab.
  const std::int64_t first_row = at_least(top, 0), last_row = at_most(top + rows * M + t.halo, t.h);
  const std::int64_t first_column = at_least(-t.pad_w, 0), last_column = at_most(t.slab_w() - t.pad_w, t.w);
  for (std::int64_t c = 0; c < channels; c += n, planes += n * plane, groups += t.group(n)) {
    for (std::int64_t y = first_row; y < last_row; ++y) {
      const std::int64_t at = y * t.w + first_column, behind = plane - at;  // of the last channel, that may be read
      transpose<Scalar, false>({planes + at, plane, behind}, at_most(n, channels - c), last_column - first_column,
                               {slab + ((y - top) * t.slab_w() + first_column + t.pad_w) * n, n, n});
    }
    Scalar* to = groups;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < t.tiles_w; ++j, to += n) {
        const Scalar* const window = slab + (i * t.slab_w() + j) * M * n;
        transform<Scalar, V, typename Side::ToProducts>(
            [&](int a, int b) { return *reinterpret_cast<const V*>(window + (a * t.slab_w() + b) * n); },
            [&](int a, int b, V v) { *reinterpret_cast<V*>(to + (a * Side::side + b) * step) = v; });
      }
  }
}

/// Channels in pieces of whole groups, that threads may transform side by side.
struct ChannelPieces {
  static constexpr std::int64_t kMost = 4;
  std::int64_t channels, size, count;

  ChannelPieces(std::int64_t channels, std::int64_t elements)
      : channels(channels), size(ceil_div(channels, elements * kMost) * elements), count(ceil_div(channels, size)) {}
  Range operator[](std::int64_t i) const { return {i * size, at_most((i + 1) * size, channels)}; }
};

/// A kernel of single trials for what minimal filtering can do: a reason, or nullptr when it serves.
inline const char* channel_tiles_declined(const Problem& problem) {
  const auto& geo = problem.attrs_as<Conv2dGeometry>();
  if (geo.winograd != 2 && geo.winograd != 4) return "not asked for";
  if (geo.r != 3 || geo.s != 3 || geo.stride_h != 1 || geo.stride_w != 1 || geo.groups != 1) return "not 3x3 filters of stride 1";
  if (geo.pad_h > 2 || geo.pad_w > 2) return "more padding than the adjoint can take away";
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    if (!problem.in[i].dense_from(1)) return "an input is not dense from axis 1 on";
    if (problem.in[i].lanes != 1) return "an input is in packs";
  }
  return nullptr;
}

}  // namespace gi::kernels::GI_ISA
