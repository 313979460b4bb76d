// The steps of networks that gi_bench times.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "bench/workload.h"
#include "inversion/attack.h"

using namespace gi;
using namespace gi::bench;
using kernels::Kernel;

TEST_CASE("the steps of a network are those of its attack, filters prepared for one kernel", "[unit]") {
  const auto network = std::ranges::find(networks(), std::string_view("resnet20"), &Network::name);
  const PlanOptions options{.isa = kernels::best_isa(), .lanes = 1};
  const std::vector<Workload> list = step_workloads(*network, 1, options);
  const Plan plan =
      Plan::compile(inversion::attack_program(silent_problem(population_of(*network), 1), {.restarts = 1}, 1), options);

  std::size_t calls = 0, of_prepared = 0;
  for (const Workload& w : list) {
    calls += static_cast<std::size_t>(w.calls);
    if (w.prepared_for == nullptr) continue;
    of_prepared += static_cast<std::size_t>(w.calls);
    CHECK(w.kernels(kernels::cpu_kernels(options.isa)) == std::vector<const Kernel*>{w.prepared_for});
    // Beside it, what other kernels can do, too.
    CHECK(std::ranges::any_of(list,
                              [&](const Workload& other) { return other.label + ", prepared" == w.label && other.calls == 0; }));

    const Call call(w, *w.prepared_for);
    const Buffer before = call.output(0);
    call.run();
    const Buffer after = call.output(0);
    const auto* values = reinterpret_cast<const float*>(after.data());
    const std::size_t count = after.size() / sizeof(float);
    CHECK(!std::equal(before.data(), before.data() + before.size(), after.data()));
    CHECK(std::all_of(values, values + count, [](float v) { return std::isfinite(v); }));
  }
  CHECK(calls == plan.iteration().size());
  CHECK(of_prepared > 0);
}

TEST_CASE("a batch that fills packs has its images as the trials of its steps", "[unit]") {
  const kernels::Isa isa = kernels::best_isa();
  const std::int64_t pack = kernels::pack_lanes(isa);
  const auto network = std::ranges::find(networks(), std::string_view("lenetzhu, batch 16"), &Network::name);
  for (const std::int64_t lanes : {std::int64_t{1}, pack}) {
    const std::vector<Workload> list = step_workloads(*network, 1, {.isa = isa, .lanes = lanes});
    const auto sums =
        std::ranges::count_if(list, [](const Workload& w) { return w.op == "conv2d_grad_weight_sum" && w.calls > 0; });
    CHECK(sums == (lanes == 1 ? 0 : 3));
    for (const Workload& w : list)
      if (w.op.ends_with("_sum")) CHECK(w.trials() == network->batch);
  }
}
