// <A u, v> = <u, A' v> for every linear reference kernel and its adjoint, over the case lists.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "kernels/all_cases.h"
#include "tests/kernels/reference_run.h"

using namespace gi::kernels;

namespace {

constexpr std::int64_t kTrials = 2;

Dims with_trials(const Operand& o) {
  Dims dims{kTrials};
  dims.insert(dims.end(), o.dims.begin(), o.dims.begin() + o.rank);
  return dims;
}

class Random {
 public:
  Array array(const Operand& o) {
    Array a{with_trials(o), std::vector<double>(kTrials * count(o))};
    for (double& x : a.values) x = normal_(engine_);
    return a;
  }

 private:
  std::mt19937_64 engine_{20240229};
  std::normal_distribution<double> normal_;
};

double norm(const std::vector<double>& a) {
  double sum = 0;
  for (double x : a) sum += x * x;
  return std::sqrt(sum);
}

/// Both inner products must agree to f64's precision class, measured against the norms.
void check_equal_products(const std::vector<double>& a, const std::vector<double>& b, const std::vector<double>& c,
                          const std::vector<double>& d) {
  REQUIRE(a.size() == b.size());
  REQUIRE(c.size() == d.size());
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference += a[i] * b[i];
  for (std::size_t i = 0; i < c.size(); ++i) difference -= c[i] * d[i];
  const double n = static_cast<double>(std::max(a.size(), c.size()));
  CHECK(std::abs(difference) <= 4e-15 * std::sqrt(n) * std::max(norm(a) * norm(b), norm(c) * norm(d)));
}

}  // namespace

TEST_CASE("the convolution family is one trilinear form", "[adjoint]") {
  Random random;
  for (const Case& c : conv2d_cases()) {
    if (std::string(c.op) != "conv2d") continue;
    CAPTURE(c.label);
    const Array x = random.array(c.in[0]), w = random.array(c.in[1]), g = random.array(c.out);
    const auto y = run_reference("conv2d", c.attrs, {x, w}, g.dims);
    const auto dx = run_reference("conv2d_grad_input", c.attrs, {g, w}, x.dims);
    const auto dw = run_reference("conv2d_grad_weight", c.attrs, {x, g}, w.dims);
    check_equal_products(y, g.values, dx, x.values);
    check_equal_products(y, g.values, dw, w.values);
  }
}

TEST_CASE("matrix products are closed under their adjoints", "[adjoint]") {
  Random random;
  for (const Case& c : matmul_cases()) {
    const auto& geo = c.attrs.as<MatmulGeometry>();
    const std::int64_t ta = geo.transpose_a, tb = geo.transpose_b;
    CAPTURE(c.label, ta, tb);
    const Array a = random.array(c.in[0]), b = random.array(c.in[1]), g = random.array(c.out);
    const auto y = run_reference("matmul", c.attrs, {a, b}, g.dims);
    const auto da = ta != 0 ? reference("matmul", MatmulGeometry{geo.k, geo.m, geo.n, tb, 1, geo.batch}, {b, g}, a.dims)
                            : reference("matmul", MatmulGeometry{geo.m, geo.k, geo.n, 0, 1 - tb, geo.batch}, {g, b}, a.dims);
    const auto db = tb != 0 ? reference("matmul", MatmulGeometry{geo.n, geo.k, geo.m, 1, ta, geo.batch}, {g, a}, b.dims)
                            : reference("matmul", MatmulGeometry{geo.k, geo.n, geo.m, 1 - ta, 0, geo.batch}, {a, g}, b.dims);
    check_equal_products(y, g.values, da, a.values);
    check_equal_products(y, g.values, db, b.values);
  }
}

TEST_CASE("pairs of adjoint ops, linear in their first operand", "[adjoint]") {
  struct Pair {
    std::string op, adjoint;
  };
  const Pair pairs[] = {{"avg_pool", "avg_pool_grad"},
                        {"max_select", "max_scatter"},
                        {"sum_to", "broadcast_to"},
                        {"pad", "crop"},
                        {"winograd_input", "winograd_input_grad"},
                        {"winograd_output", "winograd_output_grad"},
                        {"winograd_filter", "winograd_filter_grad"},
                        {"batchnorm_grad", "batchnorm_grad"},
                        {"relu_mask", "relu_mask"},
                        {"leaky_relu_mask", "leaky_relu_mask"},
                        {"clamp_mask", "clamp_mask"}};
  Random random;
  for (const Pair& pair : pairs) {
    int tried = 0;
    for (const Case& c : all_cases()) {
      if (c.op != pair.op) continue;
      CAPTURE(c.op, c.label);
      std::vector<Array> forward, backward;
      for (std::int64_t i = 0; i < c.operands; ++i) forward.push_back(random.array(c.in[i]));
      backward = forward;
      backward[0] = random.array(c.out);
      const auto au = run_reference(pair.op, c.attrs, forward, backward[0].dims);
      const auto bv = run_reference(pair.adjoint, c.attrs, backward, forward[0].dims);
      check_equal_products(au, backward[0].values, bv, forward[0].values);
      ++tried;
    }
    CHECK(tried >= 2);
  }
}
