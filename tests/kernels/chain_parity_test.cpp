// Elementwise chains: random ones against the reference kernels run one by one, and functions at the edges of their domains.
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

std::vector<Kernel> chain_kernels(DType dtype) {
  std::vector<Kernel> list;
  for (int isa = 0; isa <= static_cast<int>(best_isa()); ++isa)
    for (const Kernel& k : cpu_kernels(static_cast<Isa>(isa)))
      if (std::string_view(k.op) == "elementwise_chain" && k.dtype == dtype) list.push_back(k);
  return list;
}

/// A register as the reference computes it, for all trials, and how far an implementation may be off.
struct Register {
  std::vector<double> value, error;
  bool exact() const { return std::all_of(error.begin(), error.end(), [](double e) { return e == 0; }); }
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
    for (std::size_t axis = 0; axis < shape_.size(); ++axis)
      stored.dims[axis] = layout == 2 && below(2) == 0 ? 1 : shape_[axis];
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
    return run_reference(kElementwiseNames[static_cast<std::size_t>(code.op)], Attrs(ElementwiseAttrs{code.a, code.b}), operands, dims);
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
        case Elementwise::log: case Elementwise::sqrt: case Elementwise::rsqrt: case Elementwise::recip:
          if (low(registers_[code.x]) < 0.2) continue;
          break;
        case Elementwise::div:
          if (low(registers_[code.y]) < 0.2) continue;
          break;
        case Elementwise::sign:
          if (!registers_[code.x].exact()) continue;
          break;
        case Elementwise::relu_mask: case Elementwise::leaky_relu_mask: case Elementwise::clamp: case Elementwise::clamp_mask:
          if (!registers_[code.y].exact()) continue;
          break;
        default: break;
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

/// One op on a list of values, through every chain kernel.
template <class Check>
void for_each_function_value(Elementwise op, DType dtype, const std::vector<double>& x, Check check) {
  ElementwiseChain chain;
  chain.inputs = chain.instructions = chain.outputs = chain.result[0] = 1;
  chain.code[0] = {.op = op};
  const Input in{.dims = {static_cast<std::int64_t>(x.size())}, .dtype = dtype, .values = x};
  const Output out{.dims = in.dims, .dtype = dtype};
  for (const Kernel& kernel : chain_kernels(dtype)) {
    const std::vector<int> trials(kernel.lanes, 0);
    const Outcome outcome = run_kernel(kernel, &chain, {&in, 1}, {&out, 1}, trials);
    const std::string isa = kIsaNames[static_cast<std::size_t>(kernel.isa)], name = kElementwiseNames[static_cast<std::size_t>(op)];
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double argument = x[i], got = outcome.out[0][i];
      CAPTURE(name, isa, kernel.lanes, argument);
      check(argument, got);
    }
  }
}

long double exactly(Elementwise op, long double x) {
  switch (op) {
    case Elementwise::exp: return std::exp(x);
    case Elementwise::log: return std::log(x);
    case Elementwise::tanh: return std::tanh(x);
    case Elementwise::sigmoid: return 1 / (1 + std::exp(-x));
    case Elementwise::sqrt: return std::sqrt(x);
    case Elementwise::rsqrt: return 1 / std::sqrt(x);
    default: return 1 / x;
  }
}

constexpr Elementwise kFunctions[] = {Elementwise::exp,  Elementwise::log,   Elementwise::tanh, Elementwise::sigmoid,
                                      Elementwise::sqrt, Elementwise::rsqrt, Elementwise::recip};

}  // namespace

TEST_CASE("random elementwise chains against the references", "[parity]") {
  for (DType dtype : {DType::f32, DType::f64})
    for (std::uint64_t seed = 1; seed <= 80; ++seed) {
      const RandomChain random(seed, dtype);
      for (const Kernel& kernel : chain_kernels(dtype)) {
        Bits bits;
        const std::string isa = kIsaNames[static_cast<std::size_t>(kernel.isa)];
        CAPTURE(seed, isa, kernel.lanes, dtype == DType::f32);
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

TEST_CASE("functions are accurate over their whole domains", "[parity]") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const bool single = dtype == DType::f32;
    for (Elementwise op : kFunctions) {
      const bool of_positive = op == Elementwise::log || op == Elementwise::sqrt || op == Elementwise::rsqrt;
      std::mt19937_64 rng(7);
      std::vector<double> x;
      for (int i = 0; i < 6000; ++i) {
        const double u = std::uniform_real_distribution(-1.0, 1.0)(rng);
        // A third near 1 in magnitude, a third of any magnitude, a third as far as exp reaches.
        const double magnitude = i % 3 == 0 ? 2 * u : i % 3 == 1 ? std::copysign(std::exp2(std::abs(u) * 240 - 120), u) : u * (single ? 87 : 700);
        const double value = of_positive ? std::abs(magnitude) : magnitude;
        x.push_back(single ? static_cast<float>(value) : value);
      }
      double worst = 0;
      for_each_function_value(op, dtype, x, [&](double argument, double got) {
        const long double want = exactly(op, argument);
        const long double magnitude = std::abs(want);
        if (!(magnitude > (single ? 1.2e-38L : 2.3e-308L)) || magnitude > (single ? 3.4e38L : 1.7e308L)) return;
        const auto error = static_cast<double>(std::abs(got - want) / magnitude);
        worst = error <= worst ? worst : error;
      });
      CAPTURE(kElementwiseNames[static_cast<std::size_t>(op)], single);
      CHECK(worst <= (single ? 2e-7 : 4e-16));
    }
  }
}

TEST_CASE("functions at infinities, NaN, zeros and denormals", "[parity]") {
  const double inf = INFINITY, nan = NAN;
  for (DType dtype : {DType::f32, DType::f64}) {
    const bool single = dtype == DType::f32;
    const double denormal = single ? 0x1p-140 : 0x1p-1060, least = single ? 0x1p-149 : 0x1p-1074;
    const double huge = single ? 0x1p127 : 0x1p1023;
    const std::vector<double> x{0.0, -0.0, inf, -inf, nan, 1.0, -1.0, denormal, -denormal, huge, -huge, 88.5, 89.5, -87.0, -100.0,
                                -103.5, -105.0, 709.5, 710.5, -740.0, -746.5};
    for (Elementwise op : kFunctions) {
      for_each_function_value(op, dtype, single ? [&] {
        std::vector<double> rounded;
        for (double v : x) rounded.push_back(static_cast<float>(v));
        return rounded;
      }() : x, [&](double argument, double got) {
        const long double wide = exactly(op, argument);
        const double want = single ? static_cast<double>(static_cast<float>(wide)) : static_cast<double>(wide);
        if (std::isnan(want)) {
          CHECK(std::isnan(got));
        } else if (std::isinf(want) || want == 0) {
          CHECK(got == want);
          CHECK(std::signbit(got) == std::signbit(want));
        } else {
          CHECK(std::abs(got - want) <= (single ? 2e-7 : 4e-16) * std::abs(want) + least);
        }
      });
    }
  }
}
