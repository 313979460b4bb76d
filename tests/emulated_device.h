// A device whose kernels are emulated: host memory, kept apart from the host's values all the same.
#pragma once

#include <chrono>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/device/device.h"

namespace gi::kernels::emulated {
std::span<const Kernel> kernels();
}

namespace gi::test {

class EmulatedDevice : public Device {
 public:
  std::string name() const override { return "an emulated device"; }
  std::size_t free_memory() const override { return std::size_t{8} << 30; }
  Hardware hardware() const override { return {1, std::size_t{16} << 10}; }
  std::span<const kernels::Kernel> kernels() const override { return kernels::emulated::kernels(); }
  void* stream() const override { return nullptr; }

  /// Full of NaN.
  std::byte* allocate(std::size_t bytes) override {
    Buffer memory(bytes);
    std::memset(memory.data(), 0xff, bytes);
    std::byte* const data = memory.data();
    memory_.emplace(data, std::move(memory));
    return data;
  }
  void release(std::byte* memory) noexcept override { memory_.erase(memory); }

  void upload(std::byte* to, const std::byte* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(std::byte* to, const std::byte* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }

  void check() override {}
  void synchronize() override {}
  /// What is recorded runs later only, as with CUDA.
  std::function<void()> recorded(const std::function<void()>& work) override {
    ++recordings;
    return [this, work] { ++replays, work(); };
  }
  double seconds_of(const std::function<void()>& work) override {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  int recordings = 0, replays = 0;

  /// Buffers not yet released.
  std::size_t held() const { return memory_.size(); }

 private:
  std::map<std::byte*, Buffer> memory_;
};

/// Whether it is for a chain with the op it reads.
inline bool has_head(const kernels::Kernel& k) {
  const std::string_view op = k.op;
  return op.ends_with("_chain") && op != "elementwise_chain";
}

/// Without those.
class HeadlessDevice : public EmulatedDevice {
 public:
  HeadlessDevice() { std::erase_if(list_, has_head); }
  std::span<const kernels::Kernel> kernels() const override { return list_; }

 private:
  std::vector<kernels::Kernel> list_{EmulatedDevice::kernels().begin(), EmulatedDevice::kernels().end()};
};

}  // namespace gi::test
