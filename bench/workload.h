// What gi_bench times: one call of a kernel, on operands of given shapes.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/population.h"
#include "engine/core/tensor.h"
#include "engine/device/device.h"
#include "engine/exec/plan.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/kernel.h"

namespace gi::bench {

struct Workload {
  std::string op;      ///< as the user knows it: an elementwise op's own name
  std::string kernel;  ///< the op its kernels are listed under
  std::string form;    ///< "own" or "shared": whether each trial has a second operand of its own; or the network it is a step of
  std::string label;
  kernels::Attrs attrs;
  std::optional<kernels::ElementwiseChain> chain;
  DType dtype = DType::f32;
  std::int64_t lanes = 1;
  std::vector<kernels::Layout> in, out;
  double flops = 0;
  int calls = 0;                                  ///< in one iteration of the network
  const kernels::Kernel* prepared_for = nullptr;  ///< the one kernel that takes the operands, in its order (Kernel::prepared)

  const void* attrs_data() const { return chain ? static_cast<const void*>(&*chain) : attrs.data(); }
  /// Of all operands, each counted once.
  double bytes() const;
  /// The blocks of them times those side by side, of an operand that has them all: of sums over trials an input.
  std::int64_t trials() const;
  /// Whether `k` is for this op, type and lanes; then why it does not serve, or nullptr.
  bool is_for(const kernels::Kernel& k) const { return kernel == k.op && k.dtype == dtype && k.lanes == lanes; }
  const char* declined(const kernels::Kernel& k) const;
  /// Those of a list that serve, best first.
  std::vector<const kernels::Kernel*> kernels(std::span<const kernels::Kernel> list) const;
};

/// Every case of every op's case list, for one trial (lanes 1) or one pack of them.
std::vector<Workload> case_workloads(DType dtype, std::int64_t lanes);

/// A network under attack, whose steps are measured as they are run.
struct Network {
  const char* name;  ///< a form
  const char* model;
  bool train;
  std::int64_t batch;
  std::array<std::int64_t, 3> populations{1, 16, 64};  ///< trials of the iterations that a device is timed with; 0: none
};
std::span<const Network> networks();
/// One trial of it on one thread.
PopulationOptions population_of(const Network& network);

/// The different steps of one iteration of the attack on a network with `trials` restarts, as Plans of such options have them; of a
/// batch that fills packs with its images as the trials.
std::vector<Workload> step_workloads(const Network& network, std::int64_t trials, PlanOptions options);

/// A workload's operands in memory, drawn, and a kernel to run on them. With a device they lie there, and `run` enqueues.
class Call {
 public:
  /// Errors DeviceError: no memory for the operands.
  Call(const Workload& workload, const kernels::Kernel& kernel, Device* device = nullptr);
  void run() const;
  const kernels::Arguments& arguments() const { return args_; }
  /// What output `i` holds after all runs so far.
  Buffer output(std::size_t i) const;

 private:
  std::byte* place(Buffer values);

  const kernels::Kernel& kernel_;
  Device* device_;
  std::vector<Buffer> memory_;
  std::vector<DeviceMemory> on_device_;
  std::vector<kernels::ConstView> in_;
  std::vector<kernels::View> out_;
  kernels::Arguments args_;
};

/// Memory for an operand, its values drawn from +-[0.5, 2]: nothing that becomes a denormal, and no sign that can be foretold.
Buffer drawn(const kernels::Layout& layout, std::uint64_t seed);

}  // namespace gi::bench
