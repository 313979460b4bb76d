#include "inversion/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/error.h"

namespace gi::inversion {

namespace {

constexpr int kTaps = 11;
constexpr double kSigma = 1.5;
constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

std::array<double, kTaps> gaussian_taps() {
  std::array<double, kTaps> taps{};
  double sum = 0;
  for (int i = 0; i < kTaps; ++i) {
    const double d = i - kTaps / 2;
    sum += taps[i] = std::exp(-d * d / (2 * kSigma * kSigma));
  }
  for (double& t : taps) t /= sum;
  return taps;
}

/// Local weighted means of a(i) over [H,W] at the positions where the window lies inside: [H-10, W-10].
template <class Pixel>
std::vector<double> local_means(Pixel a, std::int64_t height, std::int64_t width) {
  static const std::array<double, kTaps> taps = gaussian_taps();
  const std::int64_t rows = height - kTaps + 1, columns = width - kTaps + 1;
  std::vector<double> across(height * columns), out(rows * columns);
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < columns; ++x)
      for (int k = 0; k < kTaps; ++k) across[y * columns + x] += taps[k] * a(y * width + x + k);
  for (std::int64_t y = 0; y < rows; ++y)
    for (int k = 0; k < kTaps; ++k)
      for (std::int64_t x = 0; x < columns; ++x) out[y * columns + x] += taps[k] * across[(y + k) * columns + x];
  return out;
}

double ssim_of_plane(std::span<const double> a, std::span<const double> b, std::int64_t height, std::int64_t width) {
  const auto mean = [&](auto pixel) { return local_means(pixel, height, width); };
  const auto ma = mean([&](std::int64_t i) { return a[i]; });
  const auto mb = mean([&](std::int64_t i) { return b[i]; });
  const auto maa = mean([&](std::int64_t i) { return a[i] * a[i]; });
  const auto mbb = mean([&](std::int64_t i) { return b[i] * b[i]; });
  const auto mab = mean([&](std::int64_t i) { return a[i] * b[i]; });
  double sum = 0;
  for (std::size_t i = 0; i < ma.size(); ++i) {
    const double caa = maa[i] - ma[i] * ma[i], cbb = mbb[i] - mb[i] * mb[i], cab = mab[i] - ma[i] * mb[i];
    sum += (2 * ma[i] * mb[i] + kC1) * (2 * cab + kC2) / ((ma[i] * ma[i] + mb[i] * mb[i] + kC1) * (caa + cbb + kC2));
  }
  return sum / static_cast<double>(ma.size());
}

void require_length(const char* what, std::size_t length, std::int64_t expected) {
  if (expected <= 0 || length != static_cast<std::size_t>(expected))
    throw ShapeError(fmt::format("{}: {} values given, {} expected", what, length, expected));
}

}  // namespace

double mse(std::span<const double> a, std::span<const double> b) {
  if (a.empty()) throw ShapeError("mse: no values given");
  require_length("mse", b.size(), static_cast<std::int64_t>(a.size()));
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

double psnr_from_mse(double mse) { return -10 * std::log10(mse); }
double psnr(std::span<const double> a, std::span<const double> b) { return psnr_from_mse(mse(a, b)); }

double ssim(std::span<const double> a, std::span<const double> b, ImageSize size) {
  require_length("ssim", a.size(), size.count());
  require_length("ssim", b.size(), size.count());
  if (std::min(size.height, size.width) < kTaps) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (std::int64_t c = 0; c < size.channels; ++c)
    sum += ssim_of_plane(a.subspan(c * size.pixels(), size.pixels()), b.subspan(c * size.pixels(), size.pixels()), size.height,
                         size.width);
  return sum / static_cast<double>(size.channels);
}

double constant_psnr(std::span<const double> truth, ImageSize size) {
  require_length("constant_psnr", truth.size(), size.count());
  std::vector<double> guess(truth.size());
  for (std::int64_t c = 0; c < size.channels; ++c) {
    const auto plane = truth.subspan(c * size.pixels(), size.pixels());
    double sum = 0;
    for (double v : plane) sum += v;
    std::fill_n(guess.begin() + c * size.pixels(), size.pixels(), sum / static_cast<double>(size.pixels()));
  }
  return psnr(truth, guess);
}

// Kuhn's method with potentials: rows enter one at a time along a shortest augmenting path of reduced costs
// cost[i][j] - u[i] - v[j] >= 0. Index 0 stands for "none"; rows and columns count from 1.
std::vector<int> assign_rows(std::span<const double> cost, int n) {
  if (n < 0 || cost.size() != static_cast<std::size_t>(n) * n)
    throw ShapeError(fmt::format("assign_rows: {} costs given for {} rows and columns", cost.size(), n));
  double worst = -std::numeric_limits<double>::infinity();
  for (double c : cost)
    if (std::isfinite(c)) worst = std::max(worst, c);
  if (!std::isfinite(worst)) worst = 0;
  const auto at = [&](int row, int column) {
    const double c = cost[static_cast<std::size_t>(row - 1) * n + column - 1];
    return std::isfinite(c) ? c : worst;
  };

  std::vector<double> u(n + 1), v(n + 1);
  std::vector<int> row_of(n + 1);  // of a column
  for (int row = 1; row <= n; ++row) {
    std::vector<double> slack(n + 1, std::numeric_limits<double>::infinity());
    std::vector<int> previous(n + 1);
    std::vector<char> reached(n + 1);
    int column = 0;
    row_of[0] = row;
    while (row_of[column] != 0) {
      reached[column] = 1;
      const int from = row_of[column];
      int next = 0;
      for (int j = 1; j <= n; ++j) {
        if (reached[j]) continue;
        if (const double reduced = at(from, j) - u[from] - v[j]; reduced < slack[j]) slack[j] = reduced, previous[j] = column;
        if (next == 0 || slack[j] < slack[next]) next = j;
      }
      const double delta = slack[next];
      for (int j = 0; j <= n; ++j) {
        if (reached[j]) u[row_of[j]] += delta, v[j] -= delta;
        else slack[j] -= delta;
      }
      column = next;
    }
    for (; column != 0; column = previous[column]) row_of[column] = row_of[previous[column]];
  }

  std::vector<int> column_of(n);
  for (int j = 1; j <= n; ++j) column_of[row_of[j] - 1] = j - 1;
  return column_of;
}

std::vector<int> match_images(std::span<const double> truths, std::span<const double> reconstructions, int n) {
  if (n < 1 || truths.empty() || truths.size() != reconstructions.size() || truths.size() % n != 0)
    throw ShapeError(
        fmt::format("match_images: {} and {} values do not make {} images each", truths.size(), reconstructions.size(), n));
  const std::size_t size = truths.size() / n;
  std::vector<double> cost;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) cost.push_back(mse(truths.subspan(i * size, size), reconstructions.subspan(j * size, size)));
  return assign_rows(cost, n);
}

}  // namespace gi::inversion
