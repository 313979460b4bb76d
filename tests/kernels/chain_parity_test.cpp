// Random elementwise chains against the reference kernels run one by one.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "kernels/elementwise/elementwise.h"
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

/// One random chain on operands of every layout a Plan may hand over.
class RandomChain {
 public:
  RandomChain(std::uint64_t seed, DType dtype) : rng_(seed), dtype_(dtype), rounding_(dtype == DType::f32 ? 2e-7 : 1e-15) {
    draw_shape();
    chain.inputs = 1 + below(ElementwiseChain::kMaxInputs);
    for (int i = 0; i < chain.inputs; ++i) draw_input();
    chain.instructions = 1 + below(ElementwiseChain::kMaxInstructions);
    for (int i = 0; i < chain.instructions; ++i) draw_instruction(i);
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
    Operand stored{.rank = static_cast<std::int64_t>(shape_.size()), .domain = below(2) == 0 ? Domain::normal : Domain::positive};
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

  /// The last register and any others, in fresh memory or in that of an operand of the same layout.
  void draw_outputs() {
    chain.outputs = 1 + below(ElementwiseChain::kMaxOutputs);
    std::vector<bool> taken(in.size(), false);
    for (int o = 0; o < chain.outputs; ++o) {
      chain.result[o] = o == 0 ? static_cast<int>(registers_.size()) - 1 : below(static_cast<int>(registers_.size()));
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
  Dims shape_;
  std::vector<Register> registers_;
};

}  // namespace

TEST_CASE("random elementwise chains against the references", "[parity]") {
  for (DType dtype : {DType::f32, DType::f64})
    for (std::uint64_t seed = 1; seed <= 80; ++seed) {
      const RandomChain random(seed, dtype);
      for (const Kernel& kernel : all_kernels_of("elementwise_chain", dtype)) {
        if (kernel.isa == Isa::cuda) continue;  // single ops
        Bits bits;
        CAPTURE(seed, describe(kernel));
        for (std::int64_t places : {kernel.lanes == 1 ? 3 : 2 * kernel.lanes, kernel.lanes}) {
          const std::vector<int> trials = trials_at(places, kTrials);
          const Outcome outcome = run_kernel(kernel, &random.chain, random.in, random.out, trials);
          REQUIRE(outcome.declined == "");
          CHECK(outcome.fault == "");
          CHECK(bits.differs(outcome, trials) == -1);
          double worst = 0;  // error over what is allowed
          for (std::size_t o = 0; o < random.out.size(); ++o) {
            const Register& r = random.result(static_cast<int>(o));
            const std::size_t n = r.value.size() / kTrials;
            for (std::size_t i = 0; i < outcome.out[o].size(); ++i) {
              const std::size_t at = trials[i / n] * n + i % n;
              const double error = std::abs(outcome.out[o][i] - r.value[at]) / (2 * r.error[at] + 1e-37);
              worst = error <= worst ? worst : error;
            }
          }
          CHECK(worst <= 1);
        }
      }
    }
}
