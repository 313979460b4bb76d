#include "tools/common/image.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include "engine/core/error.h"
#include "models/file.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::tools;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, std::string_view bytes) {
  fs::remove(path);  // some file systems flush a file that is cut to nothing and written again, which takes milliseconds
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string content(const fs::path& path) {
  const auto bytes = models::read_file(path, 1 << 24);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void append(void* to, void* data, int size) { static_cast<std::string*>(to)->append(static_cast<const char*>(data), size); }

std::string png_of(int height, int width, int channels, const std::vector<std::uint8_t>& pixels) {
  std::string out;
  REQUIRE(stbi_write_png_to_func(append, &out, width, height, channels, pixels.data(), width * channels));
  return out;
}

std::string jpeg_of(const Image& image) {
  std::string out;
  REQUIRE(stbi_write_jpg_to_func(append, &out, image.width, image.height, 3, image.rgb.data(), 95));
  return out;
}

/// Every pixel another colour.
Image pattern(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.at(y, x)[0] = static_cast<std::uint8_t>(3 * y);
      image.at(y, x)[1] = static_cast<std::uint8_t>(5 * x);
      image.at(y, x)[2] = static_cast<std::uint8_t>(y + 2 * x + 7);
    }
  return image;
}

std::string error_of(const fs::path& path) {
  try {
    load_image(path);
  } catch (const IoError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a PNG keeps every pixel and its orientation", "[unit]") {
  const test::TemporaryFolder folder;
  const Image image = pattern(5, 9);
  save_png(folder / "a.png", image);
  const Image got = load_image(folder / "a.png");
  CHECK(got == image);
  CHECK(got.height == 5);
  CHECK(got.at(4, 1)[0] == 12);
  CHECK(got.at(1, 8)[1] == 40);
  CHECK_THROWS_AS(save_png(folder / "b.png", Image()), IoError);
  CHECK_THROWS_AS(save_png(folder / "none" / "b.png", image), IoError);
}

TEST_CASE("grey becomes RGB and alpha is dropped", "[unit]") {
  const test::TemporaryFolder folder;
  put(folder / "grey.png", png_of(1, 2, 1, {10, 200}));
  CHECK(load_image(folder / "grey.png").rgb == std::vector<std::uint8_t>{10, 10, 10, 200, 200, 200});
  put(folder / "alpha.png", png_of(1, 2, 4, {1, 2, 3, 0, 4, 5, 6, 128}));
  CHECK(load_image(folder / "alpha.png").rgb == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("a JPEG is read", "[unit]") {
  const test::TemporaryFolder folder;
  Image image(24, 40, 90);
  for (int y = 0; y < 24; ++y)
    for (int x = 20; x < 40; ++x) image.at(y, x)[0] = 200;
  put(folder / "a.jpg", jpeg_of(image));
  const Image got = load_image(folder / "a.jpg");
  REQUIRE(got.rgb.size() == image.rgb.size());
  CHECK(got.width == 40);
  CHECK(std::abs(got.at(12, 4)[0] - 90) <= 3);
  CHECK(std::abs(got.at(12, 36)[0] - 200) <= 3);
}

TEST_CASE("a BMP and a PNM are read, and refused when cut short", "[unit]") {
  const test::TemporaryFolder folder;
  const Image image = pattern(5, 7);
  std::string pnm = "P6\n7 5\n255\n";
  pnm.append(reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size());
  std::string bmp;
  stbi_write_bmp_to_func([](void* to, void* data, int n) { static_cast<std::string*>(to)->append(static_cast<char*>(data), n); },
                         &bmp, 7, 5, 3, image.rgb.data());
  for (const std::string& bytes : {pnm, bmp}) {
    put(folder / "p", bytes);
    CHECK(load_image(folder / "p") == image);
    put(folder / "p", bytes.substr(0, bytes.size() - 1));
    CHECK_THAT(error_of(folder / "p"), Contains("cut short"));
  }
}

TEST_CASE("broken pictures are refused by name", "[unit]") {
  const test::TemporaryFolder folder;
  const std::string png = png_of(20, 30, 3, pattern(20, 30).rgb), jpeg = jpeg_of(pattern(20, 30));
  const auto message = [&](std::string_view bytes) {
    put(folder / "p.png", bytes);
    return error_of(folder / "p.png");
  };
  CHECK(message(png) == "no error");
  CHECK(message(jpeg) == "no error");
  CHECK(message(jpeg + "trailing") == "no error");
  CHECK_THAT(message("just a text"), Contains("p.png: is not a PNG, JPEG"));
  CHECK_THAT(message(""), Contains("is not a PNG"));
  CHECK_THAT(message("GIF89a....."), Contains("at most"));
  CHECK_THAT(message(png.substr(0, 8)), Contains("cut short"));
  CHECK_THAT(error_of(folder.path()), Contains("is a folder"));
  CHECK_THAT(error_of(folder / "missing.png"), Contains("missing.png") && Contains("No such file"));

  // Cut anywhere, a file is an error: stb_image alone accepts many of these.
  for (std::size_t n = 0; n < png.size(); ++n)
    if (message(png.substr(0, n)) == "no error") FAIL("PNG cut to " << n << " of " << png.size() << " bytes was read");
  for (std::size_t n = 0; n < jpeg.size(); ++n)
    if (message(jpeg.substr(0, n)) == "no error") FAIL("JPEG cut to " << n << " of " << jpeg.size() << " bytes was read");
  // So is a PNG with any one byte changed.
  for (std::size_t n = 0; n < png.size(); ++n) {
    std::string bad = png;
    bad[n] = static_cast<char>(bad[n] ^ 0x11);
    if (message(bad) == "no error") FAIL("PNG with byte " << n << " changed was read");
  }
}

TEST_CASE("a JPEG whose Huffman tables are too long is refused before it is decoded", "[unit]") {
  const test::TemporaryFolder folder;
  const std::string good = jpeg_of(pattern(20, 30));
  const std::size_t table = good.find("\xff\xc4");  // marker, 2 bytes of length, class, 16 counts, codes
  REQUIRE(table != std::string::npos);
  std::string more = good, shorter = good;
  for (int i = 5; i < 21; ++i) more[table + i] = '\xff';
  put(folder / "more.jpg", more);
  CHECK_THAT(error_of(folder / "more.jpg"), Contains("a Huffman table is too long"));
  shorter[table + 2] = 0, shorter[table + 3] = 10;
  put(folder / "shorter.jpg", shorter);
  CHECK_THAT(error_of(folder / "shorter.jpg"), Contains("a Huffman table is too long"));
}

TEST_CASE("a picture that promises too many pixels is refused before it is unpacked", "[unit]") {
  const test::TemporaryFolder folder;
  // SOI; a frame header of 16000 x 16000 pixels, three components without subsampling; EOI.
  const unsigned char bytes[] = {0xff, 0xd8, 0xff, 0xc0, 0,    17, 8, 0x3e, 0x80, 0x3e, 0x80, 3,
                                 1,    0x11, 0,    2,    0x11, 0,  3, 0x11, 0,    0xff, 0xd9};
  put(folder / "huge.jpg", {reinterpret_cast<const char*>(bytes), sizeof bytes});
  CHECK_THAT(error_of(folder / "huge.jpg"), Contains("huge.jpg: is 16000 x 16000 pixels"));
}

TEST_CASE("resizing: what must stay exactly as it is", "[unit]") {
  const Image image = pattern(33, 40);
  CHECK(resize_and_crop(image, 33, 40) == image);
  // The right scale already: only the centre is cut out.
  CHECK(resize_and_crop(image, 33, 31) == crop(image, {.top = 0, .left = 4, .height = 33, .width = 31}));
  CHECK(resize_and_crop(image, 20, 30, Rect{.top = 3, .left = 5, .height = 20, .width = 30}) == crop(image, {3, 5, 20, 30}));
  for (const auto& [h, w] : {std::pair(16, 16), {33, 7}, {100, 90}, {1, 1}, {224, 224}}) {
    INFO(h << " x " << w);
    CHECK(resize_and_crop(Image(33, 40, 137), h, w) == Image(h, w, 137));
  }
  CHECK(resize_and_crop(Image(1, 20'000, 9), 224, 224) == Image(224, 224, 9));  // the scaled image would have a gigapixel
}

TEST_CASE("resizing by half is the triangle filter", "[unit]") {
  // Output 0 is centred at 1 with a reach of 2: weights 1/8 3/8 3/8 1/8 for pixels -1 0 1 2, where -1 repeats pixel 0.
  // Output 1 is its mirror image.
  Image image(4, 4);
  const int row[4] = {16, 80, 240, 160};
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x) {
      std::fill_n(image.at(y, x), 3, static_cast<std::uint8_t>(row[x]));
      image.at(y, x)[2] = static_cast<std::uint8_t>(row[y]);
    }
  const Image half = resize_and_crop(image, 2, 2);
  const int left = (4 * 16 + 3 * 80 + 240) / 8, right = (80 + 3 * 240 + 4 * 160) / 8;
  CHECK(int(half.at(0, 0)[0]) == left);
  CHECK(int(half.at(1, 1)[0]) == right);
  CHECK(int(half.at(0, 1)[2]) == left);
  CHECK(int(half.at(1, 0)[2]) == right);
}

TEST_CASE("resizing keeps the orientation and the centre", "[unit]") {
  Image image(60, 90);  // a third of white in the middle
  for (int y = 0; y < 60; ++y)
    for (int x = 30; x < 60; ++x) std::fill_n(image.at(y, x), 3, 255);
  for (int x = 0; x < 90; ++x) image.at(2, x)[1] = 255;
  const Image got = resize_and_crop(image, 20, 20);  // scaled to 20 x 30, columns 5 to 24
  CHECK(got.at(10, 10)[0] == 255);
  CHECK(got.at(10, 2)[0] == 0);
  CHECK(got.at(10, 17)[0] == 0);
  for (int x = 0; x < 10; ++x) CHECK(got.at(10, x)[0] == got.at(10, 19 - x)[0]);
  CHECK(got.at(0, 0)[1] > 0);
  CHECK(got.at(19, 0)[1] == 0);
}

TEST_CASE("rectangles and sizes out of range are refused", "[unit]") {
  const Image image = pattern(4, 6);
  CHECK(crop(image, {1, 2, 3, 4}).at(2, 3)[1] == image.at(3, 5)[1]);
  for (const Rect bad :
       {Rect{0, 0, 5, 1}, Rect{0, 0, 1, 7}, Rect{-1, 0, 1, 1}, Rect{4, 0, 1, 1}, Rect{0, 0, 0, 1}, Rect{INT32_MAX, 0, 2, 1}})
    CHECK_THROWS_AS(crop(image, bad), UsageError);
  CHECK_THROWS_AS(resize_and_crop(image, 0, 3), UsageError);
  CHECK_THROWS_AS(resize_and_crop(image, 100'000, 100'000), UsageError);
}

TEST_CASE("pixels to numbers and back", "[unit]") {
  const Image image = pattern(6, 7);
  const std::vector<double> planes = to_planes(image);
  CHECK(planes.size() == 126);
  CHECK(planes[42 + 1 * 7 + 3] == 15 / 255.0);  // green of row 1, column 3
  CHECK(from_planes(planes, 3, 6, 7) == image);
  CHECK(to_planes(Image(1, 1, 77), 1) == std::vector<double>{77 / 255.0});
  CHECK(from_planes(std::vector<double>{-1, NAN, 0.5, 2, 254.49 / 255, INFINITY}, 1, 1, 6).rgb ==
        std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 128, 128, 128, 255, 255, 255, 254, 254, 254, 255, 255, 255});
  CHECK_THROWS_AS(from_planes(planes, 3, 6, 8), ShapeError);
  CHECK_THROWS_AS(to_planes(image, 2), ShapeError);
  CHECK(int(difference(Image(1, 1, 200), Image(1, 1, 250)).rgb[0]) == 50);
  CHECK_THROWS_AS(difference(image, Image(6, 6)), ShapeError);
}

TEST_CASE("a comparison sheet shows every panel enlarged, with captions", "[unit]") {
  const Image truth = pattern(32, 32), guess(32, 32, 128);
  const std::vector<std::string> columns{"truth", "reconstruction", "difference"};
  const std::vector<SheetRow> rows{{{truth, guess, difference(truth, guess)}, "24.76 dB, caf\xc3\xa9"}, {{truth, truth}, ""}};
  const Image sheet = comparison_sheet(rows, columns);
  CHECK(sheet.width == 8 + 3 * (192 + 8));
  CHECK(sheet.height == 8 + 24 + 2 * (192 + 24 + 8));

  const int top = 8 + 24, second = 8 + 192 + 8;
  int wrong = 0;
  for (int y = 0; y < 192; ++y)
    for (int x = 0; x < 192; ++x) {
      wrong += !std::equal(sheet.at(top + y, 8 + x), sheet.at(top + y, 8 + x) + 3, truth.at(y / 6, x / 6));
      wrong += sheet.at(top + y, second + x)[1] != 128;
    }
  CHECK(wrong == 0);
  const auto ink = [&](int y0, int y1, int x0, int x1) {
    int n = 0;
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x) n += sheet.at(y, x)[0] == 0;
    return n;
  };
  for (int c = 0; c < 3; ++c) CHECK(ink(8, top, 8 + 200 * c, 200 + 200 * c) > 50);
  CHECK(ink(top + 192, top + 192 + 24, 8, 300) > 50);
  CHECK(ink(sheet.height - 32, sheet.height, 0, sheet.width) == 0);
  CHECK(int(sheet.at(top, second + 200)[0]) == 128);  // |0 - 128|

  CHECK(comparison_sheet(rows, columns, 1).height == 8 + 12 + 2 * (32 + 24 + 8));
  CHECK_THROWS_AS(comparison_sheet({}, columns), UsageError);
  CHECK_THROWS_AS(comparison_sheet(rows, columns, 1001), UsageError);
  CHECK_THROWS_AS(comparison_sheet(std::vector<SheetRow>{{{truth, Image(32, 31)}, ""}}, columns), ShapeError);
}

TEST_CASE("pictures of the shared data are what they should be", "[data]") {
  const auto png = test::data_file("cifar10/test100/0000_cat.png");
  const auto bin = test::data_file("cifar10/bin/test_00.bin");
  if (!png || !bin) return;
  const std::string record = content(*bin).substr(1, 3072);
  std::vector<double> planes;
  for (unsigned char byte : record) planes.push_back(byte / 255.0);
  CHECK(to_planes(load_image(*png)) == planes);
}
