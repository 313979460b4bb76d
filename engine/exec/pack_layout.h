// Between the plain [T,...] of a Tensor and the layout a Plan keeps a value in.
#pragma once

#include <cstddef>

#include "engine/core/tensor.h"

namespace gi {

/// Writes `value` to `memory`, laid out as `layout`, converted. A shared layout takes the first trial.
void write_packed(const Tensor& value, const kernels::Layout& layout, std::byte* memory);

/// The value laid out as `layout` at `memory`, as dense [T,...] of `shape` in the layout's dtype.
Tensor read_packed(const std::byte* memory, const kernels::Layout& layout, const Shape& shape);

}  // namespace gi
