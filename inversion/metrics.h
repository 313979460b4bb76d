// How close a reconstruction came to the truth. Pixels are in [0,1]; an image is [C,H,W], row-major.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gi::inversion {

struct ImageSize {
  std::int64_t channels = 3;
  std::int64_t height = 0;
  std::int64_t width = 0;

  std::int64_t pixels() const { return height * width; }
  std::int64_t count() const { return channels * pixels(); }
  bool operator==(const ImageSize&) const = default;
};

/// Mean of (a - b)^2 over all elements. Errors ShapeError: unequal or zero lengths.
/// Tests (of all here) tests/inversion/metrics_test.cpp
double mse(std::span<const double> a, std::span<const double> b);

/// 10 log10(1 / mse) in dB; +inf when the images are equal, NaN when one has a NaN.
double psnr(std::span<const double> a, std::span<const double> b);
double psnr_from_mse(double mse);

/// Structural similarity, at most 1, by Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 2004, eq. 13:
///
///   ((2 ma mb + C1)(2 cab + C2)) / ((ma^2 + mb^2 + C1)(ca + cb + C2)),   C1 = 0.01^2, C2 = 0.03^2 (dynamic range 1)
///
/// with local means m and population (not sample) covariances c under an 11x11 Gaussian window of deviation 1.5, weights
/// normalised to 1; averaged over the positions where the window lies inside the image, channel by channel, then over channels.
/// No automatic downsampling. NaN when a side is below 11: no position exists.
/// Errors ShapeError: lengths other than size.count().
double ssim(std::span<const double> a, std::span<const double> b, ImageSize size);

/// PSNR of the best guess of one colour per image: each channel's mean. What a reconstruction must beat.
double constant_psnr(std::span<const double> truth, ImageSize size);

/// result[i] is the column given to row i such that the sum of cost[i][result[i]] is least; cost is [n,n], row-major.
/// Hungarian algorithm, O(n^3). A cost that is not finite counts as the largest finite one.
/// Errors ShapeError: cost.size() != n*n.
std::vector<int> assign_rows(std::span<const double> cost, int n);

/// A batch comes back in any order: result[i] is the reconstruction that belongs to truth i, by the least total MSE.
/// Both [N,C,H,W] of n images. Errors ShapeError: unequal lengths, not a multiple of n.
std::vector<int> match_images(std::span<const double> truths, std::span<const double> reconstructions, int n);

}  // namespace gi::inversion
