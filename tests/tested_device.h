// The device that a test of devices runs on: the emulated one in the test's own program, the CUDA device in gi_test_device, which
// is linked from the same objects. A test tagged [gpu] runs in both.
#pragma once

#include "tests/emulated_device.h"

namespace gi::test {

/// The CUDA device in gi_test_device (throws DeviceError where there is none); null in every other program.
Device* real_device();

/// Counts what it hands on.
class TestedDevice : public Device {
 public:
  std::string name() const override { return device_.name(); }
  std::size_t free_memory() const override { return device_.free_memory(); }
  Hardware hardware() const override { return device_.hardware(); }
  std::span<const kernels::Kernel> kernels() const override { return device_.kernels(); }
  void* stream() const override { return device_.stream(); }
  std::byte* allocate(std::size_t bytes) override {
    std::byte* const memory = device_.allocate(bytes);
    ++held;
    return memory;
  }
  void release(std::byte* memory) noexcept override {
    device_.release(memory);
    --held;
  }
  void upload(std::byte* to, const std::byte* from, std::size_t bytes) override { device_.upload(to, from, bytes); }
  void download(std::byte* to, const std::byte* from, std::size_t bytes) override { device_.download(to, from, bytes); }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override { device_.copy(to, from, bytes); }
  void check() override { device_.check(); }
  void synchronize() override { device_.synchronize(); }
  std::function<void()> recorded(const std::function<void()>& work) override {
    ++recordings;
    return [this, replay = device_.recorded(work)] { ++replays, replay(); };
  }
  double seconds_of(const std::function<void()>& work) override { return device_.seconds_of(work); }

  int recordings = 0, replays = 0;
  int held = 0;  ///< allocations not yet released

 private:
  EmulatedDevice emulated_;
  Device& device_ = real_device() != nullptr ? *real_device() : emulated_;
};

}  // namespace gi::test
