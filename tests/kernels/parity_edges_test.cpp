// Fast kernels where the case lists do not go: functions over their whole domains and at their edges, NaN, sums over trials.
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/api/elementwise.h"
#include "kernels/pool/pool.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

const char* name_of(Elementwise op) { return kElementwiseNames[static_cast<std::size_t>(op)]; }

ElementwiseChain chain_of(Elementwise op) {
  ElementwiseChain chain;
  chain.inputs = chain.result[0] = arity(op);
  chain.instructions = chain.outputs = 1;
  chain.code[0] = {.op = op, .x = 0, .y = 1};
  return chain;
}

/// One op on a list of values, through every chain kernel.
template <class Check>
void for_each_function_value(Elementwise op, DType dtype, const std::vector<double>& x, Check check) {
  const ElementwiseChain chain = chain_of(op);
  const Input in{.dims = {static_cast<std::int64_t>(x.size())}, .dtype = dtype, .values = x};
  const Output out{.dims = in.dims, .dtype = dtype};
  for (const Kernel& kernel : all_kernels_of("elementwise_chain", dtype)) {
    const std::vector<int> trials(kernel.lanes, 0);
    const Outcome outcome = run_kernel(kernel, &chain, {&in, 1}, {&out, 1}, trials);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double argument = x[i], got = outcome.out[0][i];
      CAPTURE(name_of(op), describe(kernel), argument);
      check(argument, got);
    }
  }
}

long double exactly(Elementwise op, long double x) {
  switch (op) {
    case Elementwise::exp:
      return std::exp(x);
    case Elementwise::log:
      return std::log(x);
    case Elementwise::tanh:
      return std::tanh(x);
    case Elementwise::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Elementwise::sqrt:
      return std::sqrt(x);
    case Elementwise::rsqrt:
      return 1 / std::sqrt(x);
    default:
      return 1 / x;
  }
}

constexpr Elementwise kFunctions[] = {Elementwise::exp,  Elementwise::log,   Elementwise::tanh, Elementwise::sigmoid,
                                      Elementwise::sqrt, Elementwise::rsqrt, Elementwise::recip};

}  // namespace

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
        const double magnitude = i % 3 == 0   ? 2 * u
                                 : i % 3 == 1 ? std::copysign(std::exp2(std::abs(u) * 240 - 120), u)
                                              : u * (single ? 87 : 700);
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
      CAPTURE(name_of(op), single);
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
    const std::vector<double> x{0.0,  -0.0, inf,   -inf,   nan,    1.0,    -1.0,  denormal, -denormal, huge,  -huge,
                                88.5, 89.5, -87.0, -100.0, -103.5, -105.0, 709.5, 710.5,    -740.0,    -746.5};
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

TEST_CASE("decisions about ties and NaN", "[parity]") {
  // relu_mask passes g under a NaN; the largest of a window is its first NaN, or else the first of the largest.
  const ElementwiseChain chain = chain_of(Elementwise::relu_mask);
  const PoolGeometry geo{.h = 1, .w = 4, .r = 1, .s = 4, .p = 1, .q = 1, .stride_h = 1, .stride_w = 4};
  using Values = std::vector<double>;
  for (DType dtype : {DType::f32, DType::f64}) {
    const Output out{{1, 1, 1, 4}, dtype}, pooled{{1, 1, 1, 1}, dtype};
    const auto first_trial = [](const Kernel& kernel, const void* attrs, const std::vector<Input>& in, const Output& out) {
      const Outcome outcome = run_kernel(kernel, attrs, in, {&out, 1}, std::vector<int>(kernel.lanes, 0));
      return Values(outcome.out[0].begin(), outcome.out[0].begin() + count(out.dims));
    };
    const auto image = [&](Values values) { return Input{out.dims, dtype, std::move(values)}; };
    const Input g{pooled.dims, dtype, {5}};
    for (const Kernel& kernel : all_kernels_of("elementwise_chain", dtype))
      CHECK(first_trial(kernel, &chain, {image({1, 2, 3, 4}), image({NAN, -1, 0, 1})}, out) == Values{1, 0, 0, 4});
    for (const Kernel& kernel : all_kernels_of("max_select", dtype)) {
      CHECK(first_trial(kernel, &geo, {image({1, 2, 3, 4}), image({7, NAN, 8, NAN})}, pooled) == Values{2});
      CHECK(first_trial(kernel, &geo, {image({1, 2, 3, 4}), image({7, -1, 8, 8})}, pooled) == Values{3});
      CHECK(first_trial(kernel, &geo, {image({1, 2, 3, 4}), image({-INFINITY, -INFINITY, -INFINITY, -INFINITY})}, pooled) ==
            Values{1});
    }
    for (const Kernel& kernel : all_kernels_of("max_scatter", dtype)) {
      CHECK(first_trial(kernel, &geo, {g, image({7, NAN, 8, NAN})}, out) == Values{0, 5, 0, 0});
      CHECK(first_trial(kernel, &geo, {g, image({7, -1, 8, 8})}, out) == Values{0, 0, 5, 0});
    }
  }
}
