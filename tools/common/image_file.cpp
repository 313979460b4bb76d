// stb_image fills up what a file lacks and checks no sums; so the files are walked first.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string_view>

#include "tools/common/stb_formats.h"
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include "engine/core/error.h"
#include "models/file.h"
#include "tools/common/image.h"
#include "tools/common/image_limits.h"

namespace gi::tools {

namespace {

using Bytes = std::span<const std::uint8_t>;
constexpr std::array<std::uint8_t, 8> kPngSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::array<std::uint8_t, 3> kJpegSignature{0xff, 0xd8, 0xff};

bool starts_with(Bytes bytes, Bytes signature) {
  return bytes.size() >= signature.size() && std::ranges::equal(bytes.first(signature.size()), signature);
}

std::uint32_t big_endian(Bytes b) { return std::uint32_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3]; }

std::uint32_t crc32(Bytes bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = t[i] >> 1 ^ (t[i] & 1 ? 0xedb88320u : 0u);
    }
    return t;
  }();
  std::uint32_t crc = ~0u;
  for (std::uint8_t byte : bytes) crc = crc >> 8 ^ table[(crc ^ byte) & 255];
  return ~crc;
}

/// What is wrong with a PNG's chunks (length, type, data, sum; IEND last), or nothing.
std::string_view png_fault(Bytes bytes) {
  bytes = bytes.subspan(kPngSignature.size());
  while (bytes.size() >= 12) {
    const std::size_t length = big_endian(bytes);
    if (length > bytes.size() - 12) return "cut short";
    if (big_endian(bytes.subspan(8 + length)) != crc32(bytes.subspan(4, 4 + length))) return "damaged: a checksum is wrong";
    if (std::ranges::equal(bytes.subspan(4, 4), std::string_view("IEND"))) return {};
    bytes = bytes.subspan(12 + length);
  }
  return "cut short";
}

/// stb_image trusts the number of codes of a Huffman table, which may be up to 16 * 255, has room for 256, and reads on after the
/// segment's end.
bool huffman_tables_fit(Bytes tables) {
  while (!tables.empty()) {
    if (tables.size() < 17) return false;
    const std::size_t codes = std::accumulate(tables.begin() + 1, tables.begin() + 17, std::size_t{0});
    if (codes > 256 || 17 + codes > tables.size()) return false;
    tables = tables.subspan(17 + codes);
  }
  return true;
}

/// What is wrong with a JPEG's segments (0xff, marker, length, data, scans; an end marker last), or nothing.
std::string_view jpeg_fault(Bytes bytes) {
  std::size_t i = 2;
  while (i + 1 < bytes.size()) {
    const std::uint8_t marker = bytes[i + 1];
    const bool in_scan =
        bytes[i] != 0xff || marker == 0x00 || marker == 0xff || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    if (in_scan) {
      ++i;
      continue;
    }
    if (marker == 0xd9) return {};
    if (i + 3 >= bytes.size()) break;
    const std::size_t next = i + 2 + (bytes[i + 2] << 8 | bytes[i + 3]);
    if (next > bytes.size()) break;
    if (marker == 0xc4 && next >= i + 4 && !huffman_tables_fit(bytes.subspan(i + 4, next - i - 4)))
      return "damaged: a Huffman table is too long";
    i = next;
  }
  return "cut short";
}

/// BMP and PNM are rows of numbers behind a header: all that can be wrong with them is their length.
std::string_view bmp_fault(Bytes bytes, int width, int height) {
  const auto little_endian = [&](std::size_t at) {
    return std::uint64_t{bytes[at]} | bytes[at + 1] << 8 | bytes[at + 2] << 16 | std::uint64_t{bytes[at + 3]} << 24;
  };
  if (bytes.size() < 54) return "cut short";
  if (const std::uint64_t compression = little_endian(30); compression != 0 && compression != 3) return "is a compressed BMP";
  const std::uint64_t bits = little_endian(28) & 0xffff;
  const std::uint64_t row = (bits * static_cast<std::uint64_t>(width) + 31) / 32 * 4;
  return little_endian(10) + row * static_cast<std::uint64_t>(height) > bytes.size() ? "cut short" : "";
}

std::string_view pnm_fault(Bytes bytes, int width, int height, int channels) {
  const std::uint64_t sample = stbi_is_16_bit_from_memory(bytes.data(), static_cast<int>(bytes.size())) != 0 ? 2 : 1;
  const std::uint64_t needed = sample * static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height) * channels;
  // The header: three numbers after the magic, comments to the line's end, one white space last.
  std::size_t at = 2;
  for (int numbers = 0; numbers < 3 && at < bytes.size(); ++numbers) {
    while (at < bytes.size() && (bytes[at] < '0' || bytes[at] > '9'))
      if (bytes[at++] == '#')
        while (at < bytes.size() && bytes[at] != '\n') ++at;
    while (at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9') ++at;
  }
  return at + 1 + needed > bytes.size() ? "cut short" : "";
}

enum class Format { png, jpeg, bmp, pnm, gif, unknown };

Format format_of(Bytes bytes) {
  const auto begins = [bytes](std::string_view text) {
    return starts_with(bytes, Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  };
  if (starts_with(bytes, kPngSignature)) return Format::png;
  if (starts_with(bytes, kJpegSignature)) return Format::jpeg;
  if (begins("BM")) return Format::bmp;
  if (begins("P5") || begins("P6")) return Format::pnm;
  return begins("GIF87a") || begins("GIF89a") ? Format::gif : Format::unknown;
}

}  // namespace

Image load_image(const std::filesystem::path& path) {
  const auto fail = [&](std::string_view reason) { throw IoError(fmt::format("{}: {}", path.string(), reason)); };
  const std::vector<std::byte> file = models::read_file(path, kMaxImageFileBytes);
  const Bytes bytes(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  const Format format = format_of(bytes);
  if (format == Format::unknown) fail("is not a PNG, JPEG, BMP, GIF or binary PNM");
  std::string_view fault = format == Format::png ? png_fault(bytes) : format == Format::jpeg ? jpeg_fault(bytes) : "";
  if (!fault.empty()) fail(fault);

  int width = 0, height = 0, channels = 0;
  const int size = static_cast<int>(bytes.size());
  const auto damaged = [&] { fail(fmt::format("damaged: {}", stbi_failure_reason())); };
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height, &channels)) damaged();
  if (std::int64_t{width} * height > kMaxPixels)
    fail(fmt::format("is {} x {} pixels, at most {} in all are read", width, height, kMaxPixels));
  if (format == Format::bmp) fault = bmp_fault(bytes, width, height);
  if (format == Format::pnm) fault = pnm_fault(bytes, width, height, channels);
  if (!fault.empty()) fail(fault);
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 3),
                                                         stbi_image_free);
  if (!pixels) damaged();
  Image image(height, width);
  std::copy_n(pixels.get(), image.rgb.size(), image.rgb.begin());
  return image;
}

void save_png(const std::filesystem::path& path, const Image& image) {
  std::vector<std::byte> bytes;
  const auto append = [](void* to, void* data, int size) {
    const auto* from = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(to)->insert(static_cast<std::vector<std::byte>*>(to)->end(), from, from + size);
  };
  if (image.rgb.empty() || !stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.rgb.data(), image.width * 3))
    throw IoError(fmt::format("{}: an image of {} x {} pixels makes no PNG", path.string(), image.width, image.height));
  models::write_file_atomically(path, bytes);
}

}  // namespace gi::tools
