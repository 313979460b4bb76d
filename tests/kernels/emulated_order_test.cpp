// Emulated CUDA kernels over all cases: the same bits in whatever order the threads and blocks of a grid take their turns.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>

#include "kernels/all_cases.h"
#include "kernels/emu/emulator.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

using gi::emu::Order;

/// The settings are put back at the end.
struct Settings {
  gi::emu::Config before = gi::emu::config();
  ~Settings() { gi::emu::config() = before; }
};

bool is_view(const Case& c) { return std::string_view(c.op) == "broadcast_to" || std::string_view(c.op) == "reshape"; }

/// The instruction of an op that runs as a chain of one, or null.
const char* const* instruction(const Case& c) {
  const std::string_view op = is_view(c) ? "copy" : c.op;
  const auto found = std::find(kElementwiseNames.begin(), kElementwiseNames.end(), op);
  return found == kElementwiseNames.end() ? nullptr : &*found;
}

ElementwiseChain chain_of(const Case& c) {
  ElementwiseChain chain;
  chain.inputs = chain.result[0] = c.operands;
  chain.instructions = chain.outputs = 1;
  chain.code[0] = {.op = static_cast<Elementwise>(instruction(c) - kElementwiseNames.data()), .x = 0, .y = 1};
  if (!is_view(c)) chain.code[0].a = c.attrs.as<ElementwiseAttrs>().a, chain.code[0].b = c.attrs.as<ElementwiseAttrs>().b;
  return chain;
}

DType dtype_of(const Operand& o, DType plan) { return o.rank == 0 ? DType::f64 : plan; }

bool same_bits(const Outcome& a, const Outcome& b) {
  return std::equal(a.out.begin(), a.out.end(), b.out.begin(), b.out.end(), [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0;
  });
}

/// One kernel on one case. False if it declines.
bool check_kernel(const Kernel& kernel, const Case& c, DType dtype, bool pair) {
  constexpr int kTrials = 3;
  const ElementwiseChain chain = instruction(c) != nullptr ? chain_of(c) : ElementwiseChain{};
  std::vector<Input> in;
  for (int i = 0; i < c.operands * (pair ? 2 : 1); ++i) {
    const Operand& operand = is_view(c) ? c.out : c.in[i % c.operands];  // a dense copy for views
    const DType type = dtype_of(operand, dtype);
    in.push_back({.dims = dims_of(operand), .dtype = type, .values = draw(operand, type, kTrials, 17 * i + 1)});
  }
  const Output out{.dims = dims_of(c.out), .dtype = dtype_of(c.out, dtype)};
  const std::vector<int> trials = trials_at(kTrials, kTrials);
  const void* attrs = instruction(c) != nullptr ? static_cast<const void*>(&chain) : c.attrs.data();
  const auto run = [&](Order order, std::uint64_t seed) {
    gi::emu::config() = {.order = order, .seed = seed};
    return run_kernel(kernel, attrs, in, {&out, 1}, trials);
  };
  const Settings settings;
  const Outcome forward = run(Order::forward, 1);
  if (!forward.declined.empty()) return false;
  INFO(describe(kernel) << " on " << c.op << ", " << c.label << (pair ? ", a pair" : ""));
  CHECK(forward.fault == "");
  CHECK(same_bits(run(Order::reverse, 1), forward));
  CHECK(same_bits(run(Order::shuffled, 1), forward));
  if (!c.large) CHECK(same_bits(run(Order::shuffled, 2), forward));
  return true;
}

void check_cases(bool large) {
  int served = 0;
  for (const Case& c : all_cases()) {
    if (c.large != large) continue;
    const std::string_view op = c.op;
    const bool pairs = op == "conv2d" || op == "conv2d_grad_input" || op == "matmul";
    for (DType dtype : {DType::f32, DType::f64}) {
      if (instruction(c) != nullptr && dtype_of(c.out, dtype) != dtype) continue;
      for (const Kernel& kernel : kernels_of(instruction(c) != nullptr ? "elementwise_chain" : op, Isa::cuda, dtype, 1))
        for (bool pair : {false, true})
          if (!pair || pairs) served += check_kernel(kernel, c, dtype, pair) ? 1 : 0;
    }
  }
  CHECK(served > 0);
}

}  // namespace

TEST_CASE("the order of threads and blocks changes no bit", "[emulated]") { check_cases(false); }
TEST_CASE("the order of threads and blocks changes no bit of large cases", "[emulated][slow]") { check_cases(true); }
