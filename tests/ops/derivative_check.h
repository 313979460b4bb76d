// Derivative rules against finite differences, in f64: on the Interpreter, or by the kernels of a device. The checker itself is
// tested in checker_test.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "kernels/api/kernel.h"

namespace gi::test {

/// How a function may be stepped along an operand.
enum class Step {
  exact,   ///< at most quadratic in the operand: one central step of size 1 has no truncation error
  smooth,  ///< Ridders' extrapolation from a coarse step
  narrow,  ///< the same from a step so small that nothing kept at its margin flips
};

struct CheckedOperand {
  Tensor value;  ///< [T,...]
  bool differentiable = true;
  Step step = Step::smooth;
};

struct CheckResult {
  std::string what;  ///< "order 2, d<grad 0>/d operand 1, trial 2"
  int order = 1;
  int operand = 0;  ///< whose gradient it is about
  double analytic = 0, numeric = 0;
  double error = 0;  ///< |analytic - numeric| relative to the size such a derivative typically has
};

using Build = std::function<Value(std::span<const Value>)>;

/// First and second directional derivatives of y = build(operands) by every differentiable operand and, at order 2, by the
/// cotangent too, each trial on its own. Without a device the Interpreter computes them.
std::vector<CheckResult> check_derivatives(const Build& build, std::span<const CheckedOperand> operands, std::uint64_t seed,
                                           Device* device = nullptr);

/// The largest error that still passes: 1e-8; rounding and extrapolation stay below 1e-9 on all cases.
inline constexpr double kDerivativeTolerance = 1e-8;

/// Operands of a case, drawn from their domains.
std::vector<CheckedOperand> draw_operands(const kernels::Case& c, std::int64_t trials, std::uint64_t seed);
/// The op of a case, applied.
Value build_case(const kernels::Case& c, std::span<const Value> in);
Shape shape_of(const kernels::Operand& o, std::int64_t trials);
Tensor draw(const Shape& shape, kernels::Domain domain, int operand, std::mt19937_64& rng);

}  // namespace gi::test
