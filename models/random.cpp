#include "models/random.h"

#include <cmath>

namespace gi::models {
namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ull;  // 2^64 / golden ratio, odd

/// The finaliser of SplitMix64: a bijection in which every input bit reaches every output bit.
constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

constexpr std::uint64_t fnv1a(std::string_view s) {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : s) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream) : key_(mix(mix(seed + kGolden) ^ (stream * kGolden))) {}
Random::Random(std::uint64_t seed, std::string_view stream) : Random(seed, fnv1a(stream)) {}

std::uint64_t Random::bits() { return mix(key_ + ++counter_ * kGolden); }
double Random::uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

std::uint64_t Random::below(std::uint64_t n) {
  // Numbers below 2^64 mod n would favour the small residues: drawn again.
  const std::uint64_t first = (0 - n) % n;
  std::uint64_t b = bits();
  while (b < first) b = bits();
  return b % n;
}

double Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  // A point of the unit disc; its squared radius s is uniform and independent of its direction.
  double u = 0, v = 0, s = 0;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    s = std::fma(u, u, v * v);
  } while (s >= 1 || s == 0);
  const double radius = std::sqrt(-2 * portable_log(s) / s);
  spare_ = v * radius;
  has_spare_ = true;
  return u * radius;
}

double portable_log(double x) {
  // x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(z), z = (m - 1)/(m + 1), |z| <= 0.1716.
  constexpr double kLn2High = 0x1.62e42fefa3800p-1, kLn2Low = 0x1.ef35793c76730p-45;  // high part: e * high is exact
  int e = 0;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752) m *= 2, --e;
  const double z = (m - 1) / (m + 1), z2 = z * z;
  double series = 0;  // z^2/3 + z^4/5 + ..., to below 2^-56 of one
  for (int k = 23; k >= 3; k -= 2) series = std::fma(series, z2, 1.0 / k);
  series *= z2;
  return std::fma(e, kLn2High, std::fma(2 * z, series, std::fma(e, kLn2Low, 2 * z)));
}

}  // namespace gi::models
