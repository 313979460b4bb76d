// Elementwise chains, random ones and those of a device's closed list, against the reference kernels run one by one.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "kernels/batchnorm/batchnorm_patterns.h"
#include "kernels/elementwise/elementwise_patterns.h"
#include "kernels/emu/emulator.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr int kTrials = 5;

/// A register as the reference computes it, for all trials, and how far an implementation may be off.
struct Register {
  std::vector<double> value, error;
  bool exact() const {
    return std::all_of(error.begin(), error.end(), [](double e) { return e == 0; });
  }
};

/// One chain on operands of every layout a Plan may hand over.
class ChainSample {
 public:
  /// A random one.
  ChainSample(std::uint64_t seed, DType dtype) : rng_(seed), dtype_(dtype), rounding_(dtype == DType::f32 ? 2e-7 : 1e-15) {
    draw_shape();
    chain.inputs = 1 + below(ElementwiseChain::kMaxInputs);
    for (int i = 0; i < chain.inputs; ++i) draw_input();
    chain.instructions = 1 + below(ElementwiseChain::kMaxInstructions);
    for (int i = 0; i < chain.instructions; ++i) draw_instruction(i);
    chain.outputs = 1 + below(ElementwiseChain::kMaxOutputs);
    for (int o = 0; o < chain.outputs; ++o)
      chain.result[o] = o == 0 ? static_cast<int>(registers_.size()) - 1 : below(static_cast<int>(registers_.size()));
    draw_outputs();
  }

  /// A pattern with random constants; positive throughout where it has poles.
  ChainSample(std::uint64_t seed, DType dtype, const ElementwisePattern& pattern)
      : rng_(seed), dtype_(dtype), rounding_(dtype == DType::f32 ? 2e-7 : 1e-15) {
    for (int i = 0; i < pattern.instructions; ++i) {
      const Elementwise op = pattern.code[i].op;
      positive_ |= op == Elementwise::log || op == Elementwise::sqrt || op == Elementwise::rsqrt || op == Elementwise::recip ||
                   op == Elementwise::div;
    }
    draw_shape();
    chain.inputs = pattern.inputs;
    for (int i = 0; i < chain.inputs; ++i) draw_input();
    chain.instructions = pattern.instructions;
    for (int i = 0; i < chain.instructions; ++i) {
      const auto& [op, x, y] = pattern.code[i];
      const double a = positive_ ? (1 + below(8)) / 8.0 : below(17) / 8.0 - 1.0;
      chain.code[i] = {op, x, y, a, a + 1.0};
      registers_.push_back(evaluate(chain.code[i]));
    }
    chain.outputs = pattern.outputs;
    for (int o = 0; o < chain.outputs; ++o) chain.result[o] = pattern.result[o];
    draw_outputs();
  }

  ElementwiseChain chain;
  std::vector<Input> in;
  std::vector<Output> out;
  const Register& result(int output) const { return registers_[chain.result[output]]; }

 private:
  int below(int n) { return static_cast<int>(rng_() % n); }

  void draw_shape() {
    if (below(12) == 0) {
      if (dtype_ == DType::f64) return;  // the scalars of trials
      shape_ = {1, 8, 32, 32};
      return;
    }
    const int rank = 1 + below(4);
    const std::int64_t extents[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 32, 49, 70};
    do {
      shape_.clear();
      for (int axis = 0; axis < rank; ++axis) shape_.push_back(extents[below(std::size(extents))]);
    } while (count(shape_) > 6000);
  }

  void draw_input() {
    Input input{.dims = shape_, .dtype = dtype_, .shared = below(4) == 0};
    Operand stored{.rank = static_cast<std::int64_t>(shape_.size()),
                   .domain = below(2) == 0 && !positive_ ? Domain::normal : Domain::positive};
    const int layout = below(4);  // 0, 1: dense; 2: broadcast along some axes, or from the scalar of a trial; 3: axes permuted
    for (std::size_t axis = 0; axis < shape_.size(); ++axis) stored.dims[axis] = layout == 2 && below(2) == 0 ? 1 : shape_[axis];
    if (layout == 2 && below(2) == 0) {
      std::fill_n(stored.dims.begin(), stored.rank, 1);
      input.dtype = DType::f64;
    }
    std::vector<double> narrow = draw(stored, input.dtype, kTrials, rng_());
    if (input.shared)
      for (std::size_t i = narrow.size() / kTrials; i < narrow.size(); ++i) narrow[i] = narrow[i - narrow.size() / kTrials];

    if (layout >= 2) {
      // Strides of the stored axes in some order, with room left over behind the innermost.
      std::vector<int> order(shape_.size());
      std::iota(order.begin(), order.end(), 0);
      if (layout == 3) std::shuffle(order.begin(), order.end(), rng_);
      std::int64_t stride = 1;
      input.strides.assign(shape_.size(), 0);
      for (std::size_t i = order.size(); i-- > 0;) {
        const std::int64_t extent = stored.dims[order[i]];
        if (layout == 3 || extent > 1) input.strides[order[i]] = stride;
        stride *= extent + (layout == 3 && i + 1 == order.size() ? below(3) : 0);
      }
    }
    Dims narrow_dims = dims_of(stored), wide = shape_;
    narrow_dims.insert(narrow_dims.begin(), kTrials);
    wide.insert(wide.begin(), kTrials);
    input.values = run_reference("broadcast_to", {}, {{narrow_dims, narrow}}, wide);

    Register r{input.values, std::vector<double>(input.values.size(), 0.0)};
    if (input.dtype != dtype_)
      for (std::size_t i = 0; i < r.value.size(); ++i) r.error[i] = rounding_ * std::abs(r.value[i]);
    registers_.push_back(std::move(r));
    in.push_back(std::move(input));
  }

  static std::vector<double> apply(const ElementwiseChain::Instruction& code, const std::vector<double>& x,
                                   const std::vector<double>& y) {
    const Dims dims{static_cast<std::int64_t>(x.size())};
    std::vector<Array> operands{{dims, x}};
    if (arity(code.op) == 2) operands.push_back({dims, y});
    return run_reference(kElementwiseNames[static_cast<std::size_t>(code.op)], Attrs(ElementwiseAttrs{code.a, code.b}), operands,
                         dims);
  }

  /// First-order bound: what the operands' errors do to the result, and its own rounding.
  Register evaluate(const ElementwiseChain::Instruction& code) const {
    const Register &x = registers_[code.x], &y = registers_[code.y];
    Register r{apply(code, x.value, y.value), {}};
    r.error.resize(r.value.size());
    for (std::size_t i = 0; i < r.error.size(); ++i) r.error[i] = rounding_ * std::abs(r.value[i]);
    for (double sign : {-1.0, 1.0}) {
      const auto moved = [&](const Register& operand) {
        std::vector<double> v = operand.value;
        for (std::size_t i = 0; i < v.size(); ++i) v[i] += sign * operand.error[i];
        return v;
      };
      const std::vector<double> by_x = apply(code, moved(x), y.value);
      const std::vector<double> by_y = arity(code.op) == 2 ? apply(code, x.value, moved(y)) : r.value;
      for (std::size_t i = 0; i < r.error.size(); ++i)
        r.error[i] += std::abs(by_x[i] - r.value[i]) + std::abs(by_y[i] - r.value[i]);
    }
    return r;
  }

  /// Instructions are drawn until one is well conditioned: far from poles, no decision by a rounded value, no growth.
  void draw_instruction(int i) {
    ElementwiseChain::Instruction& code = chain.code[i];
    Register r;
    for (int attempt = 0; attempt < 40; ++attempt) {
      code.op = attempt < 39 ? static_cast<Elementwise>(below(static_cast<int>(kElementwiseNames.size()))) : Elementwise::copy;
      code.x = below(static_cast<int>(registers_.size()));
      code.y = below(static_cast<int>(registers_.size()));
      code.a = below(17) / 8.0 - 1.0;
      code.b = code.a + 1.0;
      const auto low = [](const Register& v) { return *std::min_element(v.value.begin(), v.value.end()); };
      switch (code.op) {
        case Elementwise::log:
        case Elementwise::sqrt:
        case Elementwise::rsqrt:
        case Elementwise::recip:
          if (low(registers_[code.x]) < 0.2) continue;
          break;
        case Elementwise::div:
          if (low(registers_[code.y]) < 0.2) continue;
          break;
        case Elementwise::sign:
          if (!registers_[code.x].exact()) continue;
          break;
        case Elementwise::relu_mask:
        case Elementwise::leaky_relu_mask:
        case Elementwise::clamp:
        case Elementwise::clamp_mask:
          if (!registers_[code.y].exact()) continue;
          break;
        default:
          break;
      }
      r = evaluate(code);
      if (code.op == Elementwise::copy) break;
      if (std::all_of(r.value.begin(), r.value.end(), [](double v) { return std::abs(v) <= 8; })) break;
    }
    if (code.op == Elementwise::copy) r.error = registers_[code.x].error;
    registers_.push_back(std::move(r));
  }

  /// In fresh memory or in that of an operand of the same layout.
  void draw_outputs() {
    std::vector<bool> taken(in.size(), false);
    for (int o = 0; o < chain.outputs; ++o) {
      Output output{.dims = shape_, .dtype = dtype_};
      const int i = below(static_cast<int>(in.size()));
      if (below(2) == 0 && !in[i].shared && in[i].strides.empty() && in[i].dtype == dtype_ && !taken[i])
        output.in_place = i, taken[i] = true;
      out.push_back(output);
    }
  }

  std::mt19937_64 rng_;
  DType dtype_;
  double rounding_;
  bool positive_ = false;  ///< all operands
  Dims shape_;
  std::vector<Register> registers_;
};

/// The largest error over what is allowed.
double worst_error(const ChainSample& sample, const Outcome& outcome, std::span<const int> trials) {
  double worst = 0;
  for (std::size_t o = 0; o < sample.out.size(); ++o) {
    const Register& r = sample.result(static_cast<int>(o));
    const std::size_t n = r.value.size() / kTrials;
    for (std::size_t i = 0; i < outcome.out[o].size(); ++i) {
      const std::size_t at = trials[i / n] * n + i % n;
      const double error = std::abs(outcome.out[o][i] - r.value[at]) / (2 * r.error[at] + 1e-37);
      worst = error <= worst ? worst : error;
    }
  }
  return worst;
}

ElementwiseChain chain_of(const ElementwisePattern& pattern) {
  ElementwiseChain chain;
  chain.inputs = pattern.inputs, chain.instructions = pattern.instructions, chain.outputs = pattern.outputs;
  for (int i = 0; i < pattern.instructions; ++i) chain.code[i] = {pattern.code[i].op, pattern.code[i].x, pattern.code[i].y, 0, 0};
  for (int o = 0; o < pattern.outputs; ++o) chain.result[o] = pattern.result[o];
  return chain;
}

}  // namespace

TEST_CASE("random elementwise chains against the references", "[parity]") {
  for (DType dtype : {DType::f32, DType::f64})
    for (std::uint64_t seed = 1; seed <= 80; ++seed) {
      const ChainSample random(seed, dtype);
      for (const Kernel& kernel : all_kernels_of("elementwise_chain", dtype)) {
        if (kernel.isa == Isa::cuda) continue;  // a closed list
        Bits bits;
        CAPTURE(seed, describe(kernel));
        for (std::int64_t places : {kernel.lanes == 1 ? 3 : 2 * kernel.lanes, kernel.lanes}) {
          const std::vector<int> trials = trials_at(places, kTrials);
          const Outcome outcome = run_kernel(kernel, &random.chain, random.in, random.out, trials);
          REQUIRE(outcome.declined == "");
          CHECK(outcome.fault == "");
          CHECK(bits.differs(outcome, trials) == -1);
          CHECK(worst_error(random, outcome, trials) <= 1);
        }
      }
    }
}

TEST_CASE("the chains of a device against the references, in any order of threads", "[parity][emulated]") {
  struct Settings {
    gi::emu::Config before = gi::emu::config();
    ~Settings() { gi::emu::config() = before; }
  } settings;
  for (DType dtype : {DType::f32, DType::f64})
    for (int p = 0; p < (dtype == DType::f32 ? kTensorPatterns : kAllPatterns); ++p)
      for (std::uint64_t seed = 1; seed <= (dtype == DType::f32 ? 12 : 4); ++seed) {
        const ChainSample sample(1000 * p + seed, dtype, elementwise_pattern(p));
        for (const Kernel& kernel : kernels_of("elementwise_chain", Isa::cuda, dtype, 1)) {
          Bits bits;
          CAPTURE(p, seed, describe(kernel));
          for (const auto& [places, order] : {std::pair{3, gi::emu::Order::forward}, std::pair{3, gi::emu::Order::reverse},
                                              std::pair{1, gi::emu::Order::shuffled}}) {
            gi::emu::config() = {.order = order, .seed = seed};
            const std::vector<int> trials = trials_at(places, kTrials);
            const Outcome outcome = run_kernel(kernel, &sample.chain, sample.in, sample.out, trials);
            REQUIRE(outcome.declined == "");
            CHECK(outcome.fault == "");
            CHECK(bits.differs(outcome, trials) == -1);
            CHECK(worst_error(sample, outcome, trials) <= 1);
          }
        }
      }
}

/// With `head_inputs` a list of what follows a head.
void check_list(ElementwisePatterns list, int count, int head_inputs) {
  for (int p = 0; p < count; ++p) {
    const ElementwisePattern& pattern = list(p);
    CAPTURE(p, head_inputs);
    std::vector<int> reads(pattern.inputs + pattern.instructions, 0);
    for (int i = 0; i < pattern.instructions; ++i)
      for (int operand = 0; operand < arity(pattern.code[i].op); ++operand) {
        const int r = operand == 0 ? pattern.code[i].x : pattern.code[i].y;
        REQUIRE(r < pattern.inputs + i);
        ++reads[r];
      }
    for (int o = 0; o < pattern.outputs; ++o) {
      REQUIRE((pattern.result[o] >= pattern.inputs || (head_inputs > 0 && pattern.result[o] == 0)));  // operands are there already
      ++reads[pattern.result[o]];
    }
    CHECK(std::all_of(reads.begin(), reads.end(), [](int n) { return n > 0; }));
    ElementwiseMatch match;
    ElementwiseChain chain = chain_of(pattern);
    chain.head_inputs = head_inputs;
    CHECK(find_pattern(list, count, chain, match) == p);
  }
}

TEST_CASE("every pattern reads what is there and is the first to match its chain", "[unit]") {
  check_list(elementwise_pattern, kAllPatterns, 0);
  check_list(batchnorm_pattern<1>, kBatchnormPatterns<1>, 1);
  check_list(batchnorm_pattern<2>, kBatchnormPatterns<2>, 2);
  check_list(batchnorm_pattern<3>, kBatchnormPatterns<3>, 3);
}

TEST_CASE("a pattern takes a chain's operands in any order and number, its results in any order", "[unit]") {
  using namespace gi::kernels::patterns;
  const ElementwisePattern pattern{4, {mul(0, 1), mul(2, 3), add(4, 5), scale(6)}, {6, 7}};
  ElementwiseMatch match;
  const auto try_chain = [&](const ElementwisePattern& of) { return matches(pattern, chain_of(of), match); };
  REQUIRE(try_chain(pattern));
  CHECK((match.input[0] == 0 && match.input[3] == 3 && match.output[0] == 0));
  REQUIRE(try_chain({4, {mul(3, 2), mul(1, 0), add(5, 4), scale(6)}, {7, 6}}));
  CHECK((match.input[0] == 3 && match.input[3] == 0));
  CHECK((match.output[0] == 1 && match.output[1] == 0));
  REQUIRE(try_chain({2, {mul(0, 0), mul(1, 0), add(2, 3), scale(4)}, {4, 5}}));
  CHECK((match.input[0] == 0 && match.input[1] == 0 && match.input[2] == 1 && match.input[3] == 0));

  CHECK(!try_chain({4, {mul(0, 1), mul(2, 3), add(4, 5), scale(6)}, {7}}));     // too few results
  CHECK(!try_chain({4, {mul(0, 1), mul(2, 3), add(4, 5), scale(6)}, {5, 7}}));  // another one
  CHECK(!try_chain({4, {mul(0, 1), mul(2, 3), add(4, 4), scale(6)}, {6, 7}}));  // another instruction's result
  CHECK(!try_chain({4, {mul(0, 1), mul(2, 3), sub(4, 5), scale(6)}, {6, 7}}));  // another op
  CHECK(!try_chain({3, {mul(0, 1), mul(2, 3), add(3, 4), scale(5)}, {5, 6}}));  // an instruction's result for an operand
  CHECK(!matches({2, {sub(0, 1)}, {2}}, chain_of({2, {sub(1, 0), scale(2)}, {2, 3}}), match));
  REQUIRE(matches({2, {sub(0, 1)}, {2}}, chain_of({2, {sub(1, 0)}, {2}}), match));  // the operands' numbers mean nothing
  CHECK((match.input[0] == 1 && match.input[1] == 0));
  const ElementwisePattern square{1, {mul(0, 0)}, {1}};
  CHECK(!matches(square, chain_of({2, {mul(0, 1)}, {2}}), match));
}
