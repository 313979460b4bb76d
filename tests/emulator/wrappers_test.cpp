// The instructions of kernels/common/cuda_ptx.h, emulated here and by the device itself in gi_test_device: against values worked by
// hand, and against the emulator's bits. What the emulator gets wrong about them, no other test can find without a GPU.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "tests/device/wrappers.h"
#include "tests/tested_device.h"

namespace gi::kernels::emulated {
const test::Wrappers& wrappers();
}

namespace {

using namespace gi;
using test::Wrappers;
using Words = std::vector<std::uint32_t>;

/// Wrappers, and the device whose memory they work on.
struct Side {
  const Wrappers& wrappers;
  Device& device;

  template <class T>
  DeviceMemory uploaded(const std::vector<T>& values) const {
    DeviceMemory memory(device, values.size() * sizeof(T));
    device.upload(memory.data(), reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T));
    return memory;
  }
  Words downloaded(const DeviceMemory& memory, std::size_t count) const {
    device.check();
    Words words(count);
    device.download(reinterpret_cast<std::byte*>(words.data()), memory.data(), 4 * count);
    return words;
  }
  template <class T>
  static T* as(const DeviceMemory& memory) {
    return reinterpret_cast<T*>(memory.data());
  }

  Words to_tf32(const Words& x) const {
    const DeviceMemory from = uploaded(x), to = uploaded(Words(x.size(), 0xffffffffu));
    wrappers.to_tf32(device.stream(), as<const float>(from), as<unsigned>(to), static_cast<int>(x.size()));
    return downloaded(to, x.size());
  }
  /// By what lanes hold; 128, 64 and 128 words a warp.
  Words mma(const Words& a, const Words& b, const Words& d) const {
    const DeviceMemory of_a = uploaded(a), of_b = uploaded(b), of_d = uploaded(d);
    wrappers.mma(device.stream(), as<const unsigned>(of_a), as<const unsigned>(of_b), as<float>(of_d),
                 static_cast<int>(d.size() / 128));
    return downloaded(of_d, d.size());
  }
  Words copy(int bytes, const Words& from, const std::vector<int>& there) const {
    const DeviceMemory source = uploaded(from), lengths = uploaded(there), to = uploaded(Words(from.size(), 0xffffffffu));
    wrappers.copy(device.stream(), bytes, as<const unsigned char>(source), as<const int>(lengths), as<unsigned char>(to),
                  static_cast<int>(there.size() / 96));
    return downloaded(to, from.size());
  }
};

struct Sides {
  test::TestedDevice device;
  test::EmulatedDevice host;
  Side tested{test::real_wrappers() != nullptr ? *test::real_wrappers() : kernels::emulated::wrappers(), device};
  Side emulated{kernels::emulated::wrappers(), host};
};

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
float number(std::uint32_t word) { return std::bit_cast<float>(word); }

/// The first word in which they differ, or -1. One NaN is as good as another.
std::ptrdiff_t first_difference(const Words& a, const Words& b) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    if (i >= a.size() || i >= b.size() || (a[i] != b[i] && !(std::isnan(number(a[i])) && std::isnan(number(b[i]))))) return i;
  return -1;
}

/// As lanes hold them: of a [16,8], b [8,8] and d [16,8].
Words a_of_lanes(const Words& a) {
  Words words;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) words.push_back(a[(lane / 4 + i % 2 * 8) * 8 + lane % 4 + i / 2 * 4]);
  return words;
}
Words b_of_lanes(const Words& b) {
  Words words;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 2; ++i) words.push_back(b[(lane % 4 + 4 * i) * 8 + lane / 4]);
  return words;
}
Words d_of_lanes(const Words& d) {
  Words words;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) words.push_back(d[(lane / 4 + i / 2 * 8) * 8 + 2 * (lane % 4) + i % 2]);
  return words;
}

const Words kUnit = [] {
  Words unit(64, 0);
  for (int i = 0; i < 8; ++i) unit[9 * i] = bits(1);
  return unit;
}();

}  // namespace

TEST_CASE("a difference in one bit is found, one of NaNs is none", "[checker]") {
  const Words words{bits(1), bits(NAN), bits(0)};
  CHECK(first_difference(words, {bits(1), 0x7fffffffu, bits(0)}) == -1);
  CHECK(first_difference(words, {bits(1), bits(NAN), bits(-0.0f)}) == 2);
  CHECK(first_difference(words, {bits(1) + 1, bits(NAN), bits(0)}) == 0);
  CHECK(first_difference(words, {bits(1), bits(INFINITY), bits(0)}) == 1);
  CHECK(first_difference(words, {bits(1)}) == 1);
}

TEST_CASE("to_tf32 gives what is worked by hand", "[unit][emulated][gpu]") {
  const std::pair<std::uint32_t, std::uint32_t> cases[] = {
      {0x3f800000, 0x3f800000},  // 1
      {0x3f800fff, 0x3f800000},  // just below a half
      {0x3f801000, 0x3f802000},  // a half goes away from zero
      {0x3f803000, 0x3f804000},  // so does that above an odd number
      {0xbf801000, 0xbf802000},  // and of a negative one
      {0x3fffffff, 0x40000000},  // into the next binade
      {0x00000000, 0x00000000}, {0x80000000, 0x80000000}, {0x7f800000, 0x7f800000},
      {0xff800000, 0xff800000}, {0x00001000, 0x00002000},  // denormals are rounded where they are
      {0x00000fff, 0x00000000}, {0x007ff000, 0x00800000}, {0x7f7fffff, 0x7f800000},
  };
  Words x, expected;
  for (const auto& [from, to] : cases) x.push_back(from), expected.push_back(to);
  const Sides sides;
  const Words got = sides.tested.to_tf32(x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(x[i]);
    CHECK(got[i] == expected[i]);
  }
  // What a product cuts away leaves a NaN one.
  for (std::uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xffffffffu, 0xff801fffu})
    CHECK(std::isnan(number(sides.tested.to_tf32({nan})[0] & ~0x1fffu)));
}

TEST_CASE("to_tf32 has the emulator's bits", "[emulated][gpu]") {
  std::mt19937 random(3);
  Words x;
  for (int i = 0; i < 200000; ++i) {
    const std::uint32_t word = random();
    x.push_back(word);                                                            // any
    x.push_back((word & ~0x1fffu) | (0x0fffu + random() % 3));                    // about a half
    x.push_back((word & 0x807fffffu));                                            // denormal
    x.push_back((word & 0x807fffffu) | (0x7f000000u + 0x800000u * (word & 1u)));  // the largest, infinities and NaN
  }
  const Sides sides;
  const Words got = sides.tested.to_tf32(x), expected = sides.emulated.to_tf32(x);
  const std::ptrdiff_t at = first_difference(got, expected);
  if (at >= 0) FAIL("to_tf32(" << std::hex << x[at] << ") = " << got[at] << ", the emulator has " << expected[at]);
}

TEST_CASE("a warp's product is exact where it can be, and every lane holds its part", "[unit][emulated][gpu]") {
  const Sides sides;
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    Words a(128), b(64), d(128), expected(128);
    const auto draw = [&](int most) { return static_cast<float>(static_cast<int>(random() % (2 * most + 1)) - most); };
    // Small integers; what lies below 10 bits does not count.
    for (std::uint32_t& w : a) w = bits(draw(900)) | (random() & 0xfffu);
    for (std::uint32_t& w : b) w = bits(draw(900)) | (random() & 0xfffu);
    for (std::uint32_t& w : d) w = bits(draw(100000));
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 8; ++n) {
        float sum = number(d[m * 8 + n]);
        for (int k = 0; k < 8; ++k) sum += number(a[m * 8 + k] & ~0x1fffu) * number(b[k * 8 + n] & ~0x1fffu);
        expected[m * 8 + n] = bits(sum);
      }
    CHECK(first_difference(sides.tested.mma(a_of_lanes(a), b_of_lanes(b), d_of_lanes(d)), d_of_lanes(expected)) == -1);
  }
}

TEST_CASE("a warp's product keeps denormals, infinities and NaN as the emulator does", "[emulated][gpu]") {
  const Sides sides;
  std::mt19937 random(7);
  for (const std::uint32_t above : {0x00000000u, 0x00800000u, 0x3f800000u, 0x7f000000u}) {
    Words a(128);
    for (std::uint32_t& w : a) w = (random() & 0x807fe000u) | above;
    // Times the unit matrix: sums of one number and zeros.
    CAPTURE(above);
    const Words got = sides.tested.mma(a_of_lanes(a), b_of_lanes(kUnit), Words(128, 0));
    CHECK(first_difference(got, sides.emulated.mma(a_of_lanes(a), b_of_lanes(kUnit), Words(128, 0))) == -1);
    CHECK(first_difference(got, d_of_lanes(a)) == -1);
  }
  for (const float special : {INFINITY, -INFINITY, NAN}) {
    Words a(128, bits(1)), b(64, bits(2));
    a[3 * 8 + 5] = bits(special), b[2 * 8 + 6] = bits(-special);
    const Words d(128, bits(1));
    CAPTURE(special);
    CHECK(first_difference(sides.tested.mma(a_of_lanes(a), b_of_lanes(b), d),
                           sides.emulated.mma(a_of_lanes(a), b_of_lanes(b), d)) == -1);
  }
}

// The unit may sum in any order, and align what it sums to the largest: each of nine loses less than a unit in the last place of
// it.
TEST_CASE("a warp's product of any numbers is as near as its sums allow", "[emulated][gpu]") {
  const Sides sides;
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  double worst = 0;
  int other_bits = 0;
  for (int round = 0; round < 50; ++round) {
    Words a(128), b(64), d(128);
    for (Words* words : {&a, &b})
      for (std::uint32_t& w : *words) w = bits(normal(random) * std::exp2(static_cast<float>(random() % 9) - 4)) & ~0x1fffu;
    for (std::uint32_t& w : d) w = bits(normal(random));
    const Words got = sides.tested.mma(a_of_lanes(a), b_of_lanes(b), d_of_lanes(d));
    const Words emulated = sides.emulated.mma(a_of_lanes(a), b_of_lanes(b), d_of_lanes(d));
    Words places(128);
    for (int i = 0; i < 128; ++i) places[i] = i;
    places = d_of_lanes(places);
    for (int i = 0; i < 128; ++i) {
      const auto m = places[i] / 8, n = places[i] % 8;
      double exact = number(d[m * 8 + n]), size = std::abs(exact);
      for (unsigned k = 0; k < 8; ++k) {
        const double product = static_cast<double>(number(a[m * 8 + k])) * number(b[k * 8 + n]);
        exact += product, size += std::abs(product);
      }
      const double error = std::abs(number(got[i]) - exact) / (0x1p-23 * size);
      worst = error <= worst ? worst : error;
      other_bits += got[i] != emulated[i];
    }
  }
  std::printf("mma_16x8x8_tf32: largest error %.2f units of the summands' sum, other bits than the emulator in %d of 6400\n", worst,
              other_bits);
  CHECK(worst <= 9);
}

TEST_CASE("asynchronous copies of any part of 4, 8 and 16 bytes", "[unit][emulated][gpu]") {
  const Sides sides;
  std::mt19937 random(13);
  for (const int size : {4, 8, 16}) {
    constexpr int kPieces = 5 * 96;
    Words from(kPieces * size / 4);
    for (std::uint32_t& w : from) w = random();
    std::vector<int> there(kPieces);
    for (int i = 0; i < kPieces; ++i) there[i] = i % (size + 1);
    Words expected = from;
    for (int i = 0; i < kPieces; ++i)
      std::memset(reinterpret_cast<unsigned char*>(expected.data()) + i * size + there[i], 0, size - there[i]);
    CAPTURE(size);
    CHECK(sides.tested.copy(size, from, there) == expected);
  }
}
