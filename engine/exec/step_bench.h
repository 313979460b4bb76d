// One step of a Plan by itself: operands in memory, what its definition gives for them, and any kernel run on them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/device/device.h"
#include "engine/exec/plan.h"

namespace gi {

/// Private to engine/exec. `step` and `device` (null: the CPU) must outlive it.
class StepBench {
 public:
  /// Every trial gets the same operands, drawn as the op's case list says: positive under a logarithm, and so on.
  StepBench(const Plan::Step& step, Device* device);

  /// The bytes of the outputs of one run, in which they were NaN before.
  using Outputs = std::vector<Buffer>;
  /// Errors: what the kernel or the device throws.
  Outputs run(const kernels::Kernel& kernel);

  static bool equal(const Outputs& a, const Outputs& b);
  /// Whether all trials have the bits of the first.
  bool trials_agree(const Outputs& outputs) const;
  /// |y - y'| / |y'| of the first trial over all outputs, 2-norms; y' from the reference kernel in f64, or for an op that has none
  /// from `own`, that of the Plan's own kernel. NaN in the same places is equal.
  double error(const Outputs& outputs, const Outputs& own) const;
  /// Of the longest reduction, and no less than what the functions of one instruction are worth.
  double tolerance() const;

  /// Seconds of one of `calls` calls.
  double seconds(const kernels::Kernel& kernel, int calls);

 private:
  kernels::Arguments arguments(const kernels::Kernel& kernel);
  void draw();
  void define();

  const Plan::Step& step_;
  Device* device_;
  std::vector<std::vector<double>> drawn_;     ///< one trial's numbers of each input, as they lie
  std::vector<std::vector<double>> expected_;  ///< one trial's numbers of each output; none: the op has no reference kernel
  std::vector<Block> memory_;
  Block scratch_;
  std::size_t scratch_bytes_ = 0;
  std::vector<kernels::ConstView> in_;
  std::vector<kernels::View> out_;
};

}  // namespace gi
