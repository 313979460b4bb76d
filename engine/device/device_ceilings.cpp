// Runs the loops of kernels/common/ceilings_cuda.cu.
#include "engine/device/device_ceilings.h"

#include <algorithm>
#include <string_view>

#include "engine/core/tensor.h"
#include "kernels/common/ceiling_loops.h"

namespace gi {

using kernels::CeilingRounds;
using kernels::Ceilings;
using kernels::Kernel;
using kernels::Layout;

namespace {

constexpr double kRepetition = 5e-4;  // seconds
constexpr int kRepetitions = 20;
constexpr std::int64_t kBlocks = 4;  // of a processor: 32 warps, which all of them can hold at once

/// The best rate of enqueue(rounds), which does `work` in a round, in units of 1e9 a second.
template <class Enqueue>
double best_rate(Device& device, double work, const Enqueue& enqueue) {
  std::int64_t rounds = 1;
  const auto seconds = [&] { return device.seconds_of([&] { enqueue(rounds), device.check(); }); };
  // The first runs also wake the device up.
  while (seconds() < kRepetition && rounds < 1 << 30) rounds *= 2;
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i)
    if (const double taken = seconds(); taken > 0) best = std::max(best, work * static_cast<double>(rounds) / taken * 1e-9);
  return best;
}

Layout row(std::int64_t numbers, DType dtype) { return dense_layout(Shape({1, numbers}), dtype); }

class Loops {
 public:
  explicit Loops(Device& device)
      : device_(device),
        threads_(device.hardware().processors * kBlocks * kernels::kCeilingBlock),
        out_(device, static_cast<std::size_t>(threads_) * sizeof(double)) {}

  /// `work` is that of one thread in a round.
  double rate(std::string_view name, DType dtype, double work) {
    return rate_of(name, dtype, {}, static_cast<double>(threads_) * work);
  }

  double read_rate(const DeviceMemory& from, std::size_t bytes) {
    const kernels::ConstView in[1] = {{row(static_cast<std::int64_t>(bytes / sizeof(float)), DType::f32), from.data()}};
    return rate_of("cuda_read", DType::f32, in, static_cast<double>(bytes));
  }

 private:
  double rate_of(std::string_view name, DType dtype, std::span<const kernels::ConstView> in, double work) {
    const auto loop = std::ranges::find_if(device_.kernels(), [&](const Kernel& k) {
      return k.op == std::string_view(kernels::kCeilingOp) && k.name == name && k.dtype == dtype;
    });
    if (loop == device_.kernels().end()) return 0;
    const kernels::View out[1] = {{row(threads_, dtype), out_.data()}};
    return best_rate(device_, work, [&](std::int64_t rounds) {
      const CeilingRounds attrs{rounds};
      kernels::Arguments args{{&attrs, in, out}};
      args.stream = device_.stream();
      loop->run(args);
    });
  }

  Device& device_;
  std::int64_t threads_;
  DeviceMemory out_;
};

/// The best of reading `bytes` and of copying them.
double memory_rate(Device& device, Loops& loops, std::size_t bytes) {
  const DeviceMemory from(device, bytes), to(device, bytes);
  const double copying = best_rate(device, 2 * static_cast<double>(bytes), [&](std::int64_t rounds) {
    for (std::int64_t i = 0; i < rounds; ++i) device.copy(to.data(), from.data(), bytes);
  });
  return std::max(copying, loops.read_rate(from, bytes));
}

/// Whole numbers of what all threads of any device read at once.
std::size_t rounded(std::size_t bytes) { return std::max<std::size_t>(bytes & ~std::size_t{4095}, 4096); }

}  // namespace

Ceilings measure_ceilings(Device& device) {
  constexpr auto kL2 = static_cast<std::size_t>(kernels::Level::l2), kMemory = static_cast<std::size_t>(kernels::Level::memory);
  constexpr double kProduct = 2.0 * 16 * 8 * 8 / 32;  // flops of a warp's product, a thread
  Loops loops(device);
  Ceilings c{.isa = kernels::Isa::cuda};
  for (const DType dtype : {DType::f32, DType::f64})
    c.gflops[static_cast<std::size_t>(dtype)] = loops.rate("cuda_multiply_add", dtype, 2.0 * kernels::kCeilingMultiplyAdds);
  c.tensor_gflops = loops.rate("cuda_tensor_tf32", DType::f32, kProduct * kernels::kCeilingProducts);
  const std::size_t cache = device.hardware().cache_bytes, half = rounded(cache / 2);
  c.cache_bytes[kL2] = cache;
  c.read_gbs[kL2] = loops.read_rate(DeviceMemory(device, half), half);
  c.read_gbs[kMemory] = memory_rate(device, loops, rounded(std::min(8 * cache, device.free_memory() / 4)));
  return c;
}

}  // namespace gi
