// The matrices of minimal filtering of 3x3 convolutions, for tiles of 2 x 2 and 4 x 4 outputs: see kernels/winograd/winograd.h.
#pragma once

#include <cstdint>

namespace gi::kernels {

/// Element (i, j) of B', side x side.
constexpr double winograd_b(std::int64_t tile, std::int64_t i, std::int64_t j) {
  constexpr double two[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
  constexpr double four[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                 {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
  return tile == 2 ? two[i][j] : four[i][j];
}
/// Element (i, j) of A', tile x side.
constexpr double winograd_a(std::int64_t tile, std::int64_t i, std::int64_t j) {
  constexpr double two[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
  constexpr double four[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
  return tile == 2 ? two[i][j] : four[i][j];
}
/// Element (i, j) of G, side x 3.
constexpr double winograd_g(std::int64_t tile, std::int64_t i, std::int64_t j) {
  constexpr double two[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  constexpr double four[6][3] = {{1.0 / 4, 0, 0},
                                 {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                 {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                 {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                 {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                 {0, 0, 1}};
  return tile == 2 ? two[i][j] : four[i][j];
}

}  // namespace gi::kernels
