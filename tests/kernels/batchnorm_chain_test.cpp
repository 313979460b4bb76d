// Batch normalisation with the chain it is the head of, against the reference kernels run one by one, and against a device's own.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "kernels/batchnorm/batchnorm.h"
#include "kernels/batchnorm/batchnorm_patterns.h"
#include "kernels/emu/emulator.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr int kTrials = 3;
constexpr BatchnormAttrs kAttrs{.eps = 1e-3};

/// An order of batch normalisation, and what may follow it.
struct Order {
  std::string op;
  int operands;
  ElementwisePatterns list;
  int count;
};
const Order kOrders[] = {{"batchnorm", 1, batchnorm_pattern<1>, kBatchnormPatterns<1>},
                         {"batchnorm_grad", 2, batchnorm_pattern<2>, kBatchnormPatterns<2>},
                         {"batchnorm_grad2", 3, batchnorm_pattern<3>, kBatchnormPatterns<3>}};

/// Images, channels, height and width; the last three are cut into slices.
const Dims kShapes[] = {{2, 3, 4, 4},  {4, 2, 3, 5},   {7, 5, 1, 1},   {1, 17, 4, 4},
                        {1, 1, 13, 9}, {8, 2, 23, 23}, {1, 1, 65, 64}, {2, 2, 70, 71}};

Dims with_trials(Dims dims) {
  dims.insert(dims.begin(), kTrials);
  return dims;
}

/// A head and its chain on operands of every layout a Plan may hand over; operands and results come in the reverse order of the
/// row.
class HeadedSample {
 public:
  HeadedSample(std::uint64_t seed, DType dtype, const Order& order, const ElementwisePattern& pattern, const Dims& dims)
      : order_(order), dtype_(dtype), dims_(dims), rng_(seed) {
    chain.head_inputs = order.operands;
    chain.head = Attrs(kAttrs);
    chain.inputs = pattern.inputs, chain.instructions = pattern.instructions, chain.outputs = pattern.outputs;
    std::vector<Array> head;
    for (int i = 0; i < order.operands; ++i) {
      in.push_back(input(dims, below(4) == 0));
      head.push_back({with_trials(dims), in.back().values});
    }
    registers_.push_back(run_reference(order.op, chain.head, head, with_trials(dims)));
    for (int i = 1; i < pattern.inputs; ++i) draw_operand();
    const auto renamed = [&pattern](int r) { return 0 < r && r < pattern.inputs ? pattern.inputs - r : r; };
    for (int i = 0; i < pattern.instructions; ++i) {
      const Elementwise op = pattern.code[i].op;
      const int x = renamed(pattern.code[i].x), y = renamed(pattern.code[i].y);
      chain.code[i] = {op, x, y, 0.5, 1.5};
      std::vector<Array> operands{{with_trials(dims), registers_[x]}};
      if (arity(op) == 2) operands.push_back({with_trials(dims), registers_[y]});
      registers_.push_back(run_reference(kElementwiseNames[static_cast<std::size_t>(op)], Attrs(ElementwiseAttrs{0.5, 1.5}),
                                         operands, with_trials(dims)));
    }
    for (int o = 0; o < pattern.outputs; ++o) {
      chain.result[o] = pattern.result[pattern.outputs - 1 - o];
      out.push_back({.dims = dims, .dtype = dtype, .in_place = below(2) == 0 ? place() : -1});
    }
  }

  ElementwiseChain chain;
  std::vector<Input> in;
  std::vector<Output> out;
  const std::vector<double>& expected(int output) const { return registers_[chain.result[output]]; }
  double tolerance() const {
    const double terms = static_cast<double>(dims_[0] * dims_[2] * dims_[3] + 4 * chain.instructions);
    return (dtype_ == DType::f32 ? 6e-8 : 4e-15) * std::sqrt(terms);
  }

  /// The head and the chain, kernel by kernel.
  std::vector<std::vector<double>> apart(std::span<const int> trials) const {
    const std::span<const Input> all = in;
    const Output value{.dims = dims_, .dtype = dtype_};
    const Kernel head = kernels_of(order_.op, Isa::cuda, dtype_, 1).at(0);
    const Outcome normalised = run_kernel(head, kAttrs_.data(), all.first(order_.operands), {&value, 1}, trials);
    std::vector<Input> operands{{.dims = dims_, .dtype = dtype_, .values = normalised.out.at(0)}};
    operands.insert(operands.end(), all.begin() + order_.operands, all.end());
    ElementwiseChain rest = chain;
    rest.head_inputs = rest.outputs = 0;
    for (int o = 0; o < chain.outputs; ++o)
      if (chain.result[o] != 0) rest.result[rest.outputs++] = chain.result[o];
    const std::vector<Output> results(rest.outputs, value);
    const Outcome of_rest =
        run_kernel(kernels_of("elementwise_chain", Isa::cuda, dtype_, 1).at(0), &rest, operands, results, trials);
    REQUIRE(of_rest.declined == "");
    std::vector<std::vector<double>> list;
    for (int o = 0, next = 0; o < chain.outputs; ++o)
      list.push_back(chain.result[o] == 0 ? normalised.out[0] : of_rest.out[next++]);
    return list;
  }

 private:
  int below(int n) { return static_cast<int>(rng_() % n); }

  Input input(const Dims& stored, bool shared, DType dtype) {
    Operand operand{.rank = 4};
    std::copy(stored.begin(), stored.end(), operand.dims.begin());
    Input i{.dims = dims_, .dtype = dtype, .values = draw(operand, dtype, kTrials, rng_()), .shared = shared};
    if (shared)
      for (std::size_t j = i.values.size() / kTrials; j < i.values.size(); ++j)
        i.values[j] = i.values[j - i.values.size() / kTrials];
    return i;
  }
  Input input(const Dims& stored, bool shared) { return input(stored, shared, dtype_); }

  /// Dense, one for every channel, or the scalar of a trial.
  void draw_operand() {
    const int form = below(5);
    const Dims stored = form < 2 ? dims_ : form < 4 ? Dims{1, dims_[1], 1, 1} : Dims{1, 1, 1, 1};
    Input i = input(stored, below(4) == 0, form < 4 ? dtype_ : DType::f64);
    i.values = run_reference("broadcast_to", {}, {{with_trials(stored), i.values}}, with_trials(dims_));
    if (form >= 2) i.strides = {0, form < 4 ? 1 : 0, 0, 0};
    registers_.push_back(i.values);
    in.push_back(std::move(i));
  }

  /// A dense operand of the chain whose memory nobody took yet, or -1.
  int place() {
    for (std::size_t i = order_.operands; i < in.size(); ++i)
      if (in[i].strides.empty() && !in[i].shared && std::ranges::find(taken_, i) == taken_.end()) {
        taken_.push_back(i);
        return static_cast<int>(i);
      }
    return -1;
  }

  const Order& order_;
  const Attrs kAttrs_{kAttrs};
  DType dtype_;
  Dims dims_;
  std::mt19937_64 rng_;
  std::vector<std::vector<double>> registers_;
  std::vector<std::size_t> taken_;
};

/// Every row, dtype and shape.
template <class Check>
void for_each_sample(Check check) {
  std::uint64_t seed = 0;
  for (const Order& order : kOrders)
    for (int row = 0; row < order.count; ++row)
      for (const DType dtype : {DType::f32, DType::f64})
        for (const Dims& dims : kShapes) {
          const HeadedSample sample(++seed, dtype, order, order.list(row), dims);
          const std::vector<Kernel> kernels = kernels_of(order.op + "_chain", Isa::cuda, dtype, 1);
          REQUIRE(kernels.size() == 1);
          CAPTURE(order.op, row, seed, describe(kernels[0]), dims);
          check(sample, kernels[0]);
        }
}

const ElementwiseChain kShift{
    .inputs = 3,
    .instructions = 3,
    .outputs = 2,
    .code = {{{Elementwise::mul, 0, 1, 0, 0}, {Elementwise::add, 3, 2, 0, 0}, {Elementwise::relu_mask, 4, 4, 0, 0}}},
    .result = {0, 5},
    .head_inputs = 1,
    .head = Attrs(kAttrs)};

}  // namespace

TEST_CASE("batch normalisation with a chain against the references", "[parity][emulated][gpu]") {
  for_each_sample([](const HeadedSample& sample, const Kernel& kernel) {
    Bits bits;
    for (const std::int64_t places : {4, 1}) {
      const std::vector<int> trials = trials_at(places, kTrials);
      const Outcome outcome = run_kernel(kernel, &sample.chain, sample.in, sample.out, trials);
      REQUIRE(outcome.declined == "");
      CHECK(outcome.fault == "");
      CHECK(bits.differs(outcome, trials) == -1);
      for (std::size_t o = 0; o < sample.out.size(); ++o)
        CHECK(relative_error(outcome.out[o], sample.expected(static_cast<int>(o)), trials) <= sample.tolerance());
    }
  });
}

TEST_CASE("batch normalisation with a chain has the bits of two steps, in any order of threads", "[emulated]") {
  struct Settings {
    gi::emu::Config before = gi::emu::config();
    ~Settings() { gi::emu::config() = before; }
  } settings;
  const std::vector<int> trials{0, 1, 2};
  for_each_sample([&](const HeadedSample& sample, const Kernel& kernel) {
    gi::emu::config() = settings.before;
    const std::vector<std::vector<double>> apart = sample.apart(trials);
    for (const gi::emu::Order order : {gi::emu::Order::forward, gi::emu::Order::reverse, gi::emu::Order::shuffled}) {
      gi::emu::config() = {.order = order, .seed = 3};
      const Outcome outcome = run_kernel(kernel, &sample.chain, sample.in, sample.out, trials);
      for (std::size_t o = 0; o < apart.size(); ++o)
        CHECK(std::memcmp(outcome.out[o].data(), apart[o].data(), apart[o].size() * sizeof(double)) == 0);
    }
  });
}

TEST_CASE("what a chain after batch normalisation may read", "[unit][emulated]") {
  const Dims dims{2, 3, 4, 4};
  const Kernel kernel = kernels_of("batchnorm_chain", Isa::cuda, DType::f32, 1).at(0);
  const Input dense{.dims = dims, .dtype = DType::f32, .values = std::vector<double>(96, 1.0)};
  const auto declined = [&](const ElementwiseChain& chain, const Input& x, const Input& weight) {
    const std::vector<Output> out(2, {.dims = dims, .dtype = DType::f32});
    const std::vector<Input> in{x, weight, dense};
    return run_kernel(kernel, &chain, in, out, std::vector{0}).declined;
  };
  const auto strided = [&](Dims strides, DType dtype = DType::f32) {
    Input input = dense;
    input.strides = std::move(strides), input.dtype = dtype;
    return input;
  };
  const std::string layout = "an operand is neither dense from axis 1 on nor one number for a channel";
  CHECK(declined(kShift, dense, dense) == "");
  CHECK(declined(kShift, dense, strided({0, 1, 0, 0})) == "");
  CHECK(declined(kShift, dense, strided({0, 0, 0, 0}, DType::f64)) == "");
  CHECK(declined(kShift, strided({0, 1, 0, 0}), dense) == layout);
  CHECK(declined(kShift, dense, strided({0, 16, 4, 1})) == layout);               // one for all images
  CHECK(declined(kShift, dense, strided({48, 1, 12, 3})) == layout);              // channels last
  CHECK(declined(kShift, dense, strided({48, 16, 4, 1}, DType::f64)) == layout);  // of another type
  ElementwiseChain other = kShift;
  other.code[1].op = Elementwise::sub;
  CHECK(declined(other, dense, dense) == "a chain that is not on the list");
}

TEST_CASE("a chain's head is operand 0 of its pattern and of nothing else", "[unit]") {
  using namespace gi::kernels::patterns;
  const ElementwisePattern pattern{3, {mul(0, 1), add(3, 2)}, {0, 4}};
  const auto chain_of = [](std::int64_t x, std::int64_t y, std::int64_t z, std::int64_t first, std::int64_t second) {
    ElementwiseChain chain{.inputs = 3, .instructions = 2, .outputs = 2, .head_inputs = 1};
    chain.code[0] = {Elementwise::mul, x, y, 0, 0}, chain.code[1] = {Elementwise::add, 3, z, 0, 0};
    chain.result = {first, second};
    return chain;
  };
  ElementwiseMatch match;
  REQUIRE(matches(pattern, chain_of(0, 1, 2, 0, 4), match));
  REQUIRE(matches(pattern, chain_of(2, 0, 1, 4, 0), match));  // operands exchanged, results too
  CHECK((match.input[0] == 0 && match.input[1] == 2 && match.input[2] == 1));
  CHECK((match.output[0] == 1 && match.output[1] == 0));
  CHECK(!matches(pattern, chain_of(1, 2, 0, 0, 4), match));  // the head is added
  CHECK(!matches(pattern, chain_of(0, 1, 0, 0, 4), match));  // and multiplied too
  CHECK(!matches(pattern, chain_of(0, 1, 2, 1, 4), match));  // an operand is a result
}
