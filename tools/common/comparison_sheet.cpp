#include <fmt/format.h>

#include <algorithm>

#include <stb/stb_easy_font.h>

#include "engine/core/error.h"
#include "tools/common/image.h"
#include "tools/common/image_limits.h"

namespace gi::tools {

namespace {

constexpr int kGap = 8;
constexpr int kPanelHeight = 192;
constexpr int kLineHeight = 12;  // of the font at scale 1

/// The font knows ASCII only and indexes its tables with whatever it is given.
std::string printable(std::string text) {
  text.resize(std::min<std::size_t>(text.size(), 500));
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

int text_width(const std::string& text) { return stb_easy_font_width(printable(text).data()); }

/// Black rectangles, cut at the sheet's edge.
void draw_text(Image& sheet, int top, int left, const std::string& text, int scale) {
  struct Vertex {
    float x, y, z;
    std::uint8_t colour[4];
  };
  std::string line = printable(text);
  std::vector<Vertex> corners(std::size_t{4} * 32 * (line.size() + 1));
  const int quads =
      stb_easy_font_print(0, 0, line.data(), nullptr, corners.data(), static_cast<int>(corners.size() * sizeof(Vertex)));
  for (int q = 0; q < quads; ++q) {
    const Vertex &first = corners[4 * q], &last = corners[4 * q + 2];  // opposite corners
    const int bottom = std::min(sheet.height, top + static_cast<int>(last.y) * scale);
    const int right = std::min(sheet.width, left + static_cast<int>(last.x) * scale);
    for (int y = top + static_cast<int>(first.y) * scale; y < bottom; ++y)
      for (int x = left + static_cast<int>(first.x) * scale; x < right; ++x) std::fill_n(sheet.at(y, x), 3, 0);
  }
}

void draw_enlarged(Image& sheet, int top, int left, const Image& panel, int scale) {
  for (int y = 0; y < panel.height * scale; ++y)
    for (int x = 0; x < panel.width * scale; ++x) std::copy_n(panel.at(y / scale, x / scale), 3, sheet.at(top + y, left + x));
}

}  // namespace

Image comparison_sheet(std::span<const SheetRow> rows, std::span<const std::string> columns, int scale) {
  if (rows.empty() || rows.front().panels.empty()) throw UsageError("comparison sheet: no rows or no panels");
  if (scale < 0 || scale > 1000) throw UsageError(fmt::format("comparison sheet: scale must be 0 to 1000, got {}", scale));
  const Image& first = rows.front().panels.front();
  std::size_t panels = columns.size();
  int caption_width = 0;
  for (const SheetRow& row : rows) {
    if (row.panels.empty()) throw UsageError("comparison sheet: a row has no panels");
    for (const Image& panel : row.panels)
      if (panel.rgb.empty() || panel.height != first.height || panel.width != first.width)
        throw ShapeError(
            fmt::format("comparison sheet: panels are {} x {} and {} x {}", first.height, first.width, panel.height, panel.width));
    panels = std::max(panels, row.panels.size());
    caption_width = std::max(caption_width, text_width(row.caption));
  }
  if (scale == 0) scale = std::max(1, (kPanelHeight + first.height - 1) / first.height);

  const std::int64_t panel_height = std::int64_t{first.height} * scale, panel_width = std::int64_t{first.width} * scale;
  const bool roomy = std::ranges::all_of(columns, [&](const std::string& c) { return 2 * text_width(c) <= panel_width; });
  const int column_text = roomy ? 2 : 1, row_text = 2;
  const int header = columns.empty() ? 0 : kLineHeight * column_text;
  const int caption = caption_width == 0 ? 0 : kLineHeight * row_text;
  const std::int64_t row_height = panel_height + caption + kGap;
  const std::int64_t height = kGap + header + row_height * static_cast<std::int64_t>(rows.size());
  const std::int64_t width =
      kGap + std::max<std::int64_t>((panel_width + kGap) * static_cast<std::int64_t>(panels), caption_width * row_text + kGap);
  if (height * width > kMaxPixels)
    throw UsageError(fmt::format("comparison sheet: {} x {} pixels would be more than {}", height, width, kMaxPixels));

  Image sheet(static_cast<int>(height), static_cast<int>(width), 255);
  for (std::size_t c = 0; c < columns.size(); ++c)
    draw_text(sheet, kGap, static_cast<int>(kGap + (panel_width + kGap) * c), columns[c], column_text);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int top = static_cast<int>(kGap + header + row_height * r);
    for (std::size_t c = 0; c < rows[r].panels.size(); ++c)
      draw_enlarged(sheet, top, static_cast<int>(kGap + (panel_width + kGap) * c), rows[r].panels[c], scale);
    draw_text(sheet, static_cast<int>(top + panel_height) + row_text, kGap, rows[r].caption, row_text);
  }
  return sheet;
}

}  // namespace gi::tools
