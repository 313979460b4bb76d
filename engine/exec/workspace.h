// The memory of one Plan; the only thing that changes while a run goes on.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/device/device.h"
#include "engine/exec/plan.h"
#include "engine/exec/profile.h"
#include "engine/exec/thread_pool.h"

namespace gi {

/// One caller at a time. `plan` must outlive it; many Workspaces may share one Plan.
class Workspace {
 public:
  /// `threads` threads share the larger steps, which changes no bit of a result.
  /// Errors gi::Error: not enough memory (says how much).
  explicit Workspace(const Plan& plan, int threads = 1);
  /// For a Plan made for this device, which must outlive it. The first run is plain, later ones replay what the second records.
  /// Errors DeviceError: not enough memory, or a step that failed, by name.
  Workspace(const Plan& plan, Device& device);
  Workspace(const Workspace&) = delete;  // nor moved: what a device has recorded refers to it
  Workspace& operator=(const Workspace&) = delete;

  /// Binds an input or sets a state: [T,...], or [1,...] where the leaf is shared; converted to the Plan's layout and dtype.
  /// Errors ShapeError: another shape than the leaf's; UsageError: no such leaf in the Plan.
  void set(std::string_view name, const Tensor& value);
  /// An output of the last run, or a state: dense [T,...], in the dtype it is kept in. Errors UsageError: no such name.
  Tensor get(std::string_view name) const;
  /// One iteration: setup if an input changed, the steps, then all state updates at once. A device has it enqueued.
  void run();
  /// From now on so many threads share the larger steps; between runs only, and of the CPU. Errors gi::Error: not enough memory.
  void share(int threads);
  int threads() const { return pool_ ? pool_->threads() : 1; }
  /// What runs are timed by from now on, step by step; null: by nothing.
  void attach(Profile* profile) { profile_ = profile; }

 private:
  const std::byte* base(Plan::Memory memory) const;
  const std::byte* address(Plan::Memory memory, std::size_t offset) const;
  std::byte* mutable_base(Plan::Memory memory) { return const_cast<std::byte*>(base(memory)); }

  /// A step with its operands' addresses.
  struct BoundStep {
    const Plan::Step* step;
    std::vector<kernels::ConstView> in;
    std::vector<kernels::View> out;
    std::int64_t parts;  ///< that the threads share; 1 where one does it all
  };
  std::vector<BoundStep> bound_to_memory(std::span<const Plan::Step> steps);
  void execute(std::span<const BoundStep> steps);
  void iterate();

  Workspace(const Plan& plan, int threads, Device* device);

  const Plan& plan_;
  Device* device_;
  Block constants_, inputs_, states_, kept_, arena_, scratch_;  // constants_ of a device only
  std::vector<char> bound_;
  bool setup_done_ = false, ran_ = false;
  std::function<void()> replay_;  ///< of a device
  Profile* profile_ = nullptr;
  std::unique_ptr<kernels::PartQueue> queue_;  // of the step that the pool is at
  std::unique_ptr<ThreadPool> pool_;           // null: the caller alone
  std::vector<BoundStep> setup_, iteration_;
};

}  // namespace gi
