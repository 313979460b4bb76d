// Fast kernels called as the Plan calls them, between zones of NaN and with scratch full of it.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device/device.h"
#include "kernels/api/kernel.h"
#include "tests/kernels/reference_run.h"

namespace gi::kernels::parity {

/// One operand's numbers for as many trials as there are different ones; dims without the trial axis.
struct Input {
  Dims dims;
  DType dtype = DType::f64;
  std::vector<double> values;  ///< [trial][...], as the reference reads them: broadcasts written out
  bool shared = false;         ///< every trial reads trial 0
  Dims strides = {};           ///< in numbers, without the trial axis; empty: dense
};

struct Output {
  Dims dims;
  DType dtype = DType::f64;
  int in_place = -1;    ///< the input whose memory it takes
  bool shared = false;  ///< one result for all trials: Outcome has it as the first place's
};

struct Outcome {
  std::string declined;                  ///< the reason, or empty
  std::string fault;                     ///< memory written that is not the kernel's, or empty
  std::vector<std::vector<double>> out;  ///< [output][place][...]
};

/// The instruction sets this processor has, and the forms kernels come in: one trial, and trials in the lanes.
std::vector<Isa> isas();
std::vector<std::int64_t> lanes_of(Isa isa);
/// Isa::cuda's are those of the device under test (tests/tested_device.h): emulated but in gi_test_device.
std::vector<Kernel> kernels_of(std::string_view op, Isa isa, DType dtype, std::int64_t lanes);
/// The same for all instruction sets and lanes, the device's last.
std::vector<Kernel> all_kernels_of(std::string_view op, DType dtype);
/// "trial_lanes_direct avx2 f32 x8"
std::string describe(const Kernel& kernel);

/// What the emulator makes of a real device's kernel; null where there is no such device, or the kernel is of a library.
const Kernel* emulated_twin(const Kernel& kernel);

/// Place p, counted through blocks and lanes, works on trial trials[p], in memory of `device` or, where that is null, of the host.
Outcome run_kernel(const Kernel& kernel, const void* attrs, std::span<const Input> in, std::span<const Output> out,
                   std::span<const int> trials, Device* device);
/// Isa::cuda's on the device under test; on the host where that is emulated, for sanitizers watch that memory.
Outcome run_kernel(const Kernel& kernel, const void* attrs, std::span<const Input> in, std::span<const Output> out,
                   std::span<const int> trials);

/// Numbers of a domain for trials 0, 1, ...; rounded to f32 if `dtype` says so. A trial's numbers are its own, however many
/// there are.
std::vector<double> draw(const Operand& operand, DType dtype, int trials, std::uint64_t seed);

Dims dims_of(const Operand& operand);

/// The trials of `places` places: every one of `different` comes in many lanes and blocks, never in step with them.
std::vector<int> trials_at(std::int64_t places, int different);

/// A trial has the same bits wherever it runs: remembers what a trial gave and compares the next time.
class Bits {
 public:
  /// The first trial that differs from what it gave before, or -1.
  int differs(const Outcome& outcome, std::span<const int> trials);

 private:
  std::map<int, std::vector<std::vector<double>>> seen_;
};

/// The largest over places of |got - expected| / |expected|, 2-norms of a trial; where the trial's own norm is below what the
/// trials have on average (by cancellation, if it is a single number), that average. NaN counts as infinite.
double relative_error(std::span<const double> got, std::span<const double> expected, std::span<const int> trials);

}  // namespace gi::kernels::parity
