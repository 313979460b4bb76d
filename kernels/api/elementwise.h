// Elementwise ops: equal shapes in, the same shape out. Inputs may have any strides, zero included (broadcasts), may be
// shared by the trials, and a broadcast of a per-trial scalar [T] comes as the f64 it is.
//
// piecewise ops keep their decision apart from their value: linear in the first operand, zero derivative in d.
//   relu_mask(g, d)         g where d > 0, else 0 (a NaN in d passes g)
//   leaky_relu_mask(g, d)   g where d > 0, else a*g
//   clamp(v, d)             a where d <= a, b where d >= b, else v
//   clamp_mask(g, d)        g where a < d < b, else 0
#pragma once

#include <array>
#include <cstdint>

#include "kernels/api/attrs.h"

namespace gi::kernels {

enum class Elementwise : std::int64_t {
  copy,
  add,
  sub,
  mul,
  div,
  scale,   // a*x
  offset,  // x + a
  exp,
  log,
  sqrt,
  rsqrt,
  recip,
  tanh,
  sigmoid,
  abs,
  sign,
  relu_mask,
  leaky_relu_mask,
  clamp,
  clamp_mask,
  maximum,
  minimum,
};
inline constexpr std::array<const char*, 22> kElementwiseNames{
    "copy",  "add",  "sub",     "mul", "div",  "scale",     "offset",          "exp",   "log",        "sqrt",    "rsqrt",
    "recip", "tanh", "sigmoid", "abs", "sign", "relu_mask", "leaky_relu_mask", "clamp", "clamp_mask", "maximum", "minimum"};

/// Operands an elementwise op takes.
constexpr int arity(Elementwise op) {
  switch (op) {
    case Elementwise::add:
    case Elementwise::sub:
    case Elementwise::mul:
    case Elementwise::div:
    case Elementwise::relu_mask:
    case Elementwise::leaky_relu_mask:
    case Elementwise::clamp:
    case Elementwise::clamp_mask:
    case Elementwise::maximum:
    case Elementwise::minimum:
      return 2;
    default:
      return 1;
  }
}

struct ElementwiseAttrs {
  double a = 0, b = 0;
};

/// A chain of elementwise ops run block by block, so that what lies between stays in the first-level cache. Its Kernel
/// entry has the op name "elementwise_chain"; `Problem::attrs` points to this struct (too large for Attrs).
///
/// Registers 0..inputs-1 hold the operands; instruction i writes register inputs + i and reads lower ones.
///
/// A chain may have a head, an op of any other kind whose result, rounded to the Plan's dtype, is register 0. Kernel entries then
/// have the head's op name and "_chain" after it, and its operands stand before those of the other registers.
struct ElementwiseChain {
  static constexpr int kMaxInputs = 16, kMaxInstructions = 32, kMaxOutputs = 8;
  struct Instruction {
    Elementwise op;
    std::int64_t x, y;  ///< registers; y unused by unary ops
    double a, b;
  };
  std::int64_t inputs = 0, instructions = 0, outputs = 0;
  std::array<Instruction, kMaxInstructions> code{};
  std::array<std::int64_t, kMaxOutputs> result{};  ///< register of each output
  std::int64_t head_inputs = 0;                    ///< 0: no head
  Attrs head{};
};

}  // namespace gi::kernels
