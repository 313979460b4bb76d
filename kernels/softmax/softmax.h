// Softmax and cross-entropy over the last axis of [T,N,K]. p = softmax(z) by row. No attributes. Inputs dense from axis 1 on.
//
//   log_softmax(z)           z - logsumexp(z)
//   cross_entropy(z, l)      [T]: mean over N of sum_k l_k (logsumexp(z) - z_k); l is a one-hot or soft label, f64 accumulation
//   softmax_residual(z, l)   r_j = p_j sum_{k!=j} l_k - l_j sum_{k!=j} p_k   (= p_j sum l - l_j, without its cancellation:
//                            over-confident networks have 1 - p_y far below f32's resolution)
//   softmax_vjp(z, u)        p_i sum_k p_k (u_i - u_k)                       (the symmetric Jacobian of softmax times u)
//
// Sums that leave one element out are formed without subtracting it (prefix and suffix sums).
#pragma once
