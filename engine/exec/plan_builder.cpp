// Program -> Plan: passes, then layouts, kernels and buffers. The order of the passes is the pipeline of the design.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/core/error.h"
#include "engine/exec/pack_layout.h"
#include "engine/exec/plan.h"
#include "engine/graph/op_def.h"
#include "engine/passes/analysis.h"
#include "engine/passes/buffers.h"
#include "engine/passes/fuse.h"
#include "engine/passes/lower.h"

namespace gi {

using kernels::ConstView;
using kernels::Elementwise;
using kernels::ElementwiseAttrs;
using kernels::ElementwiseChain;
using kernels::Kernel;
using kernels::Layout;
using passes::Cluster;

namespace {

bool sums_over_trials(const Node& n, const Graph& g) {
  return n.op->name == "sum_to" && n.shape.trials() == 1 && g.node(n.inputs[0]).shape.trials() > 1;
}

std::int64_t choose_lanes(const Program& program, const PlanOptions& options) {
  const std::int64_t pack = kernels::pack_lanes(options.isa);
  const Graph& g = program.graph();
  bool mixes = false;
  for (NodeId id = 0; id < g.size(); ++id) mixes |= sums_over_trials(g.node(id), g);
  const std::int64_t lanes = options.lanes != 0 ? options.lanes : (program.trials() % pack == 0 && !mixes ? pack : 1);
  if (lanes != 1 && (lanes != pack || program.trials() % lanes != 0))
    throw UsageError(fmt::format("plan: {} trials cannot lie in packs of {} ({} has packs of {})", program.trials(), lanes,
                                 kernels::kIsaNames[static_cast<int>(options.isa)], pack));
  return lanes;
}

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(const Program& program, const PlanOptions& options)
      : plan_(), program_(lowered(program, options, choose_lanes(program, options))), g_(program_.graph()),
        uniform_(passes::uniform_values(program_)), iterates_(passes::iterating_values(program_)), roots_(g_.size()), readers_(g_.size()) {
    plan_.options_ = options;
    plan_.trials_ = program.trials();
    plan_.lanes_ = choose_lanes(program, options);
    blocks_ = plan_.trials_ / plan_.lanes_;
    for (NodeId id = 0; id < g_.size(); ++id)
      for (NodeId in : g_.node(id).inputs) readers_[in].push_back(id);
  }

  Plan build() {
    place_leaves();
    for (const Cluster& c : passes::fuse(program_, uniform_, iterates_, plan_.options_.fuse)) emit(c);
    for (const auto& u : program_.updates()) commit(u);
    for (const auto& o : program_.outputs()) publish(o);
    place_arena();
    fill_constants();
    finish();
    return std::move(plan_);
  }

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
    Layout layout;
    bool uniform = false;
  };

  static Program lowered(const Program& program, const PlanOptions& options, std::int64_t lanes) {
    const auto has_kernel = [&](const OpDef& op) {
      return std::ranges::any_of(kernels::cpu_kernels(options.isa), [&](const Kernel& k) {
        return op.name == k.op && k.dtype == options.dtype && k.lanes == lanes;
      });
    };
    Program p = passes::lower_fused(program, has_kernel);
    return options.fuse ? passes::gather_pairs(p) : std::move(p);
  }

  DType dtype_of(const Shape& s) const { return s.scalar() ? DType::f64 : plan_.options_.dtype; }

  /// Dense layout of a value computed or bound with shape `s`.
  Layout own_layout(const Shape& s, bool uniform) const {
    Layout l = dense_layout(s, dtype_of(s));
    l.dims[0] = s.trials() == 1 ? 1 : blocks_;
    if (uniform) l.strides[0] = 0;
    else l.lanes = plan_.lanes_;
    return l;
  }
  static std::size_t bytes_of(const Layout& l) {
    const std::int64_t blocks = l.strides[0] == 0 ? 1 : l.dims[0];
    return static_cast<std::size_t>(l.count_per_block() * blocks * l.lanes) * kernels::size_of(l.dtype);
  }

  int new_store(Memory memory, std::size_t bytes) {
    Store s;
    s.memory = memory;
    s.bytes = bytes;
    if (memory != Memory::arena) {
      std::size_t& end = plan_.block_bytes_[memory];
      s.offset = end;
      end += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    stores_.push_back(s);
    return static_cast<int>(stores_.size()) - 1;
  }

  void place_leaves() {
    for (NodeId id = 0; id < g_.size(); ++id) {
      const Node& n = g_.node(id);
      if (n.op->kind != OpKind::leaf) continue;
      Ref r{-1, own_layout(n.shape, uniform_[id] != 0), uniform_[id] != 0};
      if (n.op->name == "fill") {  // one number, whatever the shape
        r.layout.strides.fill(0);
        r.layout.lanes = 1;
        r.layout.dtype = DType::f64;
        r.uniform = plan_.trials_ > 1;
        r.store = new_store(Memory::constant, sizeof(double));
        stores_[r.store].scalar = n.attrs.as<double>();
      } else if (n.op->name == "constant") {
        r.store = new_store(Memory::constant, bytes_of(r.layout));
        stores_[r.store].constant = id;
      } else {
        const bool state = n.op->name == "state";
        r.store = new_store(state ? Memory::state : Memory::input, bytes_of(r.layout));
        const Plan::Slot slot{stores_[r.store].memory, stores_[r.store].offset, stores_[r.store].bytes, r.layout};
        (state ? plan_.states_ : plan_.inputs_).push_back({n.name, slot, n.shape});
      }
      roots_[id] = r;
    }
  }

  /// Node `id` as a store and a layout; views are followed, and copied where no strides express them.
  Ref resolve(NodeId id) {
    const Node& n = g_.node(id);
    if (n.op->kind != OpKind::view) return roots_[id];
    if (roots_[id].store >= 0) return roots_[id];
    Ref r = resolve(n.inputs[0]);
    if (n.op->name == "broadcast_to") {
      const Layout from = r.layout;
      const Layout to = dense_layout(n.shape, from.dtype);
      r.layout.rank = to.rank;
      r.layout.dims = to.dims;
      for (int i = 0; i < to.rank; ++i) {
        const bool kept = i < from.rank && (i == 0 || from.rank == to.rank) && from.dims[i] != 1;
        r.layout.strides[i] = kept ? from.strides[i] : 0;
      }
      r.layout.dims[0] = n.shape.trials() == 1 ? 1 : blocks_;
      if (from.dims[0] == r.layout.dims[0]) r.layout.strides[0] = from.strides[0];
      r.uniform = uniform_[id] != 0;
    } else {  // reshape
      bool constant = true;
      for (int i = 1; i < r.layout.rank; ++i) constant &= r.layout.strides[i] == 0 || r.layout.dims[i] == 1;
      constant &= r.layout.count_per_block() > 1;
      if (!constant && !r.layout.dense_from(1)) r = copied(n.inputs[0], r);
      Layout to = dense_layout(n.shape, r.layout.dtype);
      to.lanes = r.layout.lanes;
      to.dims[0] = r.layout.dims[0];
      if (constant) to.strides.fill(0);
      to.strides[0] = r.layout.strides[0];
      r.layout = to;
    }
    return roots_[id] = r;
  }

  /// A dense per-trial copy of node `id`, read as `from`, in the Plan's own layout (uniform values stay uniform unless `splat`).
  Ref copied(NodeId id, const Ref& from, bool splat = false) {
    const Shape& shape = g_.node(id).shape;
    const bool uniform = uniform_[id] != 0 && !splat;
    const auto key = std::pair(id, uniform);
    if (const auto it = copies_.find(key); it != copies_.end()) return it->second;
    Ref to{-1, own_layout(shape, uniform), uniform};
    auto chain = std::make_unique<ElementwiseChain>();
    chain->inputs = chain->instructions = chain->outputs = 1;
    chain->code[0] = {Elementwise::copy, 0, 0, 0, 0};
    chain->result[0] = 1;
    to.store = new_store(iterates_[id] != 0 ? Memory::arena : Memory::kept, bytes_of(to.layout));
    Plan::Step step;
    step.chain = std::move(chain);
    step.what = fmt::format("copy {}", shape.str());
    add_step(std::move(step), "elementwise_chain", to.layout.dtype, {from}, {to}, uniform, iterates_[id] != 0);
    return copies_[key] = to;
  }

  static Layout seen_by(const Ref& r, bool uniform_step) {
    Layout l = r.layout;
    if (uniform_step && r.uniform) l.dims[0] = 1;
    return l;
  }

  /// The first kernel of the op's list that takes these operands; null with the reasons in `declined`.
  const Kernel* choose(const Plan::Step& step, std::string_view op, DType dtype, std::int64_t lanes, std::string& declined) const {
    std::vector<ConstView> in;
    std::vector<kernels::View> out;
    for (const auto& o : step.in) in.push_back({o.layout, nullptr});
    for (const auto& o : step.out) out.push_back({o.layout, nullptr});
    const kernels::Problem problem{step.attrs_data(), in, out};
    const auto forced = plan_.options_.force.find(std::string(op));
    for (const Kernel& k : kernels::cpu_kernels(plan_.options_.isa)) {
      if (op != k.op || k.dtype != dtype || k.lanes != lanes) continue;
      if (forced != plan_.options_.force.end() && forced->second != k.name) {
        declined += fmt::format("{}: another was asked for; ", k.name);
        continue;
      }
      const char* reason = k.declines != nullptr ? k.declines(problem) : nullptr;
      if (reason == nullptr) return &k;
      declined += fmt::format("{}: {}; ", k.name, reason);
    }
    return nullptr;
  }

  /// Chooses the kernel and appends the step. `ids`, if given, name the operands so that those no kernel takes as they are
  /// can be copied into the plain layout first.
  void add_step(Plan::Step step, std::string_view op, DType dtype, std::vector<Ref> in, const std::vector<Ref>& out, bool uniform,
                bool iterates, const std::vector<NodeId>& ids = {}, bool keep_trials = false) {
    const std::int64_t lanes = uniform ? 1 : plan_.lanes_;
    for (const Ref& r : out) step.out.push_back({stores_[r.store].memory, 0, seen_by(r, uniform)});
    const auto bind = [&] {
      step.in.clear();
      for (const Ref& r : in) step.in.push_back({stores_[r.store].memory, 0, seen_by(r, uniform && !keep_trials)});
    };
    bind();
    step.kernel = choose(step, op, dtype, lanes, step.declined);
    // Retry with ever more operands in the plain layout: broadcasts and views first, then what all trials share.
    for (int round = 0; round < 2 && step.kernel == nullptr && !ids.empty(); ++round)
      for (std::size_t i = 0; i < ids.size() && step.kernel == nullptr; ++i) {
        const Layout& l = step.in[i].layout;
        const bool plain = l.dense_from(1) && l.dtype == dtype_of(g_.node(ids[i]).shape);
        const bool splat = !uniform && in[i].uniform && round == 1;
        if (plain && !splat) continue;
        in[i] = copied(ids[i], in[i], splat);
        bind();
        std::string ignored;
        step.kernel = choose(step, op, dtype, lanes, ignored);
      }
    if (step.kernel == nullptr)
      throw Error(fmt::format("plan: no {} kernel for {} ({} lanes, {}): {}", kernels::kIsaNames[static_cast<int>(plan_.options_.isa)],
                              step.what, lanes, dtype == DType::f32 ? "f32" : "f64", step.declined));
    std::vector<ConstView> vin;
    std::vector<kernels::View> vout;
    for (const auto& o : step.in) vin.push_back({o.layout, nullptr});
    for (const auto& o : step.out) vout.push_back({o.layout, nullptr});
    if (step.kernel->scratch_bytes != nullptr) step.scratch_bytes = step.kernel->scratch_bytes({step.attrs_data(), vin, vout});

    std::vector<Plan::Step>& list = iterates ? plan_.iteration_ : plan_.setup_;
    std::vector<StepStores>& stores = iterates ? iteration_stores_ : setup_stores_;
    StepStores s;
    for (const Ref& r : in) s.in.push_back(r.store);
    for (const Ref& r : out) s.out.push_back(r.store);
    if (iterates) {
      const int now = static_cast<int>(list.size());
      for (int i : s.out) stores_[i].first = stores_[i].last = now;
      for (int i : s.in) stores_[i].last = std::max(stores_[i].last, now);
    }
    list.push_back(std::move(step));
    stores.push_back(std::move(s));
  }

  void emit(const Cluster& cluster) {
    const NodeId last = cluster.nodes.back();
    const bool uniform = uniform_[last] != 0, iterates = iterates_[last] != 0;
    Plan::Step step;
    std::vector<NodeId> operands, results;
    if (cluster.kind == Cluster::Kind::chain) {
      step.chain = std::make_unique<ElementwiseChain>();
      make_chain(cluster, *step.chain, operands, results);
    } else {
      step.attrs = g_.node(cluster.nodes[0]).attrs;
      const std::size_t computing = cluster.kind == Cluster::Kind::pair ? 2 : 1;
      for (std::size_t i = 0; i < computing; ++i)
        for (NodeId in : g_.node(cluster.nodes[i]).inputs) operands.push_back(in);
      results = {last};
    }
    const Node& first = g_.node(cluster.nodes[0]);
    const std::string_view op = step.chain ? "elementwise_chain" : first.op->name;
    step.what = describe(cluster, operands, results);
    for (NodeId id : cluster.nodes) step.flops += flops(id) / (uniform ? static_cast<double>(plan_.trials_) : 1.0);

    std::vector<Ref> in, out;
    for (NodeId id : operands) in.push_back(resolve(id));
    for (NodeId id : results) {
      Ref r{-1, own_layout(g_.node(id).shape, uniform), uniform};
      r.store = new_store(iterates && !published(id) ? Memory::arena : Memory::kept, bytes_of(r.layout));
      out.push_back(roots_[id] = r);
    }
    const DType dtype = step.chain ? dtype_of(g_.node(last).shape) : plan_.options_.dtype;
    add_step(std::move(step), op, dtype, in, out, uniform, iterates, operands, sums_over_trials(first, g_));
  }

  bool published(NodeId id) const {
    return std::ranges::any_of(program_.outputs(), [id](const auto& o) { return o.id == id; });
  }

  double flops(NodeId id) const {
    const Node& n = g_.node(id);
    if (n.op->flops == nullptr) return static_cast<double>(n.shape.count());
    std::vector<Shape> in;
    for (NodeId i : n.inputs) in.push_back(g_.node(i).shape);
    return n.op->flops(n.attrs, in, n.shape);
  }

  void make_chain(const Cluster& cluster, ElementwiseChain& chain, std::vector<NodeId>& operands, std::vector<NodeId>& results) const {
    std::map<NodeId, std::int64_t> registers;
    for (NodeId id : cluster.nodes)
      for (NodeId in : g_.node(id).inputs)
        if (!std::ranges::binary_search(cluster.nodes, in) && registers.emplace(in, chain.inputs).second) {
          operands.push_back(in);
          ++chain.inputs;
        }
    for (NodeId id : cluster.nodes) {
      const Node& n = g_.node(id);
      const auto& a = n.attrs.as<ElementwiseAttrs>();
      const std::int64_t x = registers.at(n.inputs[0]), y = n.inputs.size() > 1 ? registers.at(n.inputs[1]) : 0;
      chain.code[chain.instructions] = {static_cast<Elementwise>(n.op->elementwise), x, y, a.a, a.b};
      registers.emplace(id, chain.inputs + chain.instructions++);
    }
    for (NodeId id : cluster.nodes)
      if (read_outside(id, cluster.nodes)) {
        chain.result[chain.outputs++] = registers.at(id);
        results.push_back(id);
      }
  }

  bool read_outside(NodeId id, const std::vector<NodeId>& members) const {
    for (const auto& o : program_.outputs())
      if (o.id == id) return true;
    for (const auto& u : program_.updates())
      if (u.next == id) return true;
    return std::ranges::any_of(readers_[id], [&](NodeId r) { return !std::ranges::binary_search(members, r); });
  }

  std::string describe(const Cluster& cluster, const std::vector<NodeId>& operands, const std::vector<NodeId>& results) const {
    std::vector<std::string> in, out, ops;
    for (NodeId id : operands) in.push_back(g_.node(id).shape.str());
    for (NodeId id : results) out.push_back(g_.node(id).shape.str());
    for (NodeId id : cluster.nodes) ops.emplace_back(g_.node(id).op->name);
    if (cluster.kind == Cluster::Kind::pair) ops = {ops[0] + " pair"};
    return fmt::format("{} {} -> {}", fmt::join(ops, "+"), fmt::join(in, " "), fmt::join(out, " "));
  }

  void commit(const Program::Update& u) {
    Ref from = resolve(u.next);
    const Ref& state = roots_[u.state];
    const bool plain = from.layout.strides == state.layout.strides && from.layout.lanes == state.layout.lanes &&
                       from.layout.dtype == state.layout.dtype;
    if (!plain || stores_[from.store].memory == Memory::state) from = copied(u.next, from, state.uniform ? false : from.uniform);
    std::size_t index = 0;
    while (plan_.states_[index].name != g_.node(u.state).name) ++index;
    plan_.commits_.push_back({{stores_[from.store].memory, 0, from.layout}, index});
    commit_stores_.push_back(from.store);
    if (stores_[from.store].memory == Memory::arena) stores_[from.store].last = kForever;
  }

  void publish(const Program::Output& o) {
    Ref r = resolve(o.id);
    if (g_.node(o.id).op->kind == OpKind::view || g_.node(o.id).op->kind == OpKind::leaf) {
      r = copied(o.id, r);
      // A copy made for another reader may lie in the arena, where nothing outlives the iteration.
      if (stores_[r.store].memory == Memory::arena) {
        stores_[r.store].memory = Memory::kept;
        std::size_t& end = plan_.block_bytes_[Memory::kept];
        stores_[r.store].offset = end;
        end += (stores_[r.store].bytes + kAlignment - 1) / kAlignment * kAlignment;
      }
    }
    const Store& s = stores_[r.store];
    plan_.outputs_.push_back({o.name, {s.memory, s.offset, s.bytes, r.layout}, g_.node(o.id).shape});
  }

  /// Gives arena stores their offsets; a chain's result takes the place of an operand that dies with it.
  void place_arena() {
    const int end = static_cast<int>(plan_.iteration_.size());
    std::vector<int> home(stores_.size());
    for (std::size_t i = 0; i < home.size(); ++i) home[i] = static_cast<int>(i);
    for (std::size_t s = 0; s < plan_.iteration_.size() && plan_.options_.fuse; ++s) {
      Plan::Step& step = plan_.iteration_[s];
      if (!step.chain) continue;
      std::vector<char> used(step.in.size(), 0);
      for (std::size_t o = 0; o < step.out.size(); ++o) {
        const int to = iteration_stores_[s].out[o];
        if (stores_[to].memory != Memory::arena) continue;
        for (std::size_t i = 0; i < step.in.size(); ++i) {
          const int from = home[iteration_stores_[s].in[i]];
          const auto reads = std::ranges::count_if(iteration_stores_[s].in, [&](int x) { return home[x] == from; });
          if (used[i] != 0 || reads != 1 || stores_[from].memory != Memory::arena || stores_[from].last != static_cast<int>(s) ||
              !same_layout(step.in[i].layout, step.out[o].layout) || from == to)
            continue;
          used[i] = 1;
          home[to] = from;
          stores_[from].last = stores_[to].last;
          break;
        }
      }
    }
    std::vector<passes::Lifetime> lifetimes;
    std::vector<int> index(stores_.size(), -1);
    for (std::size_t i = 0; i < stores_.size(); ++i) {
      const Store& s = stores_[i];
      if (s.memory != Memory::arena) continue;
      plan_.unshared_bytes_ += s.bytes;
      if (home[i] != static_cast<int>(i)) continue;
      index[i] = static_cast<int>(lifetimes.size());
      lifetimes.push_back({s.bytes, s.first, std::min(s.last, end)});
    }
    const passes::Placement placement = passes::place(lifetimes, kAlignment);
    for (std::size_t i = 0; i < stores_.size(); ++i)
      if (stores_[i].memory == Memory::arena) stores_[i].offset = placement.offsets[index[home[i]]];
    plan_.arena_bytes_ = plan_.block_bytes_[Memory::arena] = placement.bytes;

    const auto settle = [this](std::vector<Plan::Step>& steps, const std::vector<StepStores>& stores) {
      for (std::size_t s = 0; s < steps.size(); ++s) {
        for (std::size_t i = 0; i < steps[s].in.size(); ++i) settle_operand(steps[s].in[i], stores[s].in[i]);
        for (std::size_t i = 0; i < steps[s].out.size(); ++i) settle_operand(steps[s].out[i], stores[s].out[i]);
        plan_.scratch_bytes_ = std::max(plan_.scratch_bytes_, steps[s].scratch_bytes);
      }
    };
    settle(plan_.setup_, setup_stores_);
    settle(plan_.iteration_, iteration_stores_);
    for (std::size_t i = 0; i < plan_.commits_.size(); ++i) settle_operand(plan_.commits_[i].from, commit_stores_[i]);
  }

  void settle_operand(Plan::Operand& o, int store) const {
    o.memory = stores_[store].memory;
    o.offset = stores_[store].offset;
  }

  static bool same_layout(const Layout& a, const Layout& b) {
    return a.rank == b.rank && a.dims == b.dims && a.strides == b.strides && a.lanes == b.lanes && a.dtype == b.dtype;
  }

  void fill_constants() {
    plan_.constants_ = Buffer(plan_.block_bytes_[Memory::constant]);
    if (plan_.constants_.size() > 0) std::memset(plan_.constants_.data(), 0, plan_.constants_.size());  // gaps are hashed too
    for (const Store& s : stores_) {
      std::byte* to = plan_.constants_.data() + s.offset;
      if (s.scalar) std::memcpy(to, &*s.scalar, sizeof(double));
      if (s.constant) write_packed(*g_.node(*s.constant).data, roots_[*s.constant].layout, to);
    }
  }

  void finish() {
    std::uint64_t h = 1469598103934665603ull;  // FNV-1a over the printed plan
    for (const char c : plan_.explain()) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    for (std::size_t i = 0; i < plan_.constants_.size(); ++i)
      h = (h ^ static_cast<unsigned char>(plan_.constants_.data()[i])) * 1099511628211ull;
    plan_.hash_ = h;
  }

  static constexpr int kForever = 1 << 30;
  struct StepStores {
    std::vector<int> in, out;
  };

  Plan plan_;
  Program program_;
  const Graph& g_;
  std::vector<char> uniform_, iterates_;
  std::int64_t blocks_ = 1;
  std::vector<Ref> roots_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<Store> stores_;
  std::map<std::pair<NodeId, bool>, Ref> copies_;
  std::vector<StepStores> setup_stores_, iteration_stores_;
  std::vector<int> commit_stores_;
};

Plan Plan::compile(const Program& program, const PlanOptions& options) { return PlanBuilder(program, options).build(); }

}  // namespace gi
