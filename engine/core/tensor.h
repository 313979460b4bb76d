// Owned numbers in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/shape.h"

namespace gi {

/// The largest pack a kernel loads at once.
inline constexpr std::size_t kAlignment = 128;

/// Bytes aligned to kAlignment, move-only. Errors: gi::Error with the size asked for when there is no memory.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    std::size_t mapped;  ///< bytes that are a mapping of their own
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

/// A dense row-major array, move-only; zero when made.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Shape shape, DType dtype);
  /// Values converted to `dtype`. Errors ShapeError: values.size() != shape.count().
  static Tensor from(Shape shape, std::span<const double> values, DType dtype = DType::f64);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  std::int64_t count() const { return shape_.count(); }
  explicit operator bool() const { return buffer_.data() != nullptr; }

  /// The elements as they are stored. Errors gi::Error: T is not the stored type.
  template <class T>
  std::span<T> as();
  template <class T>
  std::span<const T> as() const {
    return const_cast<Tensor*>(this)->as<T>();
  }

  /// Element i of the row-major order, converted.
  double at(std::int64_t i) const;
  std::vector<double> to_doubles() const;
  /// A copy, converted.
  Tensor to(DType dtype) const;
  Tensor clone() const { return to(dtype_); }
  /// The same elements under another shape of equal count.
  Tensor reshaped(Shape shape) &&;

  kernels::View view();
  kernels::ConstView view() const;

 private:
  Shape shape_;
  DType dtype_ = DType::f64;
  Buffer buffer_;
};

/// Dense row-major strides for `shape`, one scalar a number.
kernels::Layout dense_layout(const Shape& shape, DType dtype);

}  // namespace gi
