// What a kernel sees of a tensor: a pointer, extents and strides. No ownership, no engine type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gi::kernels {

enum class DType : std::int64_t { f32, f64 };

constexpr std::size_t size_of(DType dtype) { return dtype == DType::f32 ? 4 : 8; }

inline constexpr int kMaxRank = 5;

/// Extents and layout of one operand.
///
/// `lanes` scalars lie side by side in memory and form one *pack*; strides count packs. Two forms exist:
///
///   lanes == 1   a number is a scalar. dims[0] = T (trials).
///   lanes == L   *trials in the lanes*: lane l of block b belongs to trial b*L + l, dims[0] = T / L.
///
/// An operand shared by all trials has lanes == 1 and strides[0] == 0, also inside a kernel that works on packs: its
/// dims[0] then still says T / L and its scalars are to be splatted. Any other stride may be 0 too (a broadcast).
struct Layout {
  std::int64_t rank = 0;
  std::array<std::int64_t, kMaxRank> dims{};
  std::array<std::int64_t, kMaxRank> strides{};
  std::int64_t lanes = 1;
  DType dtype = DType::f64;

  /// Packs in the view, zero strides counted as often as they are read.
  constexpr std::int64_t count() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
  /// Packs of one trial block: the product of all extents but the first.
  constexpr std::int64_t count_per_block() const {
    std::int64_t n = 1;
    for (int i = 1; i < rank; ++i) n *= dims[i];
    return n;
  }
  /// Row-major without gaps from axis `first` on (extents of 1 may carry any stride).
  constexpr bool dense_from(int first) const {
    std::int64_t expected = 1;
    for (int i = static_cast<int>(rank) - 1; i >= first; --i) {
      if (dims[i] != 1 && strides[i] != expected) return false;
      expected *= dims[i];
    }
    return true;
  }
  constexpr bool dense() const { return dense_from(0); }
  /// One copy serves every trial.
  constexpr bool shared() const { return lanes == 1 && (dims[0] == 1 || strides[0] == 0); }
};

struct ConstView : Layout {
  const void* data = nullptr;
  template <class Scalar>
  const Scalar* as() const {
    return static_cast<const Scalar*>(data);
  }
};

struct View : Layout {
  void* data = nullptr;
  template <class Scalar>
  Scalar* as() const {
    return static_cast<Scalar*>(data);
  }
};

}  // namespace gi::kernels
