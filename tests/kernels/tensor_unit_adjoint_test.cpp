// Derivatives on units that multiply matrices: <A u, v> = <u, A' v> for convolutions and matrix products in 3xTF32 and in TF32, and
// for convolutions in three products of bf16, over the cases that all sides serve.
//
// What the errors come to: a result differs from its exact value by `unit` of what it is, as a norm, in directions that have
// nothing to do with the other factor of the inner product. So of n numbers such a product is wrong by unit / sqrt(n) of the
// product of the norms, a number that scatters like one of a normal distribution; five times that is allowed for either side.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>

#include "kernels/all_cases.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

constexpr int kTrials = 3;
constexpr const char* kNames[] = {"cuda_3xtf32", "cuda_tensor_tf32"};

/// Relative errors, as norms, of sums of `terms` products: those of f32, what rounding both factors to TF32 adds, and the class of
/// three products of bf16.
double unit(std::string_view name, double terms) {
  if (name.ends_with("_bf16x3")) return 1e-5;
  return 6e-8 * std::sqrt(terms) + (name.ends_with("_tf32") ? 0x1p-11 * std::sqrt(2.0 / 3.0) : 0);
}

struct Side {
  std::vector<double> result;
  const std::vector<double>& with;
  double terms;  ///< of a number of the result
};

class Kernels {
 public:
  Kernels(Isa isa, std::string_view name) : isa_(isa), name_(name) {}

  /// Empty where the kernel of this name declines.
  std::vector<double> run(std::string_view op, const void* attrs, const Input& a, const Input& b, const Operand& out) const {
    const Output output{.dims = dims_of(out), .dtype = DType::f32};
    for (const Kernel& kernel : kernels_of(op, isa_, DType::f32, 1))
      if (kernel.name == name_) {
        const Outcome outcome = run_kernel(kernel, attrs, std::vector{a, b}, {&output, 1}, trials_at(kTrials, kTrials));
        CHECK(outcome.fault == "");
        return outcome.declined.empty() ? outcome.out[0] : std::vector<double>{};
      }
    FAIL("no kernel " << name_ << " for " << op);
    return {};
  }

  /// False if one of the sides is not served.
  bool check_equal(const Side& a, const Side& b) const {
    if (a.result.empty() || b.result.empty()) return false;
    double difference = 0, allowed = 0;
    for (const Side* side : {&a, &b}) {
      double product = 0, own = 0, other = 0;
      for (std::size_t i = 0; i < side->result.size(); ++i) {
        product += side->result[i] * side->with[i];
        own += side->result[i] * side->result[i];
        other += side->with[i] * side->with[i];
      }
      difference += side == &a ? product : -product;
      allowed += 5 * unit(name_, side->terms) * std::sqrt(own * other / static_cast<double>(side->result.size()));
    }
    CHECK(std::abs(difference) <= allowed);
    return true;
  }

 private:
  Isa isa_;
  std::string_view name_;
};

Input drawn(const Operand& operand, std::uint64_t seed) {
  return {.dims = dims_of(operand), .dtype = DType::f32, .values = draw(operand, DType::f32, kTrials, seed)};
}

/// One trilinear form, whose three derivatives these are. How many pairs of them were compared.
int check_convolutions(const Kernels& kernels) {
  int checked = 0;
  for (const Case& c : conv2d_cases()) {
    if (std::string_view(c.op) != "conv2d") continue;
    const auto& geo = c.attrs.as<Conv2dGeometry>();
    CAPTURE(c.label);
    const Input x = drawn(c.in[0], 1), w = drawn(c.in[1], 2), g = drawn(c.out, 3);
    const double taps = static_cast<double>(geo.r * geo.s), images = static_cast<double>(c.in[0].dims[0]);
    const Side y{kernels.run("conv2d", &geo, x, w, c.out), g.values, static_cast<double>(geo.c_per_group()) * taps};
    const Side dx{kernels.run("conv2d_grad_input", &geo, g, w, c.in[0]), x.values, static_cast<double>(geo.k_per_group()) * taps};
    const Side dw{kernels.run("conv2d_grad_weight", &geo, x, g, c.in[1]), w.values, images * static_cast<double>(geo.p * geo.q)};
    checked += kernels.check_equal(y, dx) ? 1 : 0;
    checked += kernels.check_equal(y, dw) ? 1 : 0;
  }
  return checked;
}

}  // namespace

TEST_CASE("convolutions on the tensor cores are one trilinear form", "[adjoint][emulated][gpu]") {
  for (const std::string_view name : kNames) {
    CAPTURE(name);
    CHECK(check_convolutions({Isa::cuda, name}) >= 20);
  }
}

TEST_CASE("convolutions on AMX are one trilinear form", "[adjoint]") {
  if (best_isa() != Isa::avx512 || kernels_of("conv2d", Isa::avx512, DType::f32, 1)[0].name != std::string_view("amx_bf16x3")) {
    std::printf("[gi: skipped] this processor has no AMX\n");
    return;
  }
  CHECK(check_convolutions({Isa::avx512, "amx_bf16x3"}) >= 12);
}

TEST_CASE("matrix products on the tensor cores are closed under their adjoints", "[adjoint][emulated][gpu]") {
  for (const std::string_view name : kNames) {
    const Kernels kernels(Isa::cuda, name);
    int checked = 0;
    for (const Case& c : matmul_cases()) {
      const auto& geo = c.attrs.as<MatmulGeometry>();
      const std::int64_t ta = geo.transpose_a, tb = geo.transpose_b;
      CAPTURE(name, c.label, ta, tb);
      const Input a = drawn(c.in[0], 1), b = drawn(c.in[1], 2), g = drawn(c.out, 3);
      const MatmulGeometry of_a = ta != 0 ? MatmulGeometry{geo.k, geo.m, geo.n, tb, 1, geo.batch}
                                          : MatmulGeometry{geo.m, geo.k, geo.n, 0, 1 - tb, geo.batch};
      const MatmulGeometry of_b = tb != 0 ? MatmulGeometry{geo.n, geo.k, geo.m, 1, ta, geo.batch}
                                          : MatmulGeometry{geo.k, geo.n, geo.m, 1 - ta, 0, geo.batch};
      const auto terms = [](const MatmulGeometry& of) { return static_cast<double>(of.k); };
      const Side y{kernels.run("matmul", &geo, a, b, c.out), g.values, terms(geo)};
      const Side da{kernels.run("matmul", &of_a, ta != 0 ? b : g, ta != 0 ? g : b, c.in[0]), a.values, terms(of_a)};
      const Side db{kernels.run("matmul", &of_b, tb != 0 ? g : a, tb != 0 ? a : g, c.in[1]), b.values, terms(of_b)};
      checked += kernels.check_equal(y, da) ? 1 : 0;
      checked += kernels.check_equal(y, db) ? 1 : 0;
    }
    CHECK(checked >= 16);
  }
}
