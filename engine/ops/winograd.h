// Winograd's transforms, each linear with the other of its pair as adjoint. Programs have none of their own: the pass that
// rewrites convolutions (engine/passes/winograd.h) makes them.   Semantics kernels/winograd/winograd.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"
#include "kernels/winograd/winograd.h"

namespace gi {

using kernels::WinogradGeometry;

Value winograd_input(Value x, const WinogradGeometry& geometry);
Value winograd_input_grad(Value products, const WinogradGeometry& geometry);
Value winograd_output(Value products, const WinogradGeometry& geometry);
Value winograd_output_grad(Value g, const WinogradGeometry& geometry);
Value winograd_filter(Value w, std::int64_t tile);
Value winograd_filter_grad(Value u, std::int64_t tile);

}  // namespace gi
