// Losses, distances and priors, all [T].   Semantics kernels/softmax/softmax.h, kernels/total_variation/total_variation.h
#pragma once

#include <span>

#include "engine/graph/graph.h"

namespace gi {

/// [T,N,K] -> [T,N,K].
Value log_softmax(Value logits);
Value softmax_residual(Value logits, Value labels);
Value softmax_vjp(Value logits, Value u);
/// Mean over the batch; logits and labels [T,N,K], labels one-hot or soft.
Value cross_entropy(Value logits, Value labels);

/// Mean absolute differences of neighbours, down and across; x [T,N,C,H,W].
Value total_variation(Value x);
Value total_variation_grad(Value x);

/// 1 - <a, b> / (|a| |b|) over lists of tensors taken as one vector. Errors ShapeError: lists of different shapes.
Value cosine_distance(std::span<const Value> a, std::span<const Value> b);
/// sum (a - b)^2 over lists of tensors, without a half.
Value l2_distance(std::span<const Value> a, std::span<const Value> b);

}  // namespace gi
