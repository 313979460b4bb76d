// Products of less than f32's precision, where they are asked for.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>

#include "engine/core/error.h"
#include "engine/exec/plan.h"
#include "inversion/attack.h"
#include "models/zoo.h"
#include "tests/emulated_device.h"

using namespace gi;

namespace {

Plan plan_of(const char* model, const PlanOptions& options) {
  inversion::Problem p;
  p.model = models::find_model(model);
  p.mean = p.std = {0.5, 0.5, 0.5};
  p.networks.push_back(models::initialise(p.model, 7));
  p.victims.resize(1);
  return Plan::compile(inversion::attack_program(p, {}, 1), options);
}

std::int64_t steps_with(const Plan& plan, const char* products) {
  return std::ranges::count_if(plan.iteration(), [&](const auto& s) { return kernels::has_products(*s.kernel, products); });
}

bool has_tile_units() {
  const auto list = kernels::cpu_kernels(kernels::best_isa());
  const bool has = std::ranges::any_of(list, [](const auto& k) { return kernels::has_products(k, "bf16x3"); });
  if (!has) std::printf("[gi: skipped] this processor has no AMX\n");
  return has;
}

}  // namespace

TEST_CASE("what kind of products a kernel has is the end of its name, of kernels by request", "[unit]") {
  const auto kernel = [](const char* name, bool on_request) {
    return kernels::Kernel{"conv2d", name, kernels::Isa::avx512, DType::f32, 1, nullptr, nullptr, nullptr, nullptr, on_request};
  };
  CHECK(kernels::has_products(kernel("amx_bf16x3", true), "bf16x3"));
  CHECK_FALSE(kernels::has_products(kernel("amx_bf16x3", true), "f16x3"));
  CHECK_FALSE(kernels::has_products(kernel("amx_bf16x3", true), "amx_bf16x3"));
  CHECK_FALSE(kernels::has_products(kernel("cuda_3xtf32", false), "tf32"));
  CHECK_FALSE(kernels::has_products(kernel("cuda_tensor_tf32", true), ""));
}

TEST_CASE("products are f32's unless asked for, and an error where no kernel has the kind", "[plan]") {
  CHECK(steps_with(plan_of("resnet20", {}), "bf16x3") == 0);
  for (const char* kind : {"tf32", "", "bf16"}) {
    CAPTURE(kind);
    CHECK_THROWS_AS(plan_of("lenetzhu", {.force = {{"products", kind}}}), UsageError);
  }
  CHECK_THROWS_WITH(plan_of("lenetzhu", {.isa = kernels::Isa::portable, .force = {{"products", "bf16x3"}}}),
                    "plan: no portable kernel here has products of kind 'bf16x3'");
}

TEST_CASE("a Plan takes products of three of bf16 where a kernel has them, and Winograd's transforms where those are faster",
          "[plan]") {
  if (!has_tile_units()) return;
  const PlanOptions asked{.force = {{"products", "bf16x3"}}};
  const Plan plan = plan_of("resnet20", asked);
  // All but those of the image's three channels: of 18 basic and 2 shortcut convolutions the forward one, the input gradient, the
  // weight gradient, both pairs of the second sweep.
  CHECK(steps_with(plan, "bf16x3") == 20 * 5);
  for (const auto& step : plan.iteration()) {
    const std::string_view op = step.kernel->op;
    CHECK(kernels::has_products(*step.kernel, "bf16x3") ==
          (op.starts_with("conv2d") && step.what.find(",3,32,32]") == step.what.npos));
  }
  CHECK(plan.hash() != plan_of("resnet20", {}).hash());

  PlanOptions named = asked;
  named.force["conv2d"] = "pixel_lanes_direct";
  const Plan with_named = plan_of("resnet20", named);
  for (const auto& step : with_named.iteration())
    if (step.kernel->op == std::string_view("conv2d")) CHECK(step.kernel->name == std::string_view("pixel_lanes_direct"));

  const Plan wide = plan_of("convnet64", asked);
  const auto transforms = std::ranges::count_if(wide.iteration(), [](const auto& s) { return s.what.starts_with("winograd"); });
  CHECK(transforms > 0);
  CHECK(steps_with(wide, "bf16x3") > 0);
}

TEST_CASE("a device's products are TF32 where asked for", "[plan][emulated]") {
  const test::EmulatedDevice device;
  CHECK(steps_with(plan_of("lenetzhu", {.device = &device}), "tf32") == 0);
  CHECK(steps_with(plan_of("lenetzhu", {.device = &device, .force = {{"products", "tf32"}}}), "tf32") > 0);
}
