// Every fast kernel of every instruction set this processor has, against the reference kernel of its op.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "kernels/all_cases.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr bool is_one_of(std::string_view op, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (op == name) return true;
  return false;
}

int elementwise_index(std::string_view op) {
  for (std::size_t i = 0; i < kElementwiseNames.size(); ++i)
    if (op == kElementwiseNames[i]) return static_cast<int>(i);
  return -1;
}

/// Ops without a kernel of their own run as a chain of one instruction: views as a copy.
bool is_view(const Case& c) { return is_one_of(c.op, {"broadcast_to", "reshape"}); }
bool is_chain(const Case& c) { return is_view(c) || elementwise_index(c.op) >= 0; }

ElementwiseChain chain_of(const Case& c) {
  ElementwiseChain chain;
  chain.inputs = c.operands;
  chain.instructions = chain.outputs = 1;
  chain.code[0] = {.op = is_view(c) ? Elementwise::copy : static_cast<Elementwise>(elementwise_index(c.op)), .x = 0, .y = 1};
  if (!is_view(c)) chain.code[0].a = c.attrs.as<ElementwiseAttrs>().a, chain.code[0].b = c.attrs.as<ElementwiseAttrs>().b;
  chain.result[0] = c.operands;
  return chain;
}

/// The n of the precision class: the longest reduction, 0 where nothing is rounded. Elementwise arithmetic counts as 4, for its
/// one or two roundings (the constants of an op are rounded too), functions as 16: their error is within 3 units in the last place.
double rounded_terms(const Case& c) {
  const std::string_view op = c.op;
  const auto d = [](const Operand& o, int axis) { return static_cast<double>(o.dims[axis]); };
  if (is_one_of(op, {"conv2d", "conv2d_grad_input", "conv2d_grad_weight"})) {
    const auto& g = c.attrs.as<Conv2dGeometry>();
    if (op == "conv2d") return static_cast<double>(g.c_per_group() * g.r * g.s);
    if (op == "conv2d_grad_input") return static_cast<double>(g.k_per_group() * g.r * g.s);
    return d(c.in[0], 0) * static_cast<double>(g.p * g.q);
  }
  if (op == "matmul") return static_cast<double>(c.attrs.as<MatmulGeometry>().k);
  if (op == "sum_to") return static_cast<double>(count(c.in[0])) / static_cast<double>(count(c.out));
  if (is_one_of(op, {"dot", "total_variation"})) return static_cast<double>(count(c.in[0]));
  if (is_one_of(op, {"avg_pool", "avg_pool_grad", "max_scatter"})) {
    const auto& g = c.attrs.as<PoolGeometry>();
    return static_cast<double>(g.r * g.s);
  }
  if (is_one_of(op, {"batchnorm", "batchnorm_grad", "batchnorm_grad2"})) return d(c.in[0], 0) * d(c.in[0], 2) * d(c.in[0], 3);
  if (op == "cross_entropy") return d(c.in[0], 0) * d(c.in[0], 1);
  if (is_one_of(op, {"log_softmax", "softmax_residual", "softmax_vjp"})) return d(c.in[0], 1);
  if (is_one_of(op, {"exp", "log", "tanh", "sigmoid"})) return 16;
  if (is_one_of(op, {"add", "sub", "mul", "div", "scale", "offset", "sqrt", "rsqrt", "recip", "leaky_relu_mask",
                     "total_variation_grad"}))
    return 4;
  if (op == "broadcast_to") return c.in[0].rank == 0 ? 1 : 0;  // the scalar of a trial becomes f32
  return 0;                                                     // moves and choices
}

/// By the output: what has rank 1 is f64 in every Plan, and accumulates so.
double tolerance(const Case& c, DType dtype, double terms_factor = 1) {
  return (dtype == DType::f32 && c.out.rank > 0 ? 6e-8 : 4e-15) * std::sqrt(terms_factor * rounded_terms(c));
}

DType dtype_of(const Operand& o, DType plan) { return o.rank == 0 ? DType::f64 : plan; }

/// Dims and strides of a broadcast operand seen with the output's extents.
Dims spread_strides(const Operand& narrow, const Operand& wide) {
  Dims strides(wide.rank, 0);
  std::int64_t stride = 1;
  for (std::int64_t i = narrow.rank; i-- > 0; stride *= narrow.dims[i])
    if (narrow.dims[i] != 1) strides[i] = stride;
  return strides;
}

/// Operands of a case with the reference's results.
struct Problem_ {
  std::vector<Input> in;
  std::vector<double> expected;
};

constexpr int kDifferent = 5, kDifferentLarge = 3;

/// Bit i of `shared`: operand i is. With `pair`, four operands and the sum of the results.
Problem_ make_problem(const Case& c, DType dtype, unsigned shared, bool pair) {
  const int trials = c.large ? kDifferentLarge : kDifferent;
  Problem_ problem;
  Dims out_dims = dims_of(c.out);
  out_dims.insert(out_dims.begin(), trials);
  std::vector<Array> arrays;
  for (int i = 0; i < c.operands * (pair ? 2 : 1); ++i) {
    const Operand& operand = c.in[i % c.operands];
    Input input{.dims = dims_of(operand), .dtype = dtype_of(operand, dtype), .shared = (shared >> i & 1u) != 0};
    input.values = draw(operand, input.dtype, trials, 17 * i + 1);
    Array array{input.dims, input.values};
    array.dims.insert(array.dims.begin(), trials);
    if (input.shared) {
      const auto n = static_cast<std::ptrdiff_t>(input.values.size()) / trials;
      for (int t = 1; t < trials; ++t) std::copy_n(array.values.begin(), n, array.values.begin() + t * n);
    }
    if (std::string_view(c.op) == "broadcast_to") {
      // What the reference makes of it is both what the chain reads and what it gives.
      input.values = run_reference(c.op, c.attrs, {array}, out_dims);
      input.dims = dims_of(c.out);
      input.strides = spread_strides(operand, c.out);
    } else if (std::string_view(c.op) == "reshape") {
      input.dims = dims_of(c.out);
    }
    problem.in.push_back(std::move(input));
    arrays.push_back(std::move(array));
  }
  const auto op_of = [&](auto first) { return run_reference(c.op, c.attrs, {first, first + c.operands}, out_dims); };
  problem.expected = op_of(arrays.begin());
  if (pair) {
    const std::vector<double> second = op_of(arrays.begin() + c.operands);
    for (std::size_t i = 0; i < second.size(); ++i) problem.expected[i] += second[i];
  }
  return problem;
}

std::vector<Kernel> kernels_of(const char* op, Isa isa, DType dtype, std::int64_t lanes) {
  std::vector<Kernel> list;
  for (const Kernel& k : cpu_kernels(isa))
    if (std::string_view(k.op) == op && k.dtype == dtype && k.lanes == lanes) list.push_back(k);
  return list;
}

std::vector<Isa> isas() {
  std::vector<Isa> list;
  for (int i = 0; i <= static_cast<int>(best_isa()); ++i) list.push_back(static_cast<Isa>(i));
  return list;
}

/// Both forms a kernel comes in, one trial and trials in the lanes.
std::vector<std::int64_t> lanes_of(Isa isa) { return {1, pack_lanes(isa)}; }

std::string describe(const Kernel& k) {
  return std::string(k.name) + " " + kIsaNames[static_cast<std::size_t>(k.isa)] + (k.dtype == DType::f32 ? " f32" : " f64") + " x" +
         std::to_string(k.lanes);
}

/// What the runs of a test amount to.
struct Tally {
  std::set<std::string> served;
  std::map<std::string, std::set<std::string>> declined;  // "kernel: reason" to the cases, with operands of their own
  int runs = 0;
};

/// Every kernel for one form of a case. True if one serves in all of `isas x lanes`.
bool check_form(const Case& c, DType dtype, unsigned shared, bool pair, Tally& tally) {
  const bool chain = is_chain(c);
  const ElementwiseChain instructions = chain ? chain_of(c) : ElementwiseChain{};
  const Problem_ problem = make_problem(c, dtype, shared, pair);
  const Output out{.dims = dims_of(c.out), .dtype = dtype_of(c.out, dtype)};
  const double allowed = tolerance(c, dtype, pair ? 2 : 1);
  const int different = c.large ? kDifferentLarge : kDifferent;
  bool all_served = true;
  for (Isa isa : isas())
    for (std::int64_t lanes : lanes_of(isa)) {
      bool served = false;
      for (const Kernel& kernel : kernels_of(chain ? "elementwise_chain" : c.op, isa, chain ? out.dtype : dtype, lanes)) {
        const std::string who = std::string(c.op) + " " + describe(kernel);
        CAPTURE(who, c.op, c.label, shared, pair);
        Bits bits;
        bool declined = false;
        for (std::int64_t places : {lanes == 1 ? 1 : 2 * lanes, lanes == 1 ? 3 : lanes}) {
          const std::vector<int> trials = trials_at(places, different);
          const Outcome outcome =
              run_kernel(kernel, chain ? static_cast<const void*>(&instructions) : c.attrs.data(), problem.in, {&out, 1}, trials);
          if (declined = !outcome.declined.empty(); declined) {
            if (shared == 0) tally.declined[who + ": " + outcome.declined].insert(c.label);
            break;
          }
          CAPTURE(places);
          CHECK(outcome.fault == "");
          CHECK(relative_error(outcome.out[0], problem.expected, trials) <= allowed);
          CHECK(bits.differs(outcome, trials) == -1);
          ++tally.runs;
        }
        if (!declined) served = true, tally.served.insert(who);
      }
      INFO(c.op << ", " << c.label << ", " << kIsaNames[static_cast<std::size_t>(isa)] << ", lanes " << lanes);
      if (shared == 0) CHECK(served);
      all_served = all_served && served;
    }
  return all_served;
}

/// Forms with shared operands that the Plan counts on; any other is tried and may be declined.
std::vector<unsigned> needed_forms(const Case& c) {
  if (is_chain(c)) return c.operands == 2 ? std::vector{1u, 2u, 3u} : std::vector{1u};
  if (is_one_of(c.op, {"conv2d", "conv2d_grad_input"})) return {2};
  if (std::string_view(c.op) == "dot") return {1, 2, 3};
  return {};
}

void check_op_cases(const std::vector<Case>& cases) {
  Tally tally;
  for (const Case& c : cases)
    for (DType dtype : {DType::f32, DType::f64}) {
      if (is_chain(c) && c.out.rank == 0 && dtype == DType::f32) continue;  // such values are f64
      const std::vector<unsigned> needed = needed_forms(c);
      for (unsigned shared = 0; shared < 1u << c.operands; ++shared) {
        const bool must = std::find(needed.begin(), needed.end(), shared) != needed.end();
        if (shared != 0 && c.large && !must) continue;
        const bool served = check_form(c, dtype, shared, false, tally);
        INFO(c.op << ", " << c.label << ", shared operands " << shared);
        if (must) CHECK(served);
      }
      if (is_one_of(c.op, {"conv2d", "conv2d_grad_input", "matmul"}))
        for (unsigned shared : {0u, 2u, 8u, 10u}) check_form(c, dtype, shared, true, tally);
    }
  // A kernel that declines some cases is named; one that serves none is dead weight.
  for (const auto& [who, labels] : tally.declined) {
    WARN(who << " (" << labels.size() << " cases, e.g. " << *labels.begin() << ")");
    CHECK(tally.served.count(who.substr(0, who.find(':'))) == 1);
  }
  CHECK(tally.runs > 0);
}

}  // namespace

TEST_CASE("elementwise kernels against the references", "[parity]") { check_op_cases(elementwise_cases()); }
TEST_CASE("convolution kernels against the references", "[parity]") { check_op_cases(conv2d_cases()); }
TEST_CASE("matmul kernels against the references", "[parity]") { check_op_cases(matmul_cases()); }
TEST_CASE("pooling kernels against the references", "[parity]") { check_op_cases(pool_cases()); }
TEST_CASE("batch normalisation kernels against the references", "[parity]") { check_op_cases(batchnorm_cases()); }
TEST_CASE("softmax kernels against the references", "[parity]") { check_op_cases(softmax_cases()); }
TEST_CASE("reduction kernels against the references", "[parity]") { check_op_cases(reduce_cases()); }
TEST_CASE("movement kernels against the references", "[parity]") { check_op_cases(movement_cases()); }
TEST_CASE("total variation kernels against the references", "[parity]") { check_op_cases(total_variation_cases()); }

TEST_CASE("sums over the trials, for gradients of shared leaves", "[parity]") {
  constexpr int kTrials = 3;
  struct Row {
    Dims x, y;  // without trials
  };
  const Row rows[] = {{{4, 3, 5, 5}, {4, 3, 5, 5}}, {{7}, {7}}, {{1, 1}, {1, 1}}, {{2, 3, 4, 4}, {1, 3, 1, 1}}, {{33, 5}, {33, 1}}};
  for (DType dtype : {DType::f32, DType::f64})
    for (const Row& row : rows) {
      Operand operand{.rank = static_cast<std::int64_t>(row.x.size())};
      std::copy(row.x.begin(), row.x.end(), operand.dims.begin());
      Dims x_dims{kTrials}, y_dims{1};
      x_dims.insert(x_dims.end(), row.x.begin(), row.x.end());
      y_dims.insert(y_dims.end(), row.y.begin(), row.y.end());
      const std::vector<double> x = draw(operand, dtype, kTrials, 5);
      const std::vector<double> expected = run_reference("sum_to", {}, {{x_dims, x}}, y_dims);
      const std::vector<float> single(x.begin(), x.end());
      for (Isa isa : isas())
        for (const Kernel& kernel : kernels_of("sum_to", isa, dtype, 1)) {
          CAPTURE(describe(kernel), row.x);
          std::vector<double> got(expected.size(), NAN);
          std::vector<float> got_single(expected.size(), NAN);
          const bool f32 = dtype == DType::f32;
          ConstView from{layout_of(x_dims, {}), f32 ? static_cast<const void*>(single.data()) : x.data()};
          View to{layout_of(y_dims, {}), f32 ? static_cast<void*>(got_single.data()) : got.data()};
          from.dtype = to.dtype = dtype;
          Arguments args;
          args.in = {&from, 1};
          args.out = {&to, 1};
          REQUIRE(kernel.declines(args) == nullptr);
          REQUIRE(kernel.scratch_bytes(args) == 0);
          kernel.run(args);
          if (f32) got.assign(got_single.begin(), got_single.end());
          const std::vector<int> once{0};
          const double n = static_cast<double>(x.size()) / static_cast<double>(expected.size());
          CHECK(relative_error(got, expected, once) <= (f32 ? 6e-8 : 4e-15) * std::sqrt(n));
        }
    }
}

TEST_CASE("decisions about NaN", "[parity]") {
  // relu_mask passes g under a NaN; the largest of a window is its first NaN.
  const PoolGeometry geo{.h = 1, .w = 4, .r = 1, .s = 4, .p = 1, .q = 1, .stride_h = 1, .stride_w = 4};
  const Case relu = make_case("relu_mask", "", ElementwiseAttrs{}, {operand({4}), operand({4})}, operand({4}));
  const ElementwiseChain chain = chain_of(relu);
  for (Isa isa : isas())
    for (std::int64_t lanes : lanes_of(isa)) {
      const std::vector<int> trials(lanes, 0);
      for (const Kernel& kernel : kernels_of("elementwise_chain", isa, DType::f32, lanes)) {
        const Input in[] = {{{4}, DType::f32, {1, 2, 3, 4}}, {{4}, DType::f32, {NAN, -1, 0, 1}}};
        const Output out{{4}, DType::f32};
        const Outcome outcome = run_kernel(kernel, &chain, in, {&out, 1}, trials);
        CHECK(std::vector(outcome.out[0].begin(), outcome.out[0].begin() + 4) == std::vector<double>{1, 0, 0, 4});
      }
      for (const Kernel& kernel : kernels_of("max_select", isa, DType::f32, lanes)) {
        const Input in[] = {{{1, 1, 1, 4}, DType::f32, {1, 2, 3, 4}}, {{1, 1, 1, 4}, DType::f32, {7, NAN, 8, NAN}}};
        const Output out{{1, 1, 1, 1}, DType::f32};
        CHECK(run_kernel(kernel, &geo, in, {&out, 1}, trials).out[0][0] == 2);
      }
      for (const Kernel& kernel : kernels_of("max_scatter", isa, DType::f32, lanes)) {
        const Input in[] = {{{1, 1, 1, 1}, DType::f32, {5}}, {{1, 1, 1, 4}, DType::f32, {7, NAN, 8, NAN}}};
        const Output out{{1, 1, 1, 4}, DType::f32};
        const Outcome outcome = run_kernel(kernel, &geo, in, {&out, 1}, trials);
        CHECK(std::vector(outcome.out[0].begin(), outcome.out[0].begin() + 4) == std::vector<double>{0, 5, 0, 0});
      }
    }
}
