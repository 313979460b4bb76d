// What gi_bench times: one call of a kernel, on operands of given shapes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "kernels/api/kernel.h"
#include "kernels/elementwise/elementwise.h"

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
  int calls = 0;  ///< in one iteration of the network

  const void* attrs_data() const { return chain ? static_cast<const void*>(&*chain) : attrs.data(); }
  /// Of all operands, each counted once.
  double bytes() const;
  /// The instruction set's kernels that serve, best first.
  std::vector<const kernels::Kernel*> kernels(kernels::Isa isa) const;
};

/// Every case of every op's case list, for one trial (lanes 1) or one pack of them.
std::vector<Workload> case_workloads(DType dtype, std::int64_t lanes);

/// A network under attack, whose steps are measured as they are run.
struct Network {
  const char* name;  ///< a form
  const char* model;
  bool train;
  std::int64_t batch;
};
std::span<const Network> networks();

/// The different steps of one iteration of the attack on a network, for one trial or one pack of them.
std::vector<Workload> step_workloads(const Network& network, DType dtype, std::int64_t lanes, kernels::Isa isa);

/// A workload's operands in memory, and a kernel to run on them.
class Call {
 public:
  Call(const Workload& workload, const kernels::Kernel& kernel);
  void run() const { kernel_.run(args_); }
  const kernels::Arguments& arguments() const { return args_; }

 private:
  const kernels::Kernel& kernel_;
  std::vector<Buffer> memory_;
  std::vector<kernels::ConstView> in_;
  std::vector<kernels::View> out_;
  kernels::Arguments args_;
};

/// Memory for an operand, its values drawn from +-[0.5, 2]: nothing that becomes a denormal, and no sign that can be foretold.
Buffer drawn(const kernels::Layout& layout, std::uint64_t seed);

}  // namespace gi::bench
