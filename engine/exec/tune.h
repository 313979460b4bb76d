// The kernel of each step of a Plan by measurement instead of by rank.
//
// Every different step of the iteration that more than one kernel serves is set up alone, on operands drawn for its op. A kernel
// may take the place of the Plan's own if
//
//   its result lies within the precision class of its dtype from the op's definition in f64: |y - y'| / |y'| <= 6e-8 sqrt(n) in
//   f32, 4e-15 sqrt(n) in f64, n terms a number; or is no farther from it than that of the Plan's own kernel, a second run has the
//   same bits, and so have trials of equal operands, it is faster by a margin, so that a choice does not follow the noise.
//
// Kernels that others do not come to by themselves (Kernel::on_request) take part like the others: the gate decides.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/exec/plan.h"

namespace gi {

struct TuneOptions {
  double seconds = 0;    ///< after which no further step is begun; 0: no limit
  double margin = 0.05;  ///< of the time of the Plan's own kernel that another must save
  /// Before every step: steps done, of how many, and the step_key of the next.
  std::function<void(std::size_t done, std::size_t of, const std::string& step)> progress;
  const std::atomic<bool>* stop = nullptr;  ///< set: begin no further step
};

struct TunedKernel {
  std::string kernel;
  double seconds = 0;   ///< of a call; 0: not measured
  double error = 0;     ///< relative, by 2-norms
  std::string refused;  ///< why it may not be chosen; empty: it may
};

struct TunedStep {
  std::string step;        ///< step_key
  std::int64_t calls = 0;  ///< in an iteration
  double tolerance = 0;    ///< the precision class
  TunedKernel chosen, own;
  std::vector<TunedKernel> candidates;  ///< in the order of the kernel list; `chosen` and `own` are among them
};

struct Tuning {
  std::vector<TunedStep> steps;   ///< the most work first
  std::vector<std::string> left;  ///< step_keys there was no time for
  /// For PlanOptions::choices.
  std::map<std::string, std::string> choices() const;
};

/// On the device the Plan is for, or null and one thread of the CPU. The times are of operands in the caches, where they fit. Ops
/// in PlanOptions::force are left alone. Errors UsageError: a Plan for another device, or with prepared operands; DeviceError: the
/// Plan's own kernel fails. Tests tests/engine/tune_test.cpp
Tuning tune(const Plan& plan, Device* device, const TuneOptions& options = {});

}  // namespace gi
