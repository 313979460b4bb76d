#include "engine/core/shape.h"

#include <fmt/format.h>

#include "engine/core/error.h"

namespace gi {

Shape::Shape(std::span<const std::int64_t> dims) {
  if (dims.empty() || dims.size() > kMaxRank)
    throw ShapeError(fmt::format("shape: rank must be 1 to {}, got {}", kMaxRank, dims.size()));
  std::int64_t n = 1;
  for (std::int64_t d : dims) {
    if (d < 1) throw ShapeError(fmt::format("shape [{}]: extents must be at least 1", fmt::join(dims, ",")));
    if (__builtin_mul_overflow(n, d, &n) || n > (std::int64_t{1} << 62))
      throw ShapeError(fmt::format("shape [{}]: too many elements", fmt::join(dims, ",")));
    dims_[rank_++] = d;
  }
}

std::int64_t Shape::count() const {
  std::int64_t n = rank_ == 0 ? 0 : 1;
  for (std::int64_t d : dims()) n *= d;
  return n;
}

Shape Shape::with(int axis, std::int64_t extent) const {
  Shape s = *this;
  s.dims_[axis < 0 ? axis + rank_ : axis] = extent;
  return s;
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(dims(), ",")); }

}  // namespace gi
