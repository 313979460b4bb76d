#include "models/random.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

using gi::models::portable_log;
using gi::models::Random;

TEST_CASE("the generator's numbers are fixed", "[unit]") {
  // From the definition in random.h, worked out in integer arithmetic outside this program.
  Random r(42, std::uint64_t{7});
  CHECK(r.bits() == 0x6b4c88c89c5dfcdull);
  CHECK(r.bits() == 0xe4bf542f10ecaf85ull);
  CHECK(Random(1, "conv1.weight").bits() == 0x66ead0c142c2e49aull);
}

TEST_CASE("streams and seeds differ, equal ones agree", "[unit]") {
  CHECK(Random(1, "a").bits() == Random(1, "a").bits());
  CHECK(Random(1, "a").bits() != Random(1, "b").bits());
  CHECK(Random(1, "a").bits() != Random(2, "a").bits());
  CHECK(Random(0).bits() != Random(1).bits());
}

TEST_CASE("uniform numbers fill their interval evenly", "[unit]") {
  Random r(3);
  constexpr int kDraws = 200'000, kBins = 20;
  std::vector<int> bins(kBins);
  for (int i = 0; i < kDraws; ++i) {
    const double u = r.uniform();
    REQUIRE((u >= 0 && u < 1));
    ++bins[static_cast<int>(u * kBins)];
  }
  double chi2 = 0;
  const double expected = double{kDraws} / kBins;
  for (const int n : bins) chi2 += (n - expected) * (n - expected) / expected;
  CHECK(chi2 < 43.8);  // 19 degrees of freedom, one in a thousand
}

TEST_CASE("below is within its bound and reaches all of it", "[unit]") {
  Random r(4);
  std::vector<int> seen(7);
  for (int i = 0; i < 7000; ++i) ++seen.at(r.below(7));
  for (const int n : seen) CHECK(std::abs(n - 1000) < 130);
}

TEST_CASE("normal numbers have the moments of N(0,1)", "[unit]") {
  Random r(5);
  constexpr int kDraws = 400'000;
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pairs = 0, last = 0;
  int beyond2 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = r.normal();
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z, pairs += z * last;
    beyond2 += std::abs(z) > 2;
    last = z;
  }
  // Bounds are four standard deviations of each mean.
  const double four = 4 / std::sqrt(double{kDraws});
  CHECK(std::abs(m1 / kDraws) < four);
  CHECK(std::abs(m2 / kDraws - 1) < four * std::sqrt(2.0));
  CHECK(std::abs(m3 / kDraws) < four * std::sqrt(15.0));
  CHECK(std::abs(m4 / kDraws - 3) < four * std::sqrt(96.0));
  CHECK(std::abs(pairs / kDraws) < four);
  CHECK(std::abs(beyond2 / double{kDraws} - 0.0455003) < four * std::sqrt(0.0455 * 0.9545));
}

TEST_CASE("the portable logarithm is one to the last place or so", "[unit]") {
  Random r(6);
  double worst = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double x = std::ldexp(r.uniform() + 0x1p-60, static_cast<int>(r.below(80)) - 60);
    const double exact = std::log(x);
    worst = std::max(worst, std::abs(portable_log(x) - exact) / std::abs(exact));
  }
  CHECK(worst < 2 * std::numeric_limits<double>::epsilon());
  CHECK(portable_log(1) == 0);
  CHECK(portable_log(0x1p-52) == Approx(-52 * std::log(2.0)).epsilon(1e-15));
}
