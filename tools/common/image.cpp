#include "tools/common/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <stb/stb_image_resize.h>

#include "engine/core/error.h"
#include "tools/common/image_limits.h"

namespace gi::tools {

Image crop(const Image& image, const Rect& r) {
  const bool inside = r.height > 0 && r.width > 0 && r.top >= 0 && r.left >= 0 && r.height <= image.height &&
                      r.width <= image.width && r.top <= image.height - r.height && r.left <= image.width - r.width;
  if (!inside)
    throw UsageError(fmt::format("crop: {} x {} pixels from row {}, column {} are not inside an image of {} x {} (height x width)",
                                 r.height, r.width, r.top, r.left, image.height, image.width));
  Image out(r.height, r.width);
  for (int y = 0; y < r.height; ++y) std::copy_n(image.at(r.top + y, r.left), r.width * 3, out.at(y, 0));
  return out;
}

Image resize_and_crop(const Image& image, int height, int width, std::optional<Rect> rect) {
  if (rect) return resize_and_crop(crop(image, *rect), height, width);
  if (height < 1 || width < 1 || std::int64_t{height} * width > kMaxPixels)
    throw UsageError(fmt::format("resize: {} x {} pixels asked for, expected 1 to {} in all", height, width, kMaxPixels));
  if (image.rgb.empty()) throw UsageError("resize: the image is empty");

  const double scale = std::max(double(height) / image.height, double(width) / image.width);
  const int full_height = std::max<int>(height, std::lround(image.height * scale));
  const int full_width = std::max<int>(width, std::lround(image.width * scale));
  const int top = (full_height - height) / 2, left = (full_width - width) / 2;
  if (scale == 1) return crop(image, {.top = top, .left = left, .height = height, .width = width});

  // Only the centre of the scaled image is computed: a long thin image would make a huge one.
  Image out(height, width);
  const int done =
      stbir_resize_subpixel(image.rgb.data(), image.width, image.height, 0, out.rgb.data(), width, height, 0, STBIR_TYPE_UINT8, 3,
                            STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE,
                            STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr, static_cast<float>(full_width) / image.width,
                            static_cast<float>(full_height) / image.height, left, top);
  if (!done) throw Error("resize: out of memory");
  return out;
}

std::vector<double> to_planes(const Image& image, int channels) {
  if (channels != 1 && channels != 3) throw ShapeError(fmt::format("image: {} channels asked for, 1 or 3 expected", channels));
  const std::size_t pixels = image.rgb.size() / 3;
  std::vector<double> out(pixels * channels);
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::uint8_t* p = image.rgb.data() + 3 * i;
    if (channels == 1) out[i] = (p[0] + p[1] + p[2]) / 765.0;
    else
      for (int c = 0; c < 3; ++c) out[c * pixels + i] = p[c] / 255.0;
  }
  return out;
}

Image from_planes(std::span<const double> planes, int channels, int height, int width) {
  const bool fits = (channels == 1 || channels == 3) && height > 0 && width > 0 &&
                    planes.size() == static_cast<std::size_t>(channels) * height * width;
  if (!fits) throw ShapeError(fmt::format("image: {} values do not make [{},{},{}]", planes.size(), channels, height, width));
  Image out(height, width);
  const std::size_t pixels = out.rgb.size() / 3;
  for (std::size_t i = 0; i < pixels; ++i)
    for (int c = 0; c < 3; ++c) {
      const double v = planes[(channels == 1 ? 0 : c) * pixels + i];
      out.rgb[3 * i + c] = v > 0 ? static_cast<std::uint8_t>(std::lround(std::min(v, 1.0) * 255)) : 0;  // NaN > 0 is false
    }
  return out;
}

Image difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width)
    throw ShapeError(fmt::format("difference: images are {} x {} and {} x {}", a.height, a.width, b.height, b.width));
  Image out(a.height, a.width);
  for (std::size_t i = 0; i < out.rgb.size(); ++i) out.rgb[i] = static_cast<std::uint8_t>(std::abs(a.rgb[i] - b.rgb[i]));
  return out;
}

}  // namespace gi::tools
