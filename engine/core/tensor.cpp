#include "engine/core/tensor.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/core/error.h"

namespace gi {

namespace {

/// From here on a buffer is a mapping of its own, which the system has back as soon as it is freed.
constexpr std::size_t kMapped = std::size_t{1} << 20;
/// A kernel that goes through megabytes in strides waits for addresses to be translated; larger pages need fewer of them.
constexpr std::size_t kWorthHugePages = std::size_t{4} << 20;

}  // namespace

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  std::byte* p = nullptr;
  if (bytes >= kMapped) {
    void* const mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping != MAP_FAILED) p = static_cast<std::byte*>(mapping);
#if defined(MADV_HUGEPAGE)
    if (p != nullptr && bytes >= kWorthHugePages) madvise(p, bytes, MADV_HUGEPAGE);  // advice: nothing is lost if it is refused
#endif
  } else {
    p = static_cast<std::byte*>(
        std::aligned_alloc(kAlignment, std::max((bytes + kAlignment - 1) / kAlignment, std::size_t{1}) * kAlignment));
  }
  if (p == nullptr) throw Error(fmt::format("out of memory: {:.1f} MiB could not be allocated", bytes / 1048576.0));
  data_ = {p, Free{bytes >= kMapped ? bytes : 0}};
}

void Buffer::Free::operator()(std::byte* p) const {
  if (mapped > 0) munmap(p, mapped);
  else std::free(p);
}

Tensor::Tensor(Shape shape, DType dtype)
    : shape_(shape), dtype_(dtype), buffer_(static_cast<std::size_t>(shape.count()) * kernels::size_of(dtype)) {
  std::memset(buffer_.data(), 0, buffer_.size());
}

Tensor Tensor::from(Shape shape, std::span<const double> values, DType dtype) {
  if (static_cast<std::int64_t>(values.size()) != shape.count())
    throw ShapeError(fmt::format("tensor {}: {} values given, {} expected", shape.str(), values.size(), shape.count()));
  Tensor t(shape, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) t.as<float>()[i] = static_cast<float>(values[i]);
    else t.as<double>()[i] = values[i];
  }
  return t;
}

template <class T>
std::span<T> Tensor::as() {
  if ((dtype_ == DType::f32) != std::is_same_v<T, float>) throw Error("tensor: read as a type it does not hold");
  return {reinterpret_cast<T*>(buffer_.data()), static_cast<std::size_t>(shape_.count())};
}
template std::span<float> Tensor::as<float>();
template std::span<double> Tensor::as<double>();

double Tensor::at(std::int64_t i) const { return dtype_ == DType::f32 ? static_cast<double>(as<float>()[i]) : as<double>()[i]; }

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> out(count());
  for (std::int64_t i = 0; i < count(); ++i) out[i] = at(i);
  return out;
}

Tensor Tensor::to(DType dtype) const {
  Tensor t(shape_, dtype);
  if (dtype == dtype_) {
    std::memcpy(t.buffer_.data(), buffer_.data(), buffer_.size());
  } else if (dtype == DType::f32) {
    for (std::int64_t i = 0; i < count(); ++i) t.as<float>()[i] = static_cast<float>(as<double>()[i]);
  } else {
    for (std::int64_t i = 0; i < count(); ++i) t.as<double>()[i] = static_cast<double>(as<float>()[i]);
  }
  return t;
}

Tensor Tensor::reshaped(Shape shape) && {
  if (shape.count() != count())
    throw ShapeError(fmt::format("reshape: {} has {} elements, {} has {}", shape_.str(), count(), shape.str(), shape.count()));
  shape_ = shape;
  return std::move(*this);
}

kernels::Layout dense_layout(const Shape& shape, DType dtype) {
  kernels::Layout l;
  l.rank = shape.rank();
  l.dtype = dtype;
  std::int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    l.dims[i] = shape[i];
    l.strides[i] = stride;
    stride *= shape[i];
  }
  return l;
}

kernels::View Tensor::view() { return {dense_layout(shape_, dtype_), buffer_.data()}; }
kernels::ConstView Tensor::view() const { return {dense_layout(shape_, dtype_), buffer_.data()}; }

}  // namespace gi
