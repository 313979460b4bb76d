// Pictures in and out of the programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gi::tools {

/// 8-bit RGB; rgb[(y * width + x) * 3 + channel].
struct Image {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> rgb;

  Image() = default;
  Image(int height, int width, std::uint8_t value = 0)
      : height(height), width(width), rgb(static_cast<std::size_t>(height) * width * 3, value) {}
  std::uint8_t* at(int y, int x) { return rgb.data() + (static_cast<std::size_t>(y) * width + x) * 3; }
  const std::uint8_t* at(int y, int x) const { return rgb.data() + (static_cast<std::size_t>(y) * width + x) * 3; }
  bool operator==(const Image&) const = default;
};

/// Pixels of an image, left and top from 0.
struct Rect {
  int top = 0;
  int left = 0;
  int height = 0;
  int width = 0;
};

/// Reads a PNG, JPEG, BMP, binary PNM or the first frame of a GIF. Grey becomes RGB, 16 bits become 8, an alpha channel is dropped
/// (colours stay as stored), EXIF orientation is ignored. Errors IoError naming file and reason: none of these, damaged or cut
/// short, above 2^26 pixels or 256 MiB. Tests (of all here) tests/tools/image_test.cpp
Image load_image(const std::filesystem::path& path);

/// Writes a PNG, whole or not at all.
void save_png(const std::filesystem::path& path, const Image& image);

/// Errors UsageError: the rectangle is empty or not inside the image.
Image crop(const Image& image, const Rect& rect);

/// Scales so that the image just covers height x width and cuts out the centre, after cutting out `rect` if given. Triangle
/// filter widened by the scale (antialiased), on stored values; an image that has the right scale keeps its pixels exactly.
Image resize_and_crop(const Image& image, int height, int width, std::optional<Rect> rect = std::nullopt);

/// [C,H,W] of values in [0,1], one plane a channel: value / 255. With one channel the mean of the three.
std::vector<double> to_planes(const Image& image, int channels = 3);
/// The inverse: clamped to [0,1] and rounded; NaN becomes 0; one channel becomes grey. Errors ShapeError: lengths disagree.
Image from_planes(std::span<const double> planes, int channels, int height, int width);

/// |a - b| of every number. Errors ShapeError: sizes differ.
Image difference(const Image& a, const Image& b);

/// A row of a comparison sheet: panels of equal height side by side and a line below them, which may be empty.
struct SheetRow {
  std::vector<Image> panels;
  std::string caption;
};

/// One picture of all rows with a caption over each column, such as truth, reconstruction, difference. Panels are enlarged by a
/// whole factor without smoothing; scale 0 picks the least that shows the first panel 192 pixels high. Errors UsageError: no rows,
/// a row without panels; ShapeError: sizes differ between panels.
Image comparison_sheet(std::span<const SheetRow> rows, std::span<const std::string> columns, int scale = 0);

}  // namespace gi::tools
