// What gi_bench times on a device, with the emulated one.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "bench/rows.h"
#include "bench/table.h"
#include "engine/device/device_ceilings.h"
#include "inversion/attack.h"
#include "kernels/common/ceiling_loops.h"
#include "tests/tested_device.h"

using namespace gi;
using namespace gi::bench;
using kernels::Kernel;

namespace {

std::vector<double> doubles(const Buffer& values, DType dtype) {
  std::vector<double> all(values.size() / kernels::size_of(dtype));
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] =
        dtype == DType::f32 ? reinterpret_cast<const float*>(values.data())[i] : reinterpret_cast<const double*>(values.data())[i];
  return all;
}

/// |got - expected| / |expected|, where numbers that are NaN in both agree.
double relative_error(const std::vector<double>& got, const std::vector<double>& expected) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    error += std::pow(got[i] - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  return error == 0 ? 0 : std::sqrt(error / size);
}

/// A device with kernels of a library: one that serves, one that does not.
class DeviceWithLibrary : public test::TestedDevice {
 public:
  DeviceWithLibrary() {
    for (Kernel k : TestedDevice::kernels()) {
      list_.push_back(k);
      if (std::string_view(k.op) != "matmul" || std::string_view(k.name) != "cuda_tiles") continue;
      k.on_request = true;
      k.name = "cublas";
      list_.push_back(k);
      k.name = "cublas_tf32";
      k.declines = [](const kernels::Problem&) { return "cuBLAS was not found"; };
      list_.push_back(k);
    }
  }
  std::span<const Kernel> kernels() const override { return list_; }

 private:
  std::vector<Kernel> list_;
};

/// Rows by name, one repetition each.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) rows.emplace(run.benchmark_name(), run);
  }
  std::map<std::string, Run> rows;
};

/// What the rows of a device are when those that match `filter` are measured, as short as can be.
std::map<std::string, benchmark::BenchmarkReporter::Run> measured(DeviceRows& rows, const std::string& filter) {
  char name[] = "gi_test_bench", shortest[] = "--benchmark_min_time=0.0001";
  char* argv[] = {name, shortest, nullptr};
  int argc = 2;
  benchmark::Initialize(&argc, argv);
  benchmark::ClearRegisteredBenchmarks();
  rows.add_kernels();
  rows.add_iterations();
  rows.measure_ceilings();
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector, filter);
  benchmark::ClearRegisteredBenchmarks();
  return collector.rows;
}

double counter(const benchmark::BenchmarkReporter::Run& run, const std::string& name) { return run.counters.at(name).value; }

}  // namespace

TEST_CASE("a device's ceilings are measured and its memory is given back", "[unit][emulated]") {
  test::TestedDevice device;
  const kernels::Ceilings c = measure_ceilings(device);
  CHECK(device.held == 0);
  CHECK(c.isa == kernels::Isa::cuda);
  CHECK(c.cache_bytes == std::array<std::size_t, 3>{0, device.hardware().cache_bytes, 0});
  for (const double rate : {c.gflops[0], c.gflops[1], c.tensor_gflops, c.read_gbs[1], c.read_gbs[3]}) {
    CHECK(rate > 0);
    CHECK(std::isfinite(rate));
  }
  CHECK(c.read_gbs[0] == 0);
  CHECK(c.read_gbs[2] == 0);
}

TEST_CASE("calls on a device compute what the CPU's do, on operands that lie there", "[parity][emulated]") {
  test::TestedDevice device;
  std::set<std::string> seen, ops;
  for (const DType dtype : {DType::f64, DType::f32})
    for (const Workload& workload : case_workloads(dtype, 1)) {
      if (workload.bytes() > 1 << 16 || workload.flops > 1e6) continue;
      const auto on_cpu = workload.kernels(kernels::cpu_kernels(kernels::best_isa())),
                 on_device = workload.kernels(device.kernels());
      if (on_device.empty() || !seen.insert(workload.op + (dtype == DType::f32 ? " f32" : " f64")).second) continue;
      ops.insert(workload.kernel);
      CAPTURE(workload.op, workload.label);
      const Call expected(workload, *on_cpu.front());
      expected.run();
      for (const Kernel* kernel : on_device) {
        CAPTURE(kernel->name);
        const Call call(workload, *kernel, &device);
        CHECK(device.held > 0);
        const std::vector<double> before = doubles(call.output(0), workload.out[0].dtype);
        call.run();
        const std::vector<double> after = doubles(call.output(0), workload.out[0].dtype);
        CHECK(before != after);
        CHECK(relative_error(after, doubles(expected.output(0), workload.out[0].dtype)) <= (dtype == DType::f32 ? 2e-5 : 1e-12));
      }
      CHECK(device.held == 0);
    }
  for (const Kernel& k : device.kernels())
    CHECK((ops.count(k.op) == 1 || std::string_view(k.op) == kernels::kCeilingOp || test::has_head(k)));
}

TEST_CASE("a chain and its head are a step of a network like any other", "[unit][emulated]") {
  test::TestedDevice device;
  const auto network = std::ranges::find(networks(), std::string_view("resnet20 train, batch 8"), &Network::name);
  std::map<std::string, int> calls;
  for (const Workload& w : step_workloads(*network, 1, {.device = &device, .lanes = 1})) {
    const std::vector<const Kernel*> kernels = w.kernels(device.kernels());
    REQUIRE(!kernels.empty());
    if (!test::has_head(*kernels[0])) continue;
    calls[w.op] += w.calls;
    if (w.label != "1 ops, 4 in, 1 out, 8x64x8x8") continue;
    const Call call(w, *kernels[0], &device);
    const std::vector<double> before = doubles(call.output(0), w.dtype);
    call.run();
    const std::vector<double> after = doubles(call.output(0), w.dtype);
    CHECK(before != after);
    CHECK(std::ranges::all_of(after, [](double v) { return std::isfinite(v); }));
    ++calls["measured"];
  }
  CHECK(calls == std::map<std::string, int>{
                     {"batchnorm_chain", 19}, {"batchnorm_grad_chain", 19}, {"batchnorm_grad2_chain", 21}, {"measured", 1}});
}

TEST_CASE("rows of a device: time set by hand, shares of its ceilings, libraries beside", "[unit][emulated]") {
  DeviceWithLibrary device;
  DeviceRows rows(&device);
  const auto all = measured(rows,
                            "^matmul/.*f32x1/own/.*64x64 by 64x64, "
                            "NT|^dot/.*f32x16/lenetzhu/|^matmul/.*f32x1/lenetzhu/|^iteration/lenetzhu/eval/1 trial/cuda");
  std::set<std::string> kinds;
  std::map<std::string, int> called;
  for (const auto& [name, run] : all) {
    CAPTURE(name, run.error_message);
    CHECK(name.ends_with("/manual_time"));
    const bool declined = name.starts_with("matmul/cublas_tf32/");
    CHECK(run.error_occurred == declined);
    if (declined) CHECK(run.error_message == "cuBLAS was not found");
    const std::string kind = name.substr(0, name.find('/', name.find('/') + 1));
    kinds.insert(kind);
    if (declined) continue;
    const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
    CHECK(seconds > 0);
    CHECK(counter(run, kShare) == Approx(counter(run, kLeast) / seconds));
    CHECK(counter(run, kBestShare) >= counter(run, kShare) * (1 - 1e-9));
    CHECK(counter(run, "gflops") > 0);
    if (name.starts_with("matmul") && name.find("/own/") != name.npos)
      CHECK(counter(run, "gflops") == Approx(2 * 64 * 64 * 64 * 1e-9 / seconds));
    CHECK((run.counters.count(std::string(kTimesAsFast) + "cuBLAS") != 0) == name.starts_with("matmul/cuda_"));
    CHECK(run.counters.count(std::string(kTimesAsFast) + "cuBLAS TF32") == 0);
    // What a step calls is one of its kernels, by the op and all that stands behind the kernel's name.
    if (run.counters.count(kCalls) != 0) ++called[name.substr(0, name.find('/')) + name.substr(kind.size())];
    else called.try_emplace(name.substr(0, name.find('/')) + name.substr(kind.size()), 0);
  }
  for (const auto& [step, kernels] : called) {
    CAPTURE(step);
    CHECK(kernels == (step.find("/lenetzhu/") != step.npos && !step.starts_with("iteration") ? 1 : 0));
  }
  for (const char* kind : {"matmul/cuda_tiles", "matmul/cublas", "matmul/cublas_tf32", "dot/cuda_blocks", "iteration/lenetzhu"})
    CHECK(kinds.count(kind) == 1);
}

TEST_CASE("the table keeps a device's steps apart from the CPU's", "[unit]") {
  const auto row = [](const std::string& time_type, double milliseconds) {
    benchmark::BenchmarkReporter::Run run;
    run.run_type = benchmark::BenchmarkReporter::Run::RT_Iteration;
    run.run_name.function_name =
        std::string("dot/") + (time_type.empty() ? "blocks" : "cuda_blocks") + "/f32x1/lenetzhu/100 by 100";
    run.run_name.time_type = time_type;
    run.iterations = 10;
    run.time_unit = benchmark::kMillisecond;
    run.real_accumulated_time = 1e-2 * milliseconds;
    run.cpu_accumulated_time = time_type.empty() ? 1e-2 * milliseconds : 1;
    for (const char* name : {"gflops", "gbytes", kShare, kBestShare, kCalls}) run.counters[name] = 1;
    run.counters[kLeast] = 0.5e-3;
    run.counters[std::string(kTimesAsFast) + "cuBLAS"] = 0.25;
    return run;
  };
  std::ostringstream out;
  TableReporter table;
  table.SetOutputStream(&out);
  table.ReportRuns({row("", 1), row("manual_time", 2)});
  table.Finalize();
  CAPTURE(out.str());
  CHECK_THAT(out.str(), Catch::Contains("\nlenetzhu, f32x1: measured steps of an iteration take 1.00 ms, 50% of the ceiling\n"));
  CHECK_THAT(out.str(),
             Catch::Contains("\nlenetzhu, f32x1 on the device: measured steps of an iteration take 2.00 ms, 25% of the ceiling\n"));
  CHECK_THAT(out.str(), Catch::Contains("0.25 x cuBLAS"));
}

TEST_CASE("rows of a device that is not there are skipped with the reason", "[unit]") {
  DeviceRows rows(nullptr, "no CUDA device: none");
  const auto all = measured(rows, "^iteration/");
  CHECK(all.size() >= 10);
  for (const auto& [name, run] : all) {
    CHECK(run.error_occurred);
    CHECK(run.error_message == "no CUDA device: none");
  }
}

TEST_CASE("a population on a device begins where the CPU's does, and is replayed", "[e2e][emulated]") {
  test::TestedDevice device;
  PopulationOptions options{.trials = 2};
  Population on_cpu(options);
  options.device = &device;
  Population on_device(options);
  CHECK(on_device.chunk() == 2);
  CHECK(on_device.plan().isa() == kernels::Isa::cuda);
  CHECK(on_device.first_cost() == Approx(on_cpu.first_cost()).epsilon(1e-5));
  CHECK(device.recordings == 1);
  const int before = device.replays;
  CHECK(on_device.run(2).wall > 0);
  CHECK(device.replays == before + 2);
}

TEST_CASE("a population takes as many trials at once as divide it and fit into a device's memory", "[unit][emulated]") {
  class SmallDevice : public test::TestedDevice {
   public:
    std::size_t free_memory() const override { return memory; }
    std::size_t memory = std::size_t{1} << 33;
  } device;
  PopulationOptions options{.device = &device};
  const inversion::Problem problem = silent_problem(options, 1);
  const Program program = inversion::attack_program(problem, {}, 1);
  const std::size_t one = Plan::compile(program, {.device = &device}).workspace_bytes();
  options.trials = 6;
  device.memory = 5 * one * 10 / 9 + 100;
  CHECK(Population(options).chunk() == 3);
  device.memory = one / 2;
  CHECK(Population(options).chunk() == 1);
}
