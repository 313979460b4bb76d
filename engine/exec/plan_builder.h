// Program -> Plan. The class in three files by subject: plan_builder.cpp the pipeline and kernel choice, plan_values.cpp where
// values lie and how they are read, plan_memory.cpp lifetimes, the arena and constants. Private to engine/exec.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/exec/plan.h"
#include "engine/passes/fuse.h"

namespace gi {

class PlanBuilder {
 public:
  /// With `repeat`, transforms of large filters are made where they are read.
  PlanBuilder(const Program& program, const PlanOptions& options, bool repeat = false);
  Plan build();
  /// Whether `repeat` makes a difference; known once it was built.
  bool could_repeat() const { return could_repeat_; }

 private:
  using Memory = Plan::Memory;

  /// A buffer: where it lies, and from which to which iteration step it lives if it is in the arena.
  struct Store {
    Memory memory = Memory::arena;
    std::size_t offset = 0, bytes = 0;
    int first = 0, last = 0;
    std::optional<NodeId> constant;  ///< leaf whose data fills it
    std::optional<double> scalar;    ///< or this number
  };
  /// How a value is read: a store and a layout over it.
  struct Ref {
    int store = -1;
    kernels::Layout layout;
    bool uniform = false;
  };
  struct StepStores {
    std::vector<int> in, out;
  };
  /// What a step reads and writes. `ids`, if given, name the operands, so that those no kernel takes as they are can be copied
  /// into the plain layout first.
  struct StepValues {
    std::vector<Ref> in, out;
    std::vector<NodeId> ids;
    bool uniform = false;      ///< computed once for all trials
    bool iterates = false;     ///< in every iteration, not only in the setup
    bool over_trials = false;  ///< sums over the trial axis: uniform operands are read once a trial
  };

  // plan_builder.cpp
  void emit(const passes::Cluster& cluster);
  bool worth_repeating(const passes::Cluster& cluster);
  /// Emits of what `reader` reads all that is worth repeating and was never read before, or long ago.
  void emit_repeatable(const passes::Cluster& reader);
  /// Attributes and chain of the step that computes a cluster, and what it reads and writes.
  Plan::Step step_of(const passes::Cluster& cluster, std::vector<NodeId>& operands, std::vector<NodeId>& results) const;
  std::string op_of(const passes::Cluster& cluster) const;
  DType dtype_of(const passes::Cluster& cluster) const;
  /// Of the kernel of a step: what is computed once for all trials has scalars, unless it reads packs.
  std::int64_t lanes_of(bool uniform, bool over_trials) const;
  /// passes::Served.
  bool has_kernel(const passes::Cluster& cluster) const;
  /// Gives the step's kernel what it prefers (kernels::Prepared) instead of operands that do not iterate.
  void prepare(const Plan::Step& step, StepValues& values);
  /// Chooses the kernel and appends the step.
  void add_step(Plan::Step step, std::string_view op, DType dtype, StepValues values);
  /// The first kernel of the op's list that takes these operands; null with the reasons in `declined`.
  const kernels::Kernel* choose(const Plan::Step& step, std::string_view op, DType dtype, std::int64_t lanes,
                                std::string& declined) const;
  void make_chain(const passes::Cluster& cluster, kernels::ElementwiseChain& chain, std::vector<NodeId>& operands,
                  std::vector<NodeId>& results) const;
  bool published(NodeId id) const;
  bool read_outside(NodeId id, const std::vector<NodeId>& members) const;
  double flops(NodeId id) const;
  std::string describe(const passes::Cluster& cluster, const std::vector<NodeId>& operands,
                       const std::vector<NodeId>& results) const;

  // plan_values.cpp
  DType dtype_of(const Shape& s) const { return s.scalar() ? DType::f64 : plan_.options_.dtype; }
  /// Dense layout of a value computed or bound with shape `s`.
  kernels::Layout own_layout(const Shape& s, bool uniform) const;
  static std::size_t bytes_of(const kernels::Layout& l);
  int new_store(Memory memory, std::size_t bytes);
  void allocate(Store& store);
  void place_leaves();
  /// Node `id` as a store and a layout; views are followed, and copied where no strides express them.
  Ref resolve(NodeId id);
  Ref broadcast(NodeId id, Ref from) const;
  Ref reshaped(NodeId id, Ref from);
  /// A dense copy of node `id`, read as `from`, in the Plan's own layout (uniform values stay uniform unless `splat`).
  Ref copied(NodeId id, const Ref& from, bool splat = false);
  void commit(const Program::Update& u);
  void publish(const Program::Output& o);

  // plan_memory.cpp
  /// Gives arena stores their offsets.
  void place_arena();
  /// For each store the one whose memory it takes: a chain's result may take the place of an operand that dies with it, but for
  /// its head's, which kernels read more than once.
  std::vector<int> homes();
  void settle();
  void fill_constants();
  void finish();

  static constexpr int kForever = 1 << 30;

  Plan plan_;
  Program program_;
  const Graph& g_;
  std::vector<char> uniform_, iterates_;
  std::int64_t blocks_ = 1;  ///< trials / lanes
  std::vector<Ref> roots_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<Store> stores_;
  std::map<std::pair<NodeId, bool>, Ref> copies_;
  struct Preparation {
    NodeId operand;
    const kernels::Kernel* by;
    kernels::Attrs attrs;
    Ref made;
  };
  std::vector<Preparation> preparations_;
  std::vector<StepStores> setup_stores_, iteration_stores_;
  std::vector<int> commit_stores_;
  struct Repeatable {
    const passes::Cluster* cluster;
    std::optional<std::size_t> read;  ///< steps there were when it was last read
  };
  std::map<NodeId, Repeatable> repeatable_;
  bool repeat_, could_repeat_ = false;
};

}  // namespace gi
