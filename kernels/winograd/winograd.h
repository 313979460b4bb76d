// Minimal filtering of 3x3 convolutions of stride 1 (Winograd 1980; Lavin and Gray 2016). An image is cut into tiles of
// `tile` x `tile` outputs, each of which needs a window of side = tile + 2 inputs. With the matrices of common/winograd_matrices.h,
// d a window, f a filter,
//
//   outputs of a tile = A' ((G f G') * (B' d B)) A,   * element by element,
//
// so that a convolution becomes side^2 products of matrices, channels by channels times channels by tiles. Each transform is an
// op of its own, and so is its adjoint:
//
//   winograd_input(x)         [T,N,C,H,W] -> [T,side^2,C,columns]   B' d B
//   winograd_input_grad(q)    its adjoint: windows overlap and are summed
//   winograd_filter(w)        [T,K,C,3,3] -> [T,side^2,K,C]         G f G'
//   winograd_filter_grad(u)   its adjoint
//   winograd_output(m)        [T,side^2,K,columns] -> [T,N,K,P,Q]   A' m A
//   winograd_output_grad(g)   its adjoint
//
//   conv2d(x, w)             = winograd_output(matmul(winograd_filter(w), winograd_input(x)))
//   conv2d_grad_input(g, w)  = winograd_input_grad(matmul(winograd_filter(w)', winograd_output_grad(g)))
//   conv2d_grad_weight(x, g) = winograd_filter_grad(matmul(winograd_output_grad(g), winograd_input(x)'))
//
// Or a kernel does all of it within one convolution: with trials in the lanes conv2d_winograd_cpu.cpp, with channels
// conv2d_channels_winograd_cpu.cpp and conv2d_correlate_winograd_cpu.cpp, which share no transforms and write none to memory.
//
// Tile (i, j) of image n is column (n * tiles_h + i) * tiles_w + j; what `columns` has beyond the tiles is zero.
#pragma once

#include <cstdint>

namespace gi::kernels {

struct WinogradGeometry {
  std::int64_t tile = 4;                                          ///< 2 or 4
  std::int64_t n = 1;                                             ///< images
  std::int64_t h = 1, w = 1, p = 1, q = 1, pad_h = 0, pad_w = 0;  ///< of the convolution
  std::int64_t columns = 1;                                       ///< at least tiles()

  constexpr std::int64_t side() const { return tile + 2; }
  constexpr std::int64_t tiles_h() const { return (p + tile - 1) / tile; }
  constexpr std::int64_t tiles_w() const { return (q + tile - 1) / tile; }
  constexpr std::int64_t tiles() const { return n * tiles_h() * tiles_w(); }
};

/// Attributes of the filter's transforms.
struct WinogradFilter {
  std::int64_t tile = 4;
  constexpr std::int64_t side() const { return tile + 2; }
};

}  // namespace gi::kernels
