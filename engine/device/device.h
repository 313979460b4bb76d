// Where a Plan's values lie and its kernels run, when that is not the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "engine/core/tensor.h"
#include "kernels/api/kernel.h"

namespace gi {

/// Memory and a queue of work, done in order. One caller at a time. What goes wrong on the device is a DeviceError, at the latest
/// of the next call that waits.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual std::string name() const = 0;
  /// Bytes that allocate() can still give.
  virtual std::size_t free_memory() const = 0;
  struct Hardware {
    std::int64_t processors;  ///< that run blocks side by side
    std::size_t cache_bytes;  ///< of the last cache, which they share
  };
  virtual Hardware hardware() const = 0;

  /// What a Plan chooses from, best first within an op.
  virtual std::span<const kernels::Kernel> kernels() const = 0;
  /// Kernels::Arguments::stream.
  virtual void* stream() const = 0;

  /// Bytes aligned to kAlignment. Errors DeviceError: no memory, with the size asked for.
  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void release(std::byte* memory) noexcept = 0;

  /// From the host, at once. Work that is enqueued later sees it; none that reads `to` may be under way.
  virtual void upload(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  /// To the host, after all work so far.
  virtual void download(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  /// Within the device, enqueued.
  virtual void copy(std::byte* to, const std::byte* from, std::size_t bytes) = 0;

  /// Throws what the last launch found wrong, without waiting.
  virtual void check() = 0;
  /// Waits for all work.
  virtual void synchronize() = 0;
  /// `work`, which only enqueues, as one piece that can be enqueued again and again: a CUDA graph.
  virtual std::function<void()> recorded(const std::function<void()>& work) = 0;
  /// Seconds the device takes for `work`, which only enqueues, from its first to its last piece. Waits.
  virtual double seconds_of(const std::function<void()>& work) = 0;
};

/// Memory of a device, move-only.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Device& device, std::size_t bytes) : device_(&device), data_(bytes > 0 ? device.allocate(bytes) : nullptr) {}
  DeviceMemory(DeviceMemory&& other) noexcept : device_(other.device_), data_(other.data_) { other.data_ = nullptr; }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~DeviceMemory() {
    if (data_ != nullptr) device_->release(data_);
  }

  std::byte* data() const { return data_; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
};

/// Memory of a device or, where that is null, of the host; move-only.
class Block {
 public:
  Block() = default;
  Block(Device* device, std::size_t bytes)
      : host_(device == nullptr ? bytes : 0), device_(device != nullptr ? DeviceMemory(*device, bytes) : DeviceMemory()) {}
  std::byte* data() const { return device_.data() != nullptr ? device_.data() : host_.data(); }

 private:
  Buffer host_;
  DeviceMemory device_;
};

}  // namespace gi
