// Random numbers that are the same bits on every machine.
//
// SplitMix64 as a counter-based generator: number n of a stream is mix(key + n * golden). Uniform numbers are exact; normal ones
// come by the polar method with a logarithm of our own, in which every product that meets a sum is a std::fma: no compiler has a
// contraction left to choose, and no mathematical library a last bit.   Tests tests/models/random_test.cpp
#pragma once

#include <cstdint>
#include <string_view>

namespace gi::models {

class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0);
  /// A stream of its own for each name.
  Random(std::uint64_t seed, std::string_view stream);

  std::uint64_t bits();
  /// [0, 1), a multiple of 2^-53.
  double uniform();
  /// [0, n), n > 0, without bias.
  std::uint64_t below(std::uint64_t n);
  /// N(0, 1).
  double normal();

 private:
  std::uint64_t key_, counter_ = 0;
  double spare_ = 0;
  bool has_spare_ = false;
};

/// ln(x) for finite x > 0, to about one unit in the last place.
double portable_log(double x);

}  // namespace gi::models
