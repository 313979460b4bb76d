// Elementwise ops. Operands have one shape, broadcasts are explicit (broadcast_to, reduce.h).
// Rules and semantics: kernels/api/elementwise.h.   Tests tests/ops/   Bench gi_bench --filter=elementwise
#pragma once

#include "engine/graph/graph.h"

namespace gi {

Value add(Value a, Value b);
Value sub(Value a, Value b);
Value mul(Value a, Value b);
Value div(Value a, Value b);
Value scale(Value x, double factor);
Value offset(Value x, double summand);
Value neg(Value x);
Value square(Value x);
Value exp(Value x);
Value log(Value x);
Value sqrt(Value x);
Value rsqrt(Value x);
Value recip(Value x);
Value tanh(Value x);
Value sigmoid(Value x);
Value abs(Value x);
Value sign(Value x);
Value maximum(Value a, Value b);
Value minimum(Value a, Value b);

// Piecewise ops decide by `d` and are linear in their first operand; d is x itself unless a test forces the decisions of
// another run.
Value relu_mask(Value g, Value d);
Value leaky_relu_mask(Value g, Value d, double slope);
Value clamp(Value v, Value d, double low, double high);
Value clamp_mask(Value g, Value d, double low, double high);

inline Value relu(Value x) { return relu_mask(x, x); }
inline Value leaky_relu(Value x, double slope) { return leaky_relu_mask(x, x, slope); }
inline Value clamp(Value x, double low, double high) { return clamp(x, x, low, high); }
inline Value relu6(Value x) { return clamp(x, 0.0, 6.0); }

}  // namespace gi
