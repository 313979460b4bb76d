// A chain whose instructions are known when its kernel is compiled, and how a Plan's chain is recognised as one.
#pragma once

#include <array>
#include <initializer_list>

#include "kernels/api/elementwise.h"

namespace gi::kernels {

struct ElementwisePattern {
  struct Instruction {
    Elementwise op;
    int x, y;
  };
  int inputs, instructions = 0, outputs = 0;
  std::array<Instruction, ElementwiseChain::kMaxInstructions> code{};
  std::array<int, ElementwiseChain::kMaxOutputs> result{};

  constexpr ElementwisePattern(int inputs, std::initializer_list<Instruction> instructions_, std::initializer_list<int> results)
      : inputs(inputs) {
    for (const Instruction& i : instructions_) code[static_cast<std::size_t>(instructions++)] = i;
    for (const int r : results) result[static_cast<std::size_t>(outputs++)] = r;
  }
};

namespace patterns {

using Pattern = ElementwisePattern;
using Instruction = Pattern::Instruction;

constexpr Instruction add(int x, int y) { return {Elementwise::add, x, y}; }
constexpr Instruction sub(int x, int y) { return {Elementwise::sub, x, y}; }
constexpr Instruction mul(int x, int y) { return {Elementwise::mul, x, y}; }
constexpr Instruction div(int x, int y) { return {Elementwise::div, x, y}; }
constexpr Instruction scale(int x) { return {Elementwise::scale, x, 0}; }
constexpr Instruction offset(int x) { return {Elementwise::offset, x, 0}; }
constexpr Instruction exp(int x) { return {Elementwise::exp, x, 0}; }
constexpr Instruction sqrt(int x) { return {Elementwise::sqrt, x, 0}; }
constexpr Instruction rsqrt(int x) { return {Elementwise::rsqrt, x, 0}; }
constexpr Instruction sigmoid(int x) { return {Elementwise::sigmoid, x, 0}; }
constexpr Instruction sign(int x) { return {Elementwise::sign, x, 0}; }
constexpr Instruction relu_mask(int x, int y) { return {Elementwise::relu_mask, x, y}; }
constexpr Instruction maximum(int x, int y) { return {Elementwise::maximum, x, y}; }
constexpr Instruction minimum(int x, int y) { return {Elementwise::minimum, x, y}; }

}  // namespace patterns

/// How a chain is computed by a pattern: the chain's operand that is read for each of the pattern's, and its output that each
/// result goes to.
struct ElementwiseMatch {
  std::array<int, ElementwiseChain::kMaxInputs> input{};
  std::array<int, ElementwiseChain::kMaxOutputs> output{};
};

/// The chain has the pattern's instructions one by one, with any constants; two operands of the pattern may be the same of the
/// chain, and sums and products may have theirs exchanged. Only a head's value is always operand 0 of both.
constexpr bool matches(const ElementwisePattern& pattern, const ElementwiseChain& chain, ElementwiseMatch& match) {
  if (pattern.instructions != chain.instructions || pattern.outputs != chain.outputs) return false;
  const int moved = static_cast<int>(chain.inputs) - pattern.inputs;  // of an instruction's register
  const bool headed = chain.head_inputs > 0;
  match.input.fill(-1);
  if (headed) match.input[0] = 0;
  const auto take = [&](int r, std::int64_t of_chain) {
    if (r >= pattern.inputs) return of_chain == r + moved;
    int& bound = match.input[static_cast<std::size_t>(r)];
    if (bound == -1 && of_chain < chain.inputs && !(headed && of_chain == 0)) bound = static_cast<int>(of_chain);
    return bound == of_chain;
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(pattern.instructions); ++i) {
    const auto& [op, x, y] = pattern.code[i];
    const ElementwiseChain::Instruction& of_chain = chain.code[i];
    if (op != of_chain.op) return false;
    const auto before = match.input;
    if (take(x, of_chain.x) && (arity(op) == 1 || take(y, of_chain.y))) continue;
    match.input = before;
    const bool commutes = op == Elementwise::add || op == Elementwise::mul;
    if (!commutes || !take(x, of_chain.y) || !take(y, of_chain.x)) return false;
  }
  for (std::size_t r = 0; r < static_cast<std::size_t>(pattern.outputs); ++r) {
    const int of_pattern = pattern.result[r];
    const int of_chain = of_pattern < pattern.inputs ? match.input[static_cast<std::size_t>(of_pattern)] : of_pattern + moved;
    match.output[r] = -1;
    for (std::size_t o = 0; o < static_cast<std::size_t>(chain.outputs); ++o)
      if (chain.result[o] == of_chain) match.output[r] = static_cast<int>(o);
    if (match.output[r] == -1) return false;
  }
  return true;
}

/// The rows of a closed list by number.
using ElementwisePatterns = const ElementwisePattern& (*)(int);

/// The first of `count` rows that matches, or -1.
constexpr int find_pattern(ElementwisePatterns list, int count, const ElementwiseChain& chain, ElementwiseMatch& match) {
  for (int i = 0; i < count; ++i)
    if (matches(list(i), chain, match)) return i;
  return -1;
}

}  // namespace gi::kernels
