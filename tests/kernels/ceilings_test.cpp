// The machine's ceilings: the formula by hand, and that what is measured can be.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>

#include "kernels/api/ceilings.h"
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

TEST_CASE("ceilings: what this machine measures is in order", "[unit]") {
  const auto begin = std::chrono::steady_clock::now();
  measure_ceilings();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const Ceilings c = highest(best_isa());
  CAPTURE(c.gflops[0], c.gflops[1], c.read_gbs[0], c.read_gbs[1], c.read_gbs[2], c.read_gbs[3]);
  CHECK(taken.count() < 2);
  CHECK(c.isa == best_isa());
  // Half as many doubles in a register, a load as fast from near as from far.
  CHECK(c.gflops[0] / c.gflops[1] == Approx(2).epsilon(0.25));
  CHECK(c.read_gbs[3] > 0);
  for (int level = 0; level < 3; ++level)
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
