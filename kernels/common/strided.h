// Element access for reference kernels: any strides, one scalar a number.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/api/view.h"

namespace gi::kernels {

using Index = std::array<std::int64_t, kMaxRank>;

/// An operand of up to kMaxRank axes, read or written by its indices.
template <class Scalar>
struct Strided {
  Scalar* data;
  Index strides;

  Scalar& operator[](const Index& i) const {
    std::int64_t offset = 0;
    for (int axis = 0; axis < kMaxRank; ++axis) offset += i[axis] * strides[axis];
    return data[offset];
  }
  template <class... I>
  Scalar& operator()(I... i) const {
    return (*this)[Index{i...}];
  }
};

inline Strided<const double> elements(const ConstView& v) { return {v.as<double>(), v.strides}; }
inline Strided<double> elements(const View& v) { return {v.as<double>(), v.strides}; }

/// The elements of v as a tensor of more extents: axes where v has extent 1, and those it lacks, are read again and again.
template <class V>
auto spread(const V& v) {
  auto e = elements(v);
  for (int axis = 0; axis < kMaxRank; ++axis)
    if (axis >= v.rank || v.dims[axis] == 1) e.strides[axis] = 0;
  return e;
}

/// visit(index) for all indices of `extents` in row-major order; the unused last indices are 0.
template <class Visit>
void for_each_index(const Layout& extents, Visit visit) {
  Index i{};
  for (std::int64_t left = extents.count(); left > 0; --left) {
    visit(i);
    for (int axis = static_cast<int>(extents.rank) - 1; axis >= 0 && ++i[axis] == extents.dims[axis]; --axis) i[axis] = 0;
  }
}

inline void fill_zero(const View& v) {
  for_each_index(v, [y = elements(v)](const Index& i) { y[i] = 0.0; });
}

}  // namespace gi::kernels
