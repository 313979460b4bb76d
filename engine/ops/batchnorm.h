// Batch normalisation.   Semantics kernels/batchnorm/batchnorm.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"

namespace gi {

/// x normalised by its own statistics over N, H and W, per trial and channel: training mode without scale and shift.
Value batchnorm(Value x, double eps);
Value batchnorm_grad(Value g, Value x, double eps);
Value batchnorm_grad2(Value u, Value g, Value x, double eps);

/// Training mode: batchnorm(x) * weight + bias; weight, bias [T,C].
Value batchnorm_train(Value x, Value weight, Value bias, double eps);
/// Evaluation mode: (x - mean) / sqrt(var + eps) * weight + bias; all [T,C].
Value batchnorm_eval(Value x, Value weight, Value bias, Value mean, Value var, double eps);
/// x [T,N,C,H,W] with v [T,C] spread over it.
Value per_channel(Value v, const Shape& like);

}  // namespace gi
