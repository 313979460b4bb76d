// A Program made concrete: layouts, kernels, buffers. Immutable and printable; what runs it is a Workspace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/device/device.h"
#include "engine/graph/program.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/kernel.h"

namespace gi {

struct PlanOptions {
  DType dtype = DType::f32;
  kernels::Isa isa = kernels::best_isa();
  /// Whose kernels are chosen, instead of the CPU's; must outlive the call only. `isa` is Isa::cuda then.
  const Device* device = nullptr;
  /// Trials side by side: 1, or kernels::pack_lanes(isa); 0 chooses packs when T is a multiple of them.
  std::int64_t lanes = 0;
  /// op -> kernel name: that kernel or an error. "winograd" -> "no", "2", "4": winograd_choice.h. "products" -> "bf16x3", "tf32":
  /// kernels on request that multiply so (kernels::has_products), where one serves; an error if there are none.
  std::map<std::string, std::string> force;
  /// step_key -> kernel name: that kernel or an error, for steps whose op is not forced. Steps that a Program does not have do not
  /// matter.
  std::map<std::string, std::string> choices;
  bool fuse = true;  ///< elementwise chains and pairs; off only to compare in tests
  /// Operands that stay as they are in all iterations, filters above all, are put in the order their kernels prefer, once. Off
  /// where kernels are compared: each has another order.
  bool prepare = true;
};

/// Depends on the Program's shapes, T and the instruction set, never on threads.
class Plan {
 public:
  /// The Tensors of the Program's constants must outlive the Plan, unless that is for a device.
  /// Errors UsageError: lanes that do not divide T, a forced or chosen kernel that does not serve; gi::Error: an op without a
  /// kernel.
  static Plan compile(const Program& program, const PlanOptions& options = {});

  /// borrowed: a constant that lies in the Program's Tensor as the Plan wants it; `offset` is then its address.
  enum class Memory { constant, borrowed, input, state, kept, arena };

  /// Where a value lies. Offsets are bytes into the memory's block.
  struct Slot {
    Memory memory = Memory::arena;
    std::size_t offset = 0, bytes = 0;
    kernels::Layout layout;
  };
  struct Operand {
    Memory memory = Memory::arena;
    std::size_t offset = 0;
    kernels::Layout layout;
  };
  struct Step {
    const kernels::Kernel* kernel = nullptr;
    kernels::Attrs attrs;
    std::unique_ptr<kernels::ElementwiseChain> chain;  ///< the attributes of an elementwise chain, with or without a head
    std::vector<Operand> in, out;
    std::size_t scratch_bytes = 0;
    double flops = 0;
    std::string key;       ///< step_key, of the operands before any was prepared
    std::string what;      ///< "conv2d [2,1,16,32,32] x [2,16,16,3,3] -> ..."
    std::string declined;  ///< kernels that stood before it, with their reasons

    const void* attrs_data() const { return chain ? static_cast<const void*>(chain.get()) : attrs.data(); }
  };
  struct Named {
    std::string name;
    Slot slot;
    Shape shape;
  };
  struct Commit {
    Operand from;
    std::size_t state;  ///< index into states()
  };

  std::int64_t trials() const { return trials_; }
  std::int64_t lanes() const { return lanes_; }
  DType dtype() const { return options_.dtype; }
  kernels::Isa isa() const { return options_.isa; }
  /// What it was compiled with, but for the device.
  const PlanOptions& options() const { return options_; }

  /// Steps that depend on constants and inputs only: run once after those were set.
  std::span<const Step> setup() const { return setup_; }
  /// Steps of every iteration.
  std::span<const Step> iteration() const { return iteration_; }
  std::span<const Named> inputs() const { return inputs_; }
  std::span<const Named> states() const { return states_; }
  std::span<const Named> outputs() const { return outputs_; }
  std::span<const Commit> commits() const { return commits_; }

  std::size_t arena_bytes() const { return arena_bytes_; }
  /// What the values of an iteration would take if each had a buffer of its own.
  std::size_t unshared_bytes() const { return unshared_bytes_; }
  std::size_t block_bytes(Memory memory) const;
  std::size_t scratch_bytes() const { return scratch_bytes_; }
  /// All a Workspace allocates.
  std::size_t workspace_bytes() const;
  const std::byte* constants() const { return constants_.data(); }
  double flops_per_iteration() const;

  /// Every step with its kernel, operands, work, and the kernels that declined.
  std::string explain() const;
  /// Of all that decides the bits of a result; `--resume` refuses a journal of another.
  std::uint64_t hash() const { return hash_; }

 private:
  friend class PlanBuilder;
  PlanOptions options_;
  std::int64_t trials_ = 1, lanes_ = 1;
  std::vector<Step> setup_, iteration_;
  std::vector<Named> inputs_, states_, outputs_;
  std::vector<Commit> commits_;
  Buffer constants_;
  std::map<Memory, std::size_t> block_bytes_;
  std::size_t arena_bytes_ = 0, unshared_bytes_ = 0, scratch_bytes_ = 0;
  std::uint64_t hash_ = 0;
};

}  // namespace gi
