// A chain of known instructions on the device: unrolled, its values in registers. Only for *_cuda.cu files.
#pragma once

#include "kernels/common/cuda.h"
#include "kernels/common/elementwise_pattern.h"

namespace gi::kernels::GI_DEVICE {

/// Numbers that a thread computes side by side.
template <class Scalar, int kWidth>
struct alignas(kWidth * sizeof(Scalar)) Group {
  Scalar number[kWidth];
};

/// Row `kPattern` of a list, as constants: device code calls no host function, constexpr or not.
template <ElementwisePatterns List, int kPattern>
struct PatternCode {
  static constexpr int kInputs = List(kPattern).inputs, kInstructions = List(kPattern).instructions,
                       kOutputs = List(kPattern).outputs, kRegisters = kInputs + kInstructions;
  template <int kInstruction>
  static constexpr ElementwisePattern::Instruction kCode = List(kPattern).code[kInstruction];
  template <int kOutput>
  static constexpr int kResult = List(kPattern).result[kOutput];
};

template <Elementwise Op, class Scalar>
__device__ Scalar apply(Scalar x, Scalar y, Scalar a, Scalar b) {
  using E = Elementwise;
  if constexpr (Op == E::copy) return x;
  else if constexpr (Op == E::add) return x + y;
  else if constexpr (Op == E::sub) return x - y;
  else if constexpr (Op == E::mul) return x * y;
  else if constexpr (Op == E::div) return x / y;
  else if constexpr (Op == E::scale) return a * x;
  else if constexpr (Op == E::offset) return x + a;
  else if constexpr (Op == E::exp) return exp(x);
  else if constexpr (Op == E::log) return log(x);
  else if constexpr (Op == E::sqrt) return sqrt(x);
  else if constexpr (Op == E::rsqrt) return Scalar(1) / sqrt(x);
  else if constexpr (Op == E::recip) return Scalar(1) / x;
  else if constexpr (Op == E::tanh) return tanh(x);
  else if constexpr (Op == E::sigmoid) {
    const Scalar e = exp(x < Scalar(0) ? x : -x);  // at most 1
    return (x < Scalar(0) ? e : Scalar(1)) / (Scalar(1) + e);
  } else if constexpr (Op == E::abs) return x < Scalar(0) ? -x : x == Scalar(0) ? Scalar(0) : x;
  else if constexpr (Op == E::sign) return Scalar(x > Scalar(0)) - Scalar(x < Scalar(0));
  else if constexpr (Op == E::relu_mask) return y <= Scalar(0) ? Scalar(0) : x;
  else if constexpr (Op == E::leaky_relu_mask) return y > Scalar(0) ? x : a * x;
  else if constexpr (Op == E::clamp) return y <= a ? a : y >= b ? b : x;
  else if constexpr (Op == E::clamp_mask) return a < y && y < b ? x : Scalar(0);
  else if constexpr (Op == E::maximum) return x > y ? x : y;
  else return x < y ? x : y;
}

/// From the operands, in the first registers, to all others.
template <class Code, class Scalar, int kWidth, int... kInstruction>
__device__ void run_instructions(Group<Scalar, kWidth> (&registers)[Code::kRegisters], const Scalar (&a)[Code::kInstructions],
                                 const Scalar (&b)[Code::kInstructions], std::integer_sequence<int, kInstruction...>) {
#pragma unroll
  for (int j = 0; j < kWidth; ++j)
    ((registers[Code::kInputs + kInstruction].number[j] = apply<Code::template kCode<kInstruction>.op>(
          registers[Code::template kCode<kInstruction>.x].number[j], registers[Code::template kCode<kInstruction>.y].number[j],
          a[kInstruction], b[kInstruction])),
     ...);
}
template <class Code, class Scalar, int kWidth>
__device__ void run_instructions(Group<Scalar, kWidth> (&registers)[Code::kRegisters], const Scalar (&a)[Code::kInstructions],
                                 const Scalar (&b)[Code::kInstructions]) {
  run_instructions<Code>(registers, a, b, std::make_integer_sequence<int, Code::kInstructions>{});
}

/// The constants of a chain's instructions.
template <class Scalar, int kInstructions>
void fill_constants(const ElementwiseChain& chain, Scalar (&a)[kInstructions], Scalar (&b)[kInstructions]) {
  for (int i = 0; i < kInstructions; ++i) {
    a[i] = static_cast<Scalar>(chain.code[static_cast<std::size_t>(i)].a);
    b[i] = static_cast<Scalar>(chain.code[static_cast<std::size_t>(i)].b);
  }
}

}  // namespace gi::kernels::GI_DEVICE
