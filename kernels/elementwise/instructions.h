// What a chain does with a block of scalars: one instruction after the other, on operands gathered before.
#pragma once

#include "kernels/api/elementwise.h"
#include "kernels/common/vector.h"
#include "kernels/common/vector_math.h"

namespace gi::kernels::GI_ISA {

/// A block of scalars, or one vector that stands for a block of its like.
template <class S>
struct BlockOf {
  const S* data;
  bool repeats;
};

// Operands may be one another, and the result may be an operand, element for element; one that repeats is never overwritten.
template <class S, class F>
[[gnu::always_inline]] inline void map(S* out, BlockOf<S> x, BlockOf<S> y, std::int64_t n, F f) {
  using V = Vector<S>;
  V* o = reinterpret_cast<V*>(out);
  V* const end = o + n / kElements<S>;
  const V* a = reinterpret_cast<const V*>(x.data);
  const V* b = reinterpret_cast<const V*>(y.data);
  if (x.repeats || y.repeats) {
    const V first = *a, second = *b;
    if (x.repeats && y.repeats)
      for (; o < end; ++o) *o = f(first, second);
    else if (y.repeats)
      for (; o < end; ++o, ++a) *o = f(V(*a), second);
    else
      for (; o < end; ++o, ++b) *o = f(first, V(*b));
    return;
  }
  for (; o < end; ++o, ++a, ++b) *o = f(V(*a), V(*b));
}

/// out = code(x, y) over n scalars, a multiple of kLanes.
template <class S>
void execute(const ElementwiseChain::Instruction& code, S* out, BlockOf<S> x, BlockOf<S> y, std::int64_t n) {
  using V = Vector<S>;
  const V a = broadcast(static_cast<S>(code.a)), b = broadcast(static_cast<S>(code.b));
  const V zero{}, one = broadcast(S(1));
  switch (code.op) {
    case Elementwise::copy:
      return map(out, x, y, n, [=](V x, V) { return x; });
    case Elementwise::add:
      return map(out, x, y, n, [=](V x, V y) { return x + y; });
    case Elementwise::sub:
      return map(out, x, y, n, [=](V x, V y) { return x - y; });
    case Elementwise::mul:
      return map(out, x, y, n, [=](V x, V y) { return x * y; });
    case Elementwise::div:
      return map(out, x, y, n, [=](V x, V y) { return x / y; });
    case Elementwise::scale:
      return map(out, x, y, n, [=](V x, V) { return a * x; });
    case Elementwise::offset:
      return map(out, x, y, n, [=](V x, V) { return x + a; });
    case Elementwise::exp:
      return map(out, x, y, n, [=](V x, V) { return exp_of(x); });
    case Elementwise::log:
      return map(out, x, y, n, [=](V x, V) { return log_of(x); });
    case Elementwise::sqrt:
      return map(out, x, y, n, [=](V x, V) { return sqrt_of(x); });
    case Elementwise::rsqrt:
      return map(out, x, y, n, [=](V x, V) { return one / sqrt_of(x); });
    case Elementwise::recip:
      return map(out, x, y, n, [=](V x, V) { return one / x; });
    case Elementwise::tanh:
      return map(out, x, y, n, [=](V x, V) { return tanh_of(x); });
    case Elementwise::sigmoid:
      return map(out, x, y, n, [=](V x, V) { return sigmoid_of(x); });
    case Elementwise::abs:
      return map(out, x, y, n, [=](V x, V) { return abs_of(x); });
    case Elementwise::sign:
      return map(out, x, y, n, [=](V x, V) { return x > zero ? one : x < zero ? -one : zero; });
    case Elementwise::relu_mask:
      return map(out, x, y, n, [=](V x, V y) { return y <= zero ? zero : x; });
    case Elementwise::leaky_relu_mask:
      return map(out, x, y, n, [=](V x, V y) { return y > zero ? x : a * x; });
    case Elementwise::clamp:
      return map(out, x, y, n, [=](V x, V y) { return y <= a ? a : y >= b ? b : x; });
    case Elementwise::clamp_mask:
      return map(out, x, y, n, [=](V x, V y) { return (a < y) & (y < b) ? x : zero; });
    case Elementwise::maximum:
      return map(out, x, y, n, [=](V x, V y) { return x > y ? x : y; });
    case Elementwise::minimum:
      return map(out, x, y, n, [=](V x, V y) { return x < y ? x : y; });
  }
}

/// rows x columns scalars side by side, from wherever they lie, converted if need be.
template <class S, class From>
void gather_plane(S* to, const From* from, std::int64_t rows, std::int64_t columns, std::int64_t row_stride, std::int64_t stride) {
  if (stride == 1 && (rows == 1 || row_stride == columns)) {
    for (std::int64_t i = 0; i < rows * columns; ++i) to[i] = static_cast<S>(from[i]);
  } else if (stride == 0 && columns == kLanes) {  // an operand that the trials in the lanes share
    for (std::int64_t r = 0; r < rows; ++r)
      for (int i = 0; i < kLanes; ++i) to[r * kLanes + i] = static_cast<S>(from[r * row_stride]);
  } else if (stride == 1 && columns == kLanes) {  // one that changes with the trial, but not along some axis
    for (std::int64_t r = 0; r < rows; ++r)
      for (int i = 0; i < kLanes; ++i) to[r * kLanes + i] = static_cast<S>(from[r * row_stride + i]);
  } else {
    for (std::int64_t r = 0; r < rows; ++r, to += columns, from += row_stride) {
      if (stride == 0) {
        const S value = static_cast<S>(*from);
        for (std::int64_t i = 0; i < columns; ++i) to[i] = value;
      } else {
        for (std::int64_t i = 0; i < columns; ++i) to[i] = static_cast<S>(from[i * stride]);
      }
    }
  }
}

}  // namespace gi::kernels::GI_ISA
