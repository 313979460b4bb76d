// The machine's ceilings: the formula by hand, and that what is measured can be.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/api/ceilings.h"
#include "kernels/common/ceiling_loops.h"
#include "kernels/matmul/matmul.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;

namespace {

Ceilings by_hand() { return {.gflops = {100, 50}, .cache_bytes = {1000, 10000, 100000}, .read_gbs = {400, 100, 50, 10}}; }

/// Other tests run beside this one: the highest of what several measurements saw, `work` in between.
template <class Work>
Ceilings highest(Isa isa, const Work& work) {
  Ceilings c = measure_ceilings(isa);
  for (int i = 0; i < 2; ++i) {
    work();
    const Ceilings again = measure_ceilings(isa);
    for (int k = 0; k < 2; ++k) c.gflops[k] = std::max(c.gflops[k], again.gflops[k]);
    for (int k = 0; k < 4; ++k) c.read_gbs[k] = std::max(c.read_gbs[k], again.read_gbs[k]);
  }
  return c;
}
Ceilings highest(Isa isa) {
  return highest(isa, [] {});
}

/// What the threads of a device's loop have after `rounds` of it.
template <class Scalar>
std::vector<Scalar> after(const char* loop, std::int64_t rounds, const std::vector<float>& from = {}) {
  std::vector<Scalar> result(2 * kCeilingBlock);
  const DType dtype = sizeof(Scalar) == 4 ? DType::f32 : DType::f64;
  const auto row = [](std::size_t numbers, DType type) {
    const auto n = static_cast<std::int64_t>(numbers);
    return Layout{2, {1, n}, {n, 1}, 1, type};
  };
  const CeilingRounds attrs{rounds};
  const ConstView in[1] = {{row(from.size(), DType::f32), from.data()}};
  const View out[1] = {{row(result.size(), dtype), result.data()}};
  bool found = false;
  for (const Kernel& k : parity::kernels_of(kCeilingOp, Isa::cuda, dtype, 1))
    if (std::string_view(k.name) == loop) {
      found = true;
      CHECK(k.on_request);
      k.run({{&attrs, in, out}});
    }
  REQUIRE(found);
  return result;
}

}  // namespace

TEST_CASE("ceilings: the least time is that of the arithmetic or of the nearest memory that holds the bytes", "[unit]") {
  const Ceilings c = by_hand();
  CHECK(level_of(c, 1000) == Level::l1);
  CHECK(level_of(c, 1001) == Level::l2);
  CHECK(level_of(c, 100000) == Level::l3);
  CHECK(level_of(c, 100001) == Level::memory);
  CHECK(least_seconds(c, 1e9, DType::f32, 1000) == Approx(0.01));
  CHECK(least_seconds(c, 1e9, DType::f64, 1000) == Approx(0.02));
  CHECK(least_seconds(c, 0, DType::f32, 800) == Approx(2e-9));
  CHECK(least_seconds(c, 1, DType::f32, 10000) == Approx(1e-7));
  CHECK(least_seconds(c, 1, DType::f32, 50000) == Approx(1e-6));
  CHECK(least_seconds(c, 1, DType::f32, 1e6) == Approx(1e-4));
}

TEST_CASE("ceilings: a cache the system does not report is passed over", "[unit]") {
  Ceilings c = by_hand();
  c.cache_bytes[1] = 0;
  c.read_gbs[1] = 0;
  CHECK(level_of(c, 1001) == Level::l3);
  c.cache_bytes = {};
  c.read_gbs = {0, 0, 0, 10};
  CHECK(level_of(c, 1) == Level::memory);
  CHECK(least_seconds(c, 0, DType::f32, 10) == Approx(1e-9));
}

TEST_CASE("ceilings: a device's peak is that of the units a kernel uses", "[unit]") {
  Ceilings c = by_hand();
  const auto seconds = [&](const char* name, DType dtype) {
    return least_seconds(c, 1e9, Kernel{"matmul", name, Isa::cuda, dtype, 1, nullptr, nullptr, nullptr}, 0);
  };
  c.tensor_gflops = 900;
  CHECK(seconds("cuda_tiles", DType::f32) == Approx(1e-2));
  CHECK(seconds("cublas", DType::f32) == Approx(1e-2));
  CHECK(seconds("cuda_tensor", DType::f32) == Approx(1.0 / 300));
  CHECK(seconds("cuda_3xtf32", DType::f32) == Approx(1.0 / 300));
  CHECK(seconds("cuda_tensor_tf32", DType::f32) == Approx(1.0 / 900));
  CHECK(seconds("cuda_tensor", DType::f64) == Approx(2e-2));
  CHECK(least_seconds(c, 1e9, DType::f32, 0) == Approx(1.0 / 300));
  CHECK(least_seconds(c, 1e9, DType::f64, 0) == Approx(2e-2));
  c.tensor_gflops = 150;  // a device whose tensor cores are not worth three products
  CHECK(seconds("cuda_tensor", DType::f32) == Approx(1e-2));
  CHECK(least_seconds(c, 1e9, DType::f32, 0) == Approx(1e-2));
}

TEST_CASE("ceilings: a product of three of bf16 takes three of a processor's", "[unit]") {
  Ceilings c = by_hand();
  c.bf16_gflops = 3000;
  const Kernel kernel{"conv2d", "amx_bf16x3", Isa::avx512, DType::f32, 1, nullptr, nullptr, nullptr};
  CHECK(least_seconds(c, 1e9, kernel, 0) == Approx(1e-3));
  CHECK(least_seconds(c, 1e9, DType::f32, 0) == Approx(1e-2));
}

TEST_CASE("ceilings: a device's loops do all that is counted", "[emulated]") {
  // x -> 0.75 x + 0.25 draws every number to 1 by a quarter of the way; eight of them begin at 0, 0.25, ... 1.75.
  for (const double got : after<double>("cuda_multiply_add", 3)) {
    const int steps = 3 * kCeilingMultiplyAdds / 8;
    CHECK(got == Approx(8 + (7 - 8) * std::pow(0.75, steps)).epsilon(1e-13));
  }
  for (const float got : after<float>("cuda_multiply_add", 1)) CHECK(got == Approx(8 - std::pow(0.75, kCeilingMultiplyAdds / 8.0)));
  // A product of 16x8 by 8x8 adds 8 * 0.75 * 0.25 to each of its 128 numbers, four of which are a thread's.
  for (const float got : after<float>("cuda_tensor_tf32", 2)) CHECK(got == 2 * kCeilingProducts * 4 * 1.5f);
  // More fours than the threads read at once, and not a multiple of it; each is read once a round, by one thread.
  std::vector<float> numbers(4 * 9 * 512 + 4 * 7);
  std::iota(numbers.begin(), numbers.end(), 1.0f);
  const auto expected = [&](std::size_t thread) {
    double sum = 0;
    for (std::size_t four = thread; four < numbers.size() / 4; four += 512)
      for (std::size_t i = 0; i < 4; ++i) sum += 2.0 * numbers[4 * four + i];
    return sum;
  };
  const std::vector<float> sums = after<float>("cuda_read", 2, numbers);
  for (std::size_t thread = 0; thread < sums.size(); ++thread) CHECK(sums[thread] == Approx(expected(thread)));
}

TEST_CASE("ceilings: what this machine measures is in order", "[unit]") {
  const Ceilings c = highest(best_isa());
  CAPTURE(c.gflops[0], c.gflops[1], c.read_gbs[0], c.read_gbs[1], c.read_gbs[2], c.read_gbs[3]);
  CHECK(c.isa == best_isa());
  // Half as many doubles in a register, a load as fast from near as from far. Where a virtual machine is told of a third cache that
  // is not there, that is memory, and says nothing.
  CHECK(c.gflops[0] / c.gflops[1] == Approx(2).epsilon(0.25));
  CHECK(c.read_gbs[3] > 0);
  for (int level = 0; level < 2; ++level)
    if (c.read_gbs[level] > 0) CHECK(c.read_gbs[level] > 0.8 * c.read_gbs[3]);
}

TEST_CASE("ceilings: the best build does no less than the others", "[unit]") {
  CHECK(highest(best_isa()).gflops[0] > 0.9 * measure_ceilings(Isa::portable).gflops[0]);
}

TEST_CASE("ceilings: a product of matrices comes near, not past them", "[unit]") {
  constexpr std::int64_t kSide = 24;
  constexpr double kFlops = 2.0 * kSide * kSide * kSide;
  const Isa isa = best_isa();
  const std::int64_t lanes = pack_lanes(isa);
  alignas(128) static float x[kSide * kSide * 16], y[kSide * kSide * 16], w[kSide * kSide];
  const MatmulGeometry geometry{.m = kSide, .n = kSide, .k = kSide};
  const Layout pack{3, {1, kSide, kSide}, {kSide * kSide, kSide, 1}, lanes, DType::f32};
  const Layout shared{3, {1, kSide, kSide}, {0, kSide, 1}, 1, DType::f32};
  const ConstView in[2] = {{shared, w}, {pack, x}};
  const View out[1] = {{pack, y}};
  const Arguments arguments{{&geometry, in, out}, nullptr};
  const Kernel* kernel = nullptr;
  for (const Kernel& k : parity::kernels_of("matmul", isa, DType::f32, lanes))
    if (kernel == nullptr && (k.declines == nullptr || k.declines(arguments) == nullptr) &&
        (k.scratch_bytes == nullptr || k.scratch_bytes(arguments) == 0)) {
      static Kernel found;
      found = k;
      kernel = &found;
    }
  REQUIRE(kernel != nullptr);
  double best = 1e9;
  const Ceilings c = highest(isa, [&] {
    for (int repetition = 0; repetition < 100; ++repetition) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 20; ++i) kernel->run(arguments);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 20);
    }
  });
  const double bytes = static_cast<double>(kSide * kSide * (2 * lanes + 1)) * sizeof(float);
  const double share = least_seconds(c, kFlops * static_cast<double>(lanes), DType::f32, bytes) / best;
  CAPTURE(parity::describe(*kernel), c.gflops[0], best, share);
  CHECK(share < 1.1);
  CHECK(share > 0.1);
}
