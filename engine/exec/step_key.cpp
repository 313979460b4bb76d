#include "engine/exec/step_key.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <vector>

namespace gi {

using kernels::ElementwiseChain;
using kernels::Layout;

namespace {

/// A member of 8 bytes: a double's bits, read as a whole number, lie far from every extent.
std::string word(std::int64_t bits) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  return -kMost < bits && bits < kMost ? fmt::format("{}", bits) : fmt::format("{}", std::bit_cast<double>(bits));
}

std::string attributes(const kernels::Attrs& attrs) {
  std::vector<std::int64_t> words(kernels::Attrs::kCapacity / sizeof(std::int64_t));
  std::memcpy(words.data(), attrs.data(), kernels::Attrs::kCapacity);
  while (!words.empty() && words.back() == 0) words.pop_back();
  std::vector<std::string> list;
  for (const std::int64_t w : words) list.push_back(word(w));
  return fmt::format("{}", fmt::join(list, " "));
}

std::string instructions(const ElementwiseChain& chain) {
  std::string text = chain.head_inputs > 0 ? attributes(chain.head) + "; " : "";
  for (std::int64_t i = 0; i < chain.instructions; ++i) {
    const ElementwiseChain::Instruction& c = chain.code[i];
    text += fmt::format("{}{} {}", i > 0 ? "; " : "", kernels::kElementwiseNames[static_cast<std::size_t>(c.op)], c.x);
    if (kernels::arity(c.op) == 2) text += fmt::format(" {}", c.y);
    if (c.a != 0 || c.b != 0) text += fmt::format(" a={} b={}", c.a, c.b);
  }
  return fmt::format("{} = {}", text, fmt::join(chain.result.begin(), chain.result.begin() + chain.outputs, " "));
}

template <class Numbers>
std::string list_of(const Numbers& numbers, std::int64_t rank) {
  return fmt::format("[{}]", fmt::join(numbers.begin(), numbers.begin() + rank, ","));
}

std::string operand(const Layout& l, DType dtype, std::int64_t lanes, bool one_trial) {
  std::string text = list_of(l.dims, l.rank);
  const bool shared = l.shared() && !one_trial;
  if (shared) text += " shared";
  else if (l.lanes != lanes) text += fmt::format(" x{}", l.lanes);
  if (!l.dense_from(shared ? 1 : 0)) text += fmt::format(" strides {}", list_of(l.strides, l.rank));
  if (l.dtype != dtype) text += l.dtype == DType::f32 ? " f32" : " f64";
  return text;
}

}  // namespace

std::string step_key(const Plan::Step& step, std::string_view op, DType dtype, std::int64_t lanes) {
  const bool one_trial = lanes == 1 && step.out[0].layout.dims[0] == 1;
  const auto operands = [&](const std::vector<Plan::Operand>& list) {
    std::vector<std::string> texts;
    for (const Plan::Operand& o : list) texts.push_back(operand(o.layout, dtype, lanes, one_trial));
    return fmt::format("{}", fmt::join(texts, " "));
  };
  return fmt::format("{} {} x{} ({}) {} -> {}", op, dtype == DType::f32 ? "f32" : "f64", lanes,
                     step.chain ? instructions(*step.chain) : attributes(step.attrs), operands(step.in), operands(step.out));
}

}  // namespace gi
