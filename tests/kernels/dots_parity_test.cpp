// Sums of several inner products in one call, each of a size of its own, against the reference.
#include <catch2/catch.hpp>

#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr int kTrials = 3;

/// `sizes` of the products; some factors shared by the trials, every fifth product a square.
std::vector<Input> factors(std::span<const std::int64_t> sizes, DType dtype) {
  std::vector<Input> in;
  for (std::size_t i = 0; i < 2 * sizes.size(); ++i) {
    const Operand operand{.rank = 1, .dims = {sizes[i / 2]}};
    Input input{.dims = dims_of(operand), .dtype = dtype, .values = draw(operand, dtype, kTrials, i), .shared = i % 4 == 1};
    if (input.shared)
      for (std::size_t j = sizes[i / 2]; j < input.values.size(); ++j) input.values[j] = input.values[j - sizes[i / 2]];
    if (i % 10 == 1) input = in.back();
    in.push_back(std::move(input));
  }
  return in;
}

}  // namespace

TEST_CASE("sums of inner products against the reference", "[parity][emulated]") {
  std::vector<std::int64_t> many(230);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = 1 + static_cast<std::int64_t>(i * i % 97);
  many[100] = 20000;
  for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{5}, {8192}, {8193}, {3, 70000, 16384, 1}, many})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::vector<Input> in = factors(sizes, dtype);
      std::vector<Array> exact;
      for (const Input& input : in) exact.push_back({{kTrials, input.dims[0]}, input.values});
      const std::vector<double> expected = run_reference("dot", {}, exact, {kTrials});
      for (const Kernel& kernel : kernels_of("dot", Isa::cuda, dtype, 1)) {
        Bits bits;
        CAPTURE(sizes.size(), describe(kernel));
        for (const std::int64_t places : {4, 1}) {
          const std::vector<int> trials = trials_at(places, kTrials);
          const Output out{.dims = {}, .dtype = DType::f64};
          const Outcome outcome = run_kernel(kernel, Attrs{}.data(), in, {&out, 1}, trials);
          REQUIRE(outcome.declined == "");
          CHECK(outcome.fault == "");
          CHECK(bits.differs(outcome, trials) == -1);
          CHECK(relative_error(outcome.out[0], expected, trials) <= 1e-13);
        }
      }
    }
}

TEST_CASE("two inner products in one call against the reference", "[parity]") {
  const Output outs[] = {{.dims = {}, .dtype = DType::f64}, {.dims = {}, .dtype = DType::f64}};
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{33}, std::int64_t{70000}})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::int64_t sizes[] = {n, n};
      std::vector<Input> in = factors(sizes, dtype);  // in[1] is shared by the trials
      in[2] = in[0];
      for (const bool square : {false, true}) {  // <g, g*> and <g, h> or <g, g>
        if (square) in[3] = in[0];
        std::vector<std::vector<double>> expected;
        for (int pair = 0; pair < 2; ++pair) {
          const Input &a = in[2 * pair], &b = in[2 * pair + 1];
          expected.push_back(run_reference("dot", {}, {{{kTrials, n}, a.values}, {{kTrials, n}, b.values}}, {kTrials}));
        }
        for (const Isa isa : isas())
          for (const std::int64_t lanes : lanes_of(isa))
            for (const Kernel& kernel : kernels_of("dot", isa, dtype, lanes)) {
              CAPTURE(n, square, describe(kernel));
              const std::vector<int> trials = trials_at(2 * lanes, kTrials);
              const Outcome both = run_kernel(kernel, Attrs{}.data(), in, outs, trials);
              REQUIRE(both.declined == "");
              CHECK(both.fault == "");
              for (std::size_t pair = 0; pair < 2; ++pair) {
                CHECK(relative_error(both.out[pair], expected[pair], trials) <= 1e-13);
                const Outcome alone = run_kernel(kernel, Attrs{}.data(), std::span(in).subspan(2 * pair, 2), {outs, 1}, trials);
                CHECK(alone.out[0] == both.out[pair]);
              }
            }
      }
    }
}

TEST_CASE("a sum of inner products is the device's alone", "[parity]") {
  const std::int64_t sizes[] = {3, 4};
  const Output out{.dims = {}, .dtype = DType::f64};
  for (const Isa isa : isas())
    for (const std::int64_t lanes : lanes_of(isa))
      for (const Kernel& kernel : kernels_of("dot", isa, DType::f64, lanes)) {
        CAPTURE(describe(kernel));
        const auto declined = [&](std::span<const Output> outs) {
          return run_kernel(kernel, Attrs{}.data(), factors(sizes, DType::f64), outs, trials_at(lanes, kTrials)).declined;
        };
        const Output outs[] = {out, out};
        CHECK(declined({outs, 1}) == "a sum of several");
        CHECK(declined(outs) == "products of different lengths");
      }
}
