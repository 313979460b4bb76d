// What the emulator makes of CUDA's rules, by values worked out by hand.
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <vector>

#include "tests/emulator/sample_kernels.h"

using namespace gi::kernels::GI_DEVICE;

namespace {

using Ints = std::vector<int>;

template <class Value>
std::vector<Value> first_numbers(std::size_t count) {
  std::vector<Value> v(count);
  std::iota(v.begin(), v.end(), Value(0));
  return v;
}

}  // namespace

TEST_CASE("every thread of every block runs once and knows its place", "[unit]") {
  in_every_order([](auto) {
    Ints out(2 * 3 * 2 * 5 * 2 * 3);
    launch({}, indices, dim3(2, 3, 2), dim3(5, 2, 3), 0, out.data());
    std::size_t i = 0;
    for (int bz = 0; bz < 2; ++bz)
      for (int by = 0; by < 3; ++by)
        for (int bx = 0; bx < 2; ++bx)
          for (int z = 0; z < 3; ++z)
            for (int y = 0; y < 2; ++y)
              for (int x = 0; x < 5; ++x) REQUIRE(out[i++] == bx * 100000 + by * 10000 + bz * 1000 + x * 100 + y * 10 + z);
  });
  // The steps of shuffled blocks leave none out, whatever their number.
  in_every_order([](auto) {
    for (unsigned blocks = 1; blocks < 40; ++blocks) {
      std::vector<int> ran(blocks);
      launch(
          {}, +[](int* count) { ++count[blockIdx.x]; }, blocks, 1, 0, ran.data());
      CHECK(ran == Ints(blocks, 1));
    }
  });
}

TEST_CASE("threads and blocks take their turns forwards, backwards and shuffled", "[unit]") {
  struct Trace {
    int order[2][64], count[2];
  };
  const auto trace = [] {
    auto t = std::make_unique<Trace>();
    launch(
        {},
        +[](Trace* t) {
          if (threadIdx.x == 0) t->order[0][atomicAdd(&t->count[0], 1)] = static_cast<int>(blockIdx.x);
          if (blockIdx.x == 0) t->order[1][atomicAdd(&t->count[1], 1)] = static_cast<int>(threadIdx.x);
        },
        64, 64, 0, t.get());
    return std::pair(Ints(t->order[0], t->order[0] + 64), Ints(t->order[1], t->order[1] + 64));
  };
  const Ints forward = first_numbers<int>(64), reverse(forward.rbegin(), forward.rend());
  in_every_order([&](gi::emu::Order order) {
    const auto [blocks, threads] = trace();
    if (order == gi::emu::Order::forward) CHECK((blocks == forward && threads == forward));
    if (order == gi::emu::Order::reverse) CHECK((blocks == reverse && threads == reverse));
    if (order == gi::emu::Order::shuffled) {
      const auto again = trace();
      CHECK((again.first == blocks && again.second == threads));
      gi::emu::config().seed = 8;
      const auto other = trace();
      CHECK((blocks != forward && threads != forward && other.first != blocks && other.second != threads));
      CHECK((Ints(blocks.begin(), blocks.end()).size() == 64 && std::set(threads.begin(), threads.end()).size() == 64));
    }
  });
}

TEST_CASE("barriers of a block and their votes", "[unit]") {
  in_every_order([](auto) {
    for (unsigned threads : {1u, 2u, 32u, 64u, 256u}) {
      Ints out(5);
      launch({}, barriers, 1, threads, 0, 5, out.data());
      CHECK(out == Ints(5, static_cast<int>(threads * (threads + 1) / 2)));
    }
    Ints votes(100);
    launch({}, block_votes, 1, 100, 0, votes.data());
    CHECK(votes == Ints(100, 34 * 10000 + 1000 + 10));  // 0, 3, ..., 99
  });
}

TEST_CASE("shuffles and votes of a warp", "[unit]") {
  in_every_order([](auto) {
    Ints out(12 * 32);
    launch({}, warp_operations, 1, 32, 0, out.data());
    for (int lane = 0; lane < 32; ++lane) {
      CAPTURE(lane);
      const int expected[12] = {
          105,
          100 + lane / 8 * 8 + (lane + 1) % 8,
          lane < 2 ? 100 + lane : 98 + lane,
          lane % 4 == 0 ? 100 + lane : 99 + lane,
          lane > 28 ? 100 + lane : 103 + lane,
          lane % 16 == 15 ? 100 + lane : 101 + lane,
          lane % 2 == 0 ? 101 + lane : 99 + lane,
          // lane ^ 6: of the segments 0-3 and 4-7, lanes of the second read the first
          lane % 8 < 4 ? 100 + lane : 100 + (lane ^ 6),
          static_cast<int>(0xaaaaaaaau),
          2,
          2,
          lane == 0 ? 31 : lane,
      };
      for (int row = 0; row < 12; ++row) {
        CAPTURE(row);
        CHECK(out[row * 32 + lane] == expected[row]);
      }
    }
    // Each round both lanes of a pair hold their sum: 2^(rounds - 1) (lane + partner).
    Ints sums(32);
    launch({}, halves, 1, 32, 0, sums.data());
    for (int lane = 0; lane < 32; ++lane) CHECK(sums[lane] == (lane / 2 * 4 + 1) * (lane < 16 ? 4 : 64));
    // A warp that is not whole: lanes that are there.
    unsigned ballot = 0;
    launch(
        {},
        +[](unsigned* out) {
          const unsigned b = __ballot_sync(0xffffffffu, 1);
          if (threadIdx.x == 0) *out = b;
        },
        1, 20, 0, &ballot);
    CHECK(ballot == 0xfffffu);
  });
}

TEST_CASE("atomics", "[unit]") {
  in_every_order([](auto) {
    int sum = 0, least = 0, taken = 0;
    unsigned most = 0, bits = 0;
    unsigned long long wide = 0;
    launch({}, atomics, 3, 100, 0, &sum, &most, &least, &wide, &bits, &taken);
    CHECK(sum == 3 * 4950);
    CHECK(most == 99);
    CHECK(least == -99);
    CHECK(wide == 300ull << 32);
    CHECK(bits == 0xff);
    CHECK(taken == 11);
  });
}

TEST_CASE("static and dynamic shared memory", "[unit]") {
  in_every_order([](auto) {
    const auto check = [](auto zero) {
      using Scalar = decltype(zero);
      const auto x = first_numbers<Scalar>(64);
      std::vector<Scalar> y(3 * 64, -1);
      launch({}, through_shared<Scalar>, 3, 64, 64 * sizeof(Scalar), x.data(), y.data());
      for (int b = 0; b < 3; ++b)
        for (int i = 0; i < 64; ++i) CHECK(y[b * 64 + i] == static_cast<Scalar>(63 - i + b));
    };
    check(float{});
    check(double{});
  });
  bool aligned = false;
  launch(
      {},
      +[](bool* out) {
        GI_DYNAMIC_SHARED(unsigned char, bytes);
        *out = reinterpret_cast<std::uintptr_t>(bytes) % 128 == 0;
      },
      1, 1, 16, &aligned);
  CHECK(aligned);
}

TEST_CASE("asynchronous copies land at their waits, zeros behind what is there", "[unit]") {
  in_every_order([](auto) {
    for (int stages : {1, 2, 5}) {
      std::vector<float> x = first_numbers<float>(stages * 64 - 3), y(stages * 64, -1);
      launch({}, staged_copy, 1, 16, 0, x.data(), y.data(), stages);
      x.resize(stages * 64, 0);
      CHECK(y == x);
    }
  });
}

TEST_CASE("to_tf32 rounds to 10 bits, halves away from zero", "[unit]") {
  const float unit = 0x1p-10f;  // of 1
  CHECK(from_tf32(to_tf32(1 + 0.49f * unit)) == 1);
  CHECK(from_tf32(to_tf32(1 + 0.5f * unit)) == 1 + unit);
  CHECK(from_tf32(to_tf32(1 + 1.49f * unit)) == 1 + unit);
  CHECK(from_tf32(to_tf32(1 + 1.5f * unit)) == 1 + 2 * unit);
  CHECK(from_tf32(to_tf32(-1 - 0.5f * unit)) == -1 - unit);
  CHECK(from_tf32(to_tf32(2 - 0.25f * unit)) == 2);
  CHECK(from_tf32(to_tf32(0.0f)) == 0);
  CHECK(std::signbit(from_tf32(to_tf32(-0.0f))));
  CHECK(from_tf32(to_tf32(INFINITY)) == INFINITY);
  CHECK(from_tf32(to_tf32(-INFINITY)) == -INFINITY);
  CHECK(std::isnan(from_tf32(to_tf32(NAN))));
  CHECK(std::isnan(from_tf32(to_tf32(__uint_as_float(0x7f800001u)))));
}

TEST_CASE("matrix product of a warp against a triple loop", "[unit]") {
  in_every_order([](auto) {
    std::vector<float> a(16 * 8), b(8 * 8), d(16 * 8);
    // Small integers are exact; a part below 10 bits must not count.
    for (int i = 0; i < 128; ++i) a[i] = static_cast<float>(i * 7 % 23 - 11) * (1 + 0x1p-12f), d[i] = static_cast<float>(i % 5);
    for (int i = 0; i < 64; ++i) b[i] = static_cast<float>(i * 5 % 17 - 8);
    std::vector<float> expected = d;
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 8; ++n)
        for (int k = 0; k < 8; ++k) expected[m * 8 + n] += static_cast<float>((m * 8 + k) * 7 % 23 - 11) * b[k * 8 + n];
    launch({}, matrix_product, 1, 32, 0, a.data(), b.data(), d.data());
    CHECK(d == expected);
  });
}

TEST_CASE("sums over a block", "[unit]") {
  in_every_order([](auto) {
    for (unsigned threads : {32u, 96u, 1024u}) {
      const auto x = first_numbers<double>(2 * threads);
      std::vector<double> y(2 * threads);
      launch({}, block_sum, 2, threads, 0, x.data(), y.data());
      for (unsigned i = 0; i < 2 * threads; ++i) {
        const double n = threads, first = i < threads ? 0 : n * n;
        CHECK(y[i] == first + n * (n - 1) / 2);
      }
    }
  });
}
