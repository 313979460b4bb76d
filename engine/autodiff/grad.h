// The whole differentiation surface: Graph -> Graph. Derivatives are values like any other, so it applies to its own results.
#pragma once

#include <span>
#include <vector>

#include "engine/graph/graph.h"

namespace gi {

/// Cotangents of `wrt` for given cotangents of `outputs`: sum_i <d outputs_i, cotangents_i> / d wrt_j.
///
/// Shapes   cotangents[i] like outputs[i]; result[j] like wrt[j] (a fill of zero where nothing depends on it).
/// Errors   ShapeError: a cotangent's shape; UsageError: values of different graphs.
/// Tests    tests/engine/grad_test.cpp, and every op's in tests/ops/
std::vector<Value> vjp(std::span<const Value> outputs, std::span<const Value> cotangents, std::span<const Value> wrt);

/// Gradient of the sum over trials of `loss`, [T]: since ops never mix trials, that is every trial's own derivative.
///
/// Errors   ShapeError: loss is not of rank 1.
std::vector<Value> grad(Value loss, std::span<const Value> wrt);

}  // namespace gi
