// The constant parameters of one op, as plain bytes that host, device and engine share.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace gi::kernels {

/// Any POD made of 8-byte members (so that it has no padding), stored by value, compared as bytes.
class Attrs {
 public:
  static constexpr std::size_t kCapacity = 128;

  Attrs() = default;

  template <class T>
  requires(!std::is_same_v<T, Attrs>) explicit Attrs(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kCapacity && sizeof(T) % 8 == 0);
    std::memcpy(bytes_.data(), &value, sizeof(T));
  }

  template <class T>
  const T& as() const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kCapacity && alignof(T) <= 8);
    return *reinterpret_cast<const T*>(bytes_.data());
  }

  const void* data() const { return bytes_.data(); }
  bool operator==(const Attrs&) const = default;

 private:
  alignas(8) std::array<std::byte, kCapacity> bytes_{};
};

}  // namespace gi::kernels
