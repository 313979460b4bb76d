// A step of a Plan by what it does and on what: the name under which a kernel is chosen for it.
#pragma once

#include <string>
#include <string_view>

#include "engine/exec/plan.h"

namespace gi {

/// One line with all that decides which kernels serve: op, dtype, trials side by side, attributes, extents and strides of the
/// operands, and which of them the trials share. Steps that agree are the same work.
///
///     conv2d f32 x1 (3 12 16 16 5 5 8 8 2 2 2 2 1) [4,1,3,16,16] [4,12,3,5,5] shared -> [4,1,12,8,8]
///
/// The attributes are those of the op's family in their order, zeros at the end left out; of a chain its instructions.
/// Tests tests/engine/tune_test.cpp
std::string step_key(const Plan::Step& step, std::string_view op, DType dtype, std::int64_t lanes);

}  // namespace gi
