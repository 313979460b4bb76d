// run_kernel in a device's memory, with an emulated device: what tests on a GPU rely on.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "kernels/all_cases.h"
#include "tests/emulated_device.h"
#include "tests/kernels/parity_run.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;

namespace {

/// y = 2 x, and with `wrong` what no kernel may do: one number before or behind the output, or the input.
template <int wrong>
void twice(const Arguments& args) {
  const std::int64_t n = args.out[0].dims[0] * args.out[0].count_per_block();
  double* const y = args.out[0].as<double>();
  const double* const x = args.in[0].as<double>();
  for (std::int64_t i = 0; i < n; ++i) y[i] = 2 * x[i];
  if (wrong == 1) y[-1] = 0;
  if (wrong == 2) y[n] = 0;
  if (wrong == 3) const_cast<double*>(x)[n - 1] = 0;
}

Kernel planted(void (*run)(const Arguments&)) { return {"copy", "planted", Isa::cuda, DType::f64, 1, nullptr, nullptr, run}; }

}  // namespace

TEST_CASE("a kernel gives the same bits in a device's memory as in the host's", "[checker][emulated]") {
  int compared = 0;
  gi::test::EmulatedDevice device;
  for (const Case& c : all_cases()) {
    if (c.large || compared >= 60) continue;
    for (const Kernel& kernel : kernels_of(c.op, Isa::cuda, DType::f32, 1)) {
      std::vector<Input> in;
      for (int i = 0; i < c.operands; ++i) {
        const DType dtype = c.in[i].rank == 0 ? DType::f64 : DType::f32;
        in.push_back({.dims = dims_of(c.in[i]), .dtype = dtype, .values = draw(c.in[i], dtype, 2, i + 1)});
      }
      const Output out{.dims = dims_of(c.out), .dtype = c.out.rank == 0 ? DType::f64 : DType::f32};
      const std::vector<int> trials{0, 1, 0};
      const Outcome there = run_kernel(kernel, c.attrs.data(), in, {&out, 1}, trials, &device);
      const Outcome here = run_kernel(kernel, c.attrs.data(), in, {&out, 1}, trials, nullptr);
      CAPTURE(c.op, c.label, kernel.name);
      CHECK(there.declined == here.declined);
      CHECK(there.fault == here.fault);
      CHECK(there.out == here.out);
      compared += here.declined.empty();
    }
  }
  CHECK(compared >= 30);
  CHECK(device.held() == 0);
}

TEST_CASE("what a kernel does to a device's memory that is not its own is found", "[checker][emulated]") {
  gi::test::EmulatedDevice device;
  const Input x{.dims = {3}, .dtype = DType::f64, .values = {1, 2, 3, 4, 5, 6}};
  const Output y{.dims = {3}, .dtype = DType::f64};
  const std::vector<int> trials{1, 0};
  const auto run = [&](const Kernel& kernel) { return run_kernel(kernel, nullptr, {&x, 1}, {&y, 1}, trials, &device); };
  CHECK(run(planted(twice<0>)).fault == "");
  CHECK(run(planted(twice<0>)).out[0] == std::vector<double>{8, 10, 12, 2, 4, 6});
  CHECK(run(planted(twice<1>)).fault == "beside an output");
  CHECK(run(planted(twice<2>)).fault == "beside an output");
  CHECK(run(planted(twice<3>)).fault == "an input");
  // Nothing written: what was there is NaN.
  const Outcome idle = run(planted([](const Arguments&) {}));
  CHECK(std::ranges::all_of(idle.out[0], [](double v) { return v != v; }));
}
