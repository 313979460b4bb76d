// Extents of a value, trial axis first.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/api/view.h"

namespace gi {

using kernels::DType;
inline constexpr int kMaxRank = kernels::kMaxRank;

/// Rank 1 to 5, extents of at least 1; prints as [1,2,3,8,8].
///
/// Axis 0 is the trial axis T. Rank 1, [T], is reserved for the scalars of a trial (losses, norms, counters): such values
/// are f64 in every Plan.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  /// Errors ShapeError: rank outside 1..5, an extent below 1, a product above 2^62.
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return dims_[axis < 0 ? axis + rank_ : axis]; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), static_cast<std::size_t>(rank_)}; }
  std::int64_t trials() const { return dims_[0]; }
  std::int64_t count() const;
  std::int64_t count_per_trial() const { return count() / dims_[0]; }
  bool scalar() const { return rank_ == 1; }
  /// The same shape with another extent on one axis.
  Shape with(int axis, std::int64_t extent) const;

  bool operator==(const Shape&) const = default;
  std::string str() const;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace gi
