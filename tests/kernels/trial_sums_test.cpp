// Sums over the trials that packs compute with the op before them, against the reference's trials added up.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/all_cases.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr int kDifferent = 3;

/// Of one number of the sum over one trial.
double terms_of(const Case& c) {
  const std::string_view op = c.op;
  if (op == "matmul") return static_cast<double>(c.attrs.as<MatmulGeometry>().k);
  if (op == "sum_to") return static_cast<double>(count(c.in[0])) / static_cast<double>(count(c.out));
  const auto& g = c.attrs.as<Conv2dGeometry>();
  return static_cast<double>(c.in[0].dims[0] * g.p * g.q);
}

/// Bit i of `shared`: all trials read operand i's first. Whether a kernel serves for every instruction set.
bool check_sum(const Case& c, const std::string& op, DType dtype, unsigned shared) {
  std::vector<Input> in;
  std::vector<Array> arrays;
  for (int i = 0; i < c.operands; ++i) {
    in.push_back({.dims = dims_of(c.in[i]), .dtype = c.in[i].rank == 0 ? DType::f64 : dtype, .shared = (shared >> i & 1u) != 0});
    in.back().values = draw(c.in[i], in.back().dtype, kDifferent, 31 * i + 1);
    arrays.push_back({in.back().dims, in.back().values});
    arrays.back().dims.insert(arrays.back().dims.begin(), kDifferent);
    const auto n = static_cast<std::ptrdiff_t>(in.back().values.size()) / kDifferent;
    for (int t = 1; t < kDifferent && in.back().shared; ++t)
      std::copy_n(arrays.back().values.begin(), n, arrays.back().values.begin() + t * n);
  }
  Dims of_trials = dims_of(c.out);
  of_trials.insert(of_trials.begin(), kDifferent);
  const std::vector<double> one_by_one = run_reference(c.op, c.attrs, arrays, of_trials);
  const auto numbers = static_cast<std::size_t>(count(dims_of(c.out)));
  const Output out{.dims = dims_of(c.out), .dtype = c.out.rank == 0 ? DType::f64 : dtype, .shared = true};
  const std::vector<std::int64_t> several = c.large ? std::vector<std::int64_t>{2} : std::vector<std::int64_t>{1, 3};
  bool served = true;
  for (const Isa isa : isas()) {
    std::size_t serving = 0;
    for (const Kernel& kernel : kernels_of(op, isa, c.out.rank == 0 && c.in[0].rank == 0 ? DType::f64 : dtype, pack_lanes(isa)))
      for (const std::int64_t blocks : several) {
        CAPTURE(op, c.label, describe(kernel), shared, blocks);
        const std::vector<int> trials = trials_at(blocks * kernel.lanes, kDifferent);
        const Outcome outcome = run_kernel(kernel, c.attrs.data(), in, {&out, 1}, trials);
        if (!outcome.declined.empty()) continue;
        ++serving;
        CHECK(outcome.fault == "");
        double error = 0, sum = 0, summands = 0;  // squares
        for (std::size_t i = 0; i < numbers; ++i) {
          double expected = 0;
          for (const int t : trials) {
            expected += one_by_one[t * numbers + i];
            summands += one_by_one[t * numbers + i] * one_by_one[t * numbers + i];
          }
          error += (outcome.out[0][i] - expected) * (outcome.out[0][i] - expected);
          sum += expected * expected;
        }
        const double rounding = out.dtype == DType::f32 ? 6e-8 : 4e-15;  // of the summands, should they cancel
        CHECK(std::sqrt(error / std::max(sum, summands)) <= rounding * std::sqrt(terms_of(c) * static_cast<double>(trials.size())));
      }
    served = served && serving == several.size();
  }
  return served;
}

}  // namespace

TEST_CASE("sums over the trials of a pack against the reference", "[parity]") {
  std::vector<Case> cases = reduce_cases();
  cases.push_back(make_case("sum_to", "a scalar of every trial", NoAttrs{}, {operand({})}, operand({})));
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::f64})
      if (std::string_view(c.op) == "sum_to") CHECK(check_sum(c, "sum_to", dtype, 0));
}

TEST_CASE("products summed over the trials of a pack against the reference", "[parity]") {
  for (const Case& c : matmul_cases())
    for (const DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(c.label);
      CHECK(check_sum(c, "matmul_sum", dtype, 0) == (c.attrs.as<MatmulGeometry>().batch == 1));
      CHECK(!check_sum(c, "matmul_sum", dtype, 1));
    }
}

TEST_CASE("weight gradients summed over the trials of a pack against the reference", "[parity]") {
  for (const Case& c : conv2d_cases())
    for (const DType dtype : {DType::f32, DType::f64}) {
      if (std::string_view(c.op) != "conv2d_grad_weight" || (c.large && dtype == DType::f64)) continue;
      CAPTURE(c.label);
      for (const unsigned shared : c.large ? std::vector{0u} : std::vector{0u, 1u, 2u})
        CHECK(check_sum(c, "conv2d_grad_weight_sum", dtype, shared));
    }
}
