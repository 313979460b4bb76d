// Moving elements.   Semantics kernels/movement/movement.h   Tests tests/ops/
#pragma once

#include <span>

#include "engine/graph/graph.h"
#include "kernels/movement/movement.h"

namespace gi {

using kernels::PadAttrs;

/// Row-major reshape; the trial axis stays. Errors ShapeError: counts differ, T differs, or rank 1 on one side only (a
/// trial's scalars change rank by sum_to and broadcast_to).
Value reshape(Value x, Shape shape);
/// result axis i = x's axis axes[i]; axes[0] = 0.
Value transpose(Value x, std::span<const int> axes);
Value pad(Value x, const PadAttrs& amounts);
Value crop(Value x, const PadAttrs& amounts);
/// Elements [start, start + length) of one axis (not the trial axis).
Value slice(Value x, int axis, std::int64_t start, std::int64_t length);
/// Side by side along one axis: a sum of padded operands.
Value concat(std::span<const Value> xs, int axis);

}  // namespace gi
