// Times the loops of ceilings_cpu.cpp.
#include "kernels/api/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/common/ceiling_loops.h"

namespace gi::kernels {

namespace {

constexpr double kRepetition = 5e-4;  // seconds: shorter than a time slice, so that some of them run undisturbed
constexpr int kRepetitions = 60;
constexpr double kEnough = 0.15;  // seconds of repetitions, which are longer for a last cache of hundreds of MiB

template <class Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The best rate of work(rounds), which returns what it did, in units of 1e9 a second.
template <class Work>
double best_rate(const Work& work) {
  std::int64_t rounds = 1;
  // The first runs also wake the processor up, and bring data near.
  while (seconds_of([&] { work(rounds); }) < kRepetition && rounds < std::int64_t{1} << 40) rounds *= 2;
  double best = 0, taken = 0;
  for (int i = 0; i < kRepetitions && taken < kEnough; ++i) {
    double done = 0;
    const double seconds = seconds_of([&] { done = work(rounds); });
    taken += seconds;
    if (seconds > 0) best = std::max(best, done / seconds * 1e-9);
  }
  return best;
}

/// The caches of the first processor. sysconf is asked only where the kernel's files say nothing: on processors of many dies it
/// gives the last cache of all of them, which no thread can use.
std::array<std::size_t, 3> reported_caches() {
  std::array<std::size_t, 3> bytes{};
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    std::size_t level = 0, kilobytes = 0;
    std::string type;
    std::ifstream(folder + "level") >> level;
    std::ifstream(folder + "type") >> type;
    std::ifstream(folder + "size") >> kilobytes;
    if (1 <= level && level <= bytes.size() && type != "Instruction") bytes[level - 1] = kilobytes << 10;
  }
#ifdef _SC_LEVEL1_DCACHE_SIZE
  if (bytes == std::array<std::size_t, 3>{})
    for (const auto& [level, name] : {std::pair{0, _SC_LEVEL1_DCACHE_SIZE}, {1, _SC_LEVEL2_CACHE_SIZE}, {2, _SC_LEVEL3_CACHE_SIZE}})
      bytes[static_cast<std::size_t>(level)] = static_cast<std::size_t>(std::max(sysconf(name), 0L));
#endif
  return bytes;
}

struct Free {
  void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{4096}); }
};
using Block = std::unique_ptr<std::byte[], Free>;

/// Pages of its own: memory never written is one page of zeros, which fits into any cache.
Block filled(std::size_t bytes) {
  Block block(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{4096}, std::nothrow)));
  if (block) std::fill_n(block.get(), bytes, std::byte{1});
  return block;
}

double read_rate(const CeilingLoops& loops, std::size_t bytes) {
  const Block block = filled(bytes);
  if (!block) return 0;
  return best_rate([&](std::int64_t rounds) {
    loops.read(block.get(), bytes, rounds);
    return static_cast<double>(bytes) * static_cast<double>(rounds);
  });
}

/// The median over pieces, each read once a pass, so that it comes from far away each time. Not the best: a cache may have kept
/// that one.
double memory_rate(const CeilingLoops& loops, std::size_t bytes) {
  constexpr int kPasses = 4;
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  const Block block = filled(bytes);
  if (!block) return 0;
  std::vector<double> seconds;
  for (int pass = 0; pass < kPasses; ++pass)
    for (std::size_t at = 0; at + kPiece <= bytes; at += kPiece)
      seconds.push_back(seconds_of([&] { loops.read(block.get() + at, kPiece, 1); }));
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return static_cast<double>(kPiece) / *middle * 1e-9;
}

double best_peak(const Ceilings& ceilings, DType dtype) {
  const double peak = ceilings.gflops[static_cast<std::size_t>(dtype)];
  return dtype == DType::f32 ? std::max(peak, ceilings.tensor_gflops / 3) : peak;
}

double seconds_at(double peak_gflops, const Ceilings& ceilings, double flops, double bytes) {
  const double peak = peak_gflops * 1e9;
  const double bandwidth = ceilings.read_gbs[static_cast<std::size_t>(level_of(ceilings, bytes))] * 1e9;
  return std::max(peak > 0 ? flops / peak : 0, bandwidth > 0 ? bytes / bandwidth : 0);
}

}  // namespace

Ceilings measure_ceilings(Isa isa) {
  const CeilingLoops loops = ceiling_loops(isa);
  Ceilings c{.isa = isa, .cache_bytes = reported_caches()};
  for (std::size_t dtype = 0; dtype < c.gflops.size(); ++dtype) c.gflops[dtype] = best_rate(loops.multiply_add[dtype]);
  if (loops.multiply_bf16 != nullptr) c.bf16_gflops = best_rate(loops.multiply_bf16);
  std::size_t last = 0;
  for (std::size_t level = 0; level < c.cache_bytes.size(); ++level) {
    if (c.cache_bytes[level] == 0) continue;
    last = c.cache_bytes[level];
    c.read_gbs[level] = read_rate(loops, std::max<std::size_t>(last / 2 & ~std::size_t{4095}, 4096));
  }
  constexpr std::size_t kLeast = std::size_t{64} << 20, kMost = std::size_t{512} << 20;
  c.read_gbs[static_cast<std::size_t>(Level::memory)] = memory_rate(loops, std::clamp(4 * last, kLeast, kMost));
  return c;
}

Level level_of(const Ceilings& ceilings, double bytes) {
  for (std::size_t i = 0; i < ceilings.cache_bytes.size(); ++i)
    if (ceilings.read_gbs[i] > 0 && bytes <= static_cast<double>(ceilings.cache_bytes[i])) return static_cast<Level>(i);
  return Level::memory;
}

double least_seconds(const Ceilings& ceilings, double flops, DType dtype, double bytes) {
  return seconds_at(best_peak(ceilings, dtype), ceilings, flops, bytes);
}

double least_seconds(const Ceilings& ceilings, double flops, const Kernel& kernel, double bytes) {
  const std::string_view name = kernel.name;
  double peak = ceilings.gflops[static_cast<std::size_t>(kernel.dtype)];
  if (name.ends_with("_tf32")) peak = ceilings.tensor_gflops;
  else if (name.ends_with("_bf16x3")) peak = ceilings.bf16_gflops / 3;
  else if (name.starts_with("cuda_tensor") || name.find("3xtf32") != name.npos) peak = best_peak(ceilings, kernel.dtype);
  return seconds_at(peak, ceilings, flops, bytes);
}

}  // namespace gi::kernels
