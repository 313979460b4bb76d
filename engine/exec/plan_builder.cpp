// The pipeline, and the choice of kernels. The order of the passes is that of the design.
#include "engine/exec/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "engine/exec/step_key.h"
#include "engine/exec/winograd_choice.h"
#include "engine/graph/op_def.h"
#include "engine/passes/analysis.h"
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

std::int64_t choose_lanes(const Program& program, const PlanOptions& options) {
  const std::int64_t pack = kernels::pack_lanes(options.isa);
  const std::int64_t lanes = options.lanes != 0 ? options.lanes : program.trials() % pack == 0 ? pack : 1;
  if (lanes != 1 && (lanes != pack || program.trials() % lanes != 0))
    throw UsageError(fmt::format("plan: {} trials cannot lie in packs of {} ({} has packs of {})", program.trials(), lanes,
                                 kernels::kIsaNames[static_cast<int>(options.isa)], pack));
  return lanes;
}

std::span<const Kernel> kernels_of(const PlanOptions& options) {
  return options.device != nullptr ? options.device->kernels() : kernels::cpu_kernels(options.isa);
}

/// With a device, its instruction set.
PlanOptions completed(PlanOptions options) {
  if (options.device != nullptr) options.isa = kernels::Isa::cuda;
  if (const auto kind = options.force.find("products"); kind != options.force.end())
    if (std::ranges::none_of(kernels_of(options), [&](const Kernel& k) { return kernels::has_products(k, kind->second); }))
      throw UsageError(fmt::format("plan: no {} kernel here has products of kind '{}'",
                                   kernels::kIsaNames[static_cast<int>(options.isa)], kind->second));
  return options;
}

Program lowered(const Program& program, const PlanOptions& options, std::int64_t lanes) {
  const auto has_kernel = [&](const OpDef& op) {
    return std::ranges::any_of(kernels_of(options),
                               [&](const Kernel& k) { return op.name == k.op && k.dtype == options.dtype && k.lanes == lanes; });
  };
  Program p = passes::lower_fused(program, has_kernel);
  if (options.fuse) p = passes::gather_pairs(p);
  const auto asked = [&options](const char* what) {
    const auto found = options.force.find(what);
    return found == options.force.end() ? std::string_view() : std::string_view(found->second);
  };
  const bool fits = options.dtype == DType::f32 && options.fuse && options.device == nullptr;  // f64 is for checks
  if (asked("winograd").empty() && !fits) return p;
  return passes::use_winograd(p, winograd_rule(asked("winograd"), options.isa, lanes, asked("products")));
}

}  // namespace

PlanBuilder::PlanBuilder(const Program& program, const PlanOptions& options, bool repeat)
    : program_(lowered(program, completed(options), choose_lanes(program, completed(options)))),
      g_(program_.graph()),
      uniform_(passes::uniform_values(program_)),
      iterates_(passes::iterating_values(program_)),
      roots_(g_.size()),
      readers_(g_.size()),
      repeat_(repeat) {
  plan_.options_ = completed(options);
  plan_.trials_ = program.trials();
  plan_.lanes_ = choose_lanes(program, plan_.options_);
  blocks_ = plan_.trials_ / plan_.lanes_;
  for (NodeId id = 0; id < g_.size(); ++id)
    for (NodeId in : g_.node(id).inputs) readers_[in].push_back(id);
}

Plan PlanBuilder::build() {
  place_leaves();
  passes::Served served;
  if (plan_.options_.fuse) served = [this](const Cluster& c) { return has_kernel(c); };
  const std::vector<Cluster> clusters = passes::fuse(program_, uniform_, iterates_, served);
  for (const Cluster& c : clusters) {
    emit_repeatable(c);
    if (worth_repeating(c)) repeatable_[c.nodes.back()] = {&c, std::nullopt};
    else emit(c);
  }
  for (const auto& u : program_.updates()) commit(u);
  for (const auto& o : program_.outputs()) publish(o);
  place_arena();
  settle();
  fill_constants();
  finish();
  plan_.options_.device = nullptr;  // it was asked for its kernels
  return std::move(plan_);
}

/// Transforms of large filters, which are read by the sweep through the network that makes them and by the one back: in between
/// the filters themselves take the lesser part of the memory.
bool PlanBuilder::worth_repeating(const Cluster& cluster) {
  constexpr std::size_t kSaves = std::size_t{4} << 20;
  const NodeId id = cluster.nodes.back();
  const Node& n = g_.node(id);
  if (n.op->name != "winograd_filter" || !iterates_[id] || published(id)) return false;
  const auto bytes = [this](NodeId value) { return bytes_of(own_layout(g_.node(value).shape, uniform_[value] != 0)); };
  const bool worth = bytes(id) >= bytes(n.inputs[0]) + kSaves;
  could_repeat_ |= worth;
  return worth && repeat_;
}

void PlanBuilder::emit_repeatable(const Cluster& reader) {
  constexpr std::size_t kFar = 16;  // steps
  for (NodeId id : reader.nodes)
    for (NodeId in : g_.node(id).inputs) {
      const auto found = repeatable_.find(in);
      if (found == repeatable_.end()) continue;
      auto& [cluster, read] = found->second;
      if (!read || plan_.iteration_.size() > *read + kFar) emit(*cluster);  // what reads it from now on reads this one
      read = plan_.iteration_.size();
    }
}

Plan::Step PlanBuilder::step_of(const Cluster& cluster, std::vector<NodeId>& operands, std::vector<NodeId>& results) const {
  Plan::Step step;
  if (cluster.kind == Cluster::Kind::chain || cluster.kind == Cluster::Kind::headed) {
    step.chain = std::make_unique<ElementwiseChain>();
    make_chain(cluster, *step.chain, operands, results);
    return step;
  }
  const Node& first = g_.node(cluster.nodes[0]);
  step.attrs = first.attrs;
  for (NodeId id : cluster.nodes)  // others are sums of what these compute
    if (const Node& n = g_.node(id); n.op == first.op) operands.insert(operands.end(), n.inputs.begin(), n.inputs.end());
  if (cluster.kind == Cluster::Kind::dots && g_.node(cluster.nodes.back()).op == first.op) results = cluster.nodes;
  else results = {cluster.nodes.back()};
  return step;
}

void PlanBuilder::emit(const Cluster& cluster) {
  const NodeId last = cluster.nodes.back();
  const bool uniform = uniform_[last] != 0, iterates = iterates_[last] != 0;
  std::vector<NodeId> operands, results;
  Plan::Step step = step_of(cluster, operands, results);
  step.what = describe(cluster, operands, results);
  for (NodeId id : cluster.nodes) step.flops += flops(id);

  StepValues values{.in = {},
                    .out = {},
                    .ids = operands,
                    .uniform = uniform,
                    .iterates = iterates,
                    .over_trials = passes::sums_over_trials(g_, last)};
  for (NodeId id : operands) values.in.push_back(resolve(id));
  for (NodeId id : results) {
    Ref r{-1, own_layout(g_.node(id).shape, uniform), uniform};
    r.store = new_store(iterates && !published(id) ? Memory::arena : Memory::kept, bytes_of(r.layout));
    values.out.push_back(roots_[id] = r);
  }
  add_step(std::move(step), op_of(cluster), dtype_of(cluster), std::move(values));
}

std::string PlanBuilder::op_of(const Cluster& cluster) const {
  if (cluster.kind == Cluster::Kind::chain) return "elementwise_chain";
  const char* const suffix = cluster.kind == Cluster::Kind::headed ? "_chain" : cluster.kind == Cluster::Kind::summed ? "_sum" : "";
  return std::string(g_.node(cluster.nodes[0]).op->name) + suffix;
}

DType PlanBuilder::dtype_of(const Cluster& cluster) const {
  const Node& first = g_.node(cluster.nodes[0]);
  if (cluster.kind == Cluster::Kind::chain) return dtype_of(first.shape);
  return first.op->name == "sum_to" ? dtype_of(g_.node(first.inputs[0]).shape) : plan_.options_.dtype;
}

std::int64_t PlanBuilder::lanes_of(bool uniform, bool over_trials) const { return uniform && !over_trials ? 1 : plan_.lanes_; }

bool PlanBuilder::has_kernel(const Cluster& cluster) const {
  const NodeId last = cluster.nodes.back();
  const bool uniform = uniform_[last] != 0;
  std::vector<NodeId> operands, results;
  const Plan::Step step = step_of(cluster, operands, results);
  std::vector<ConstView> in;
  std::vector<kernels::View> out;
  for (NodeId id : operands) in.push_back({own_layout(g_.node(id).shape, uniform_[id] != 0), nullptr});
  for (NodeId id : results) out.push_back({own_layout(g_.node(id).shape, uniform), nullptr});
  const kernels::Problem problem{step.attrs_data(), in, out};
  const std::int64_t lanes = lanes_of(uniform, passes::sums_over_trials(g_, last));
  const std::string op = op_of(cluster);
  return std::ranges::any_of(kernels_of(plan_.options_), [&](const Kernel& k) {
    return op == k.op && k.dtype == dtype_of(cluster) && k.lanes == lanes && !k.on_request &&
           (k.declines == nullptr || k.declines(problem) == nullptr);
  });
}

void PlanBuilder::add_step(Plan::Step step, std::string_view op, DType dtype, StepValues values) {
  const std::int64_t lanes = lanes_of(values.uniform, values.over_trials);
  const auto seen = [this](const Ref& r, bool once) {
    Plan::Operand o{stores_[r.store].memory, 0, r.layout};
    if (once && r.uniform) o.layout.dims[0] = 1;
    return o;
  };
  for (const Ref& r : values.out) step.out.push_back(seen(r, values.uniform));
  const auto bind = [&] {
    step.in.clear();
    for (const Ref& r : values.in) step.in.push_back(seen(r, values.uniform && !values.over_trials));
  };
  bind();
  step.kernel = choose(step, op, dtype, lanes, step.declined);
  // Retry with ever more operands in the plain layout: broadcasts and views first, then what all trials share.
  for (int round = 0; round < 2 && step.kernel == nullptr && !values.ids.empty(); ++round)
    for (std::size_t i = 0; i < values.ids.size() && step.kernel == nullptr; ++i) {
      const Layout& l = step.in[i].layout;
      const bool plain = l.dense_from(1) && l.dtype == dtype_of(g_.node(values.ids[i]).shape);
      const bool splat = (!values.uniform || values.over_trials) && values.in[i].uniform && round == 1;
      if (plain && !splat) continue;
      values.in[i] = copied(values.ids[i], values.in[i], splat);
      bind();
      std::string ignored;
      step.kernel = choose(step, op, dtype, lanes, ignored);
    }
  if (step.kernel == nullptr)
    throw Error(fmt::format("plan: no {} kernel for {} ({} lanes, {}): {}",
                            kernels::kIsaNames[static_cast<int>(plan_.options_.isa)], step.what, lanes,
                            dtype == DType::f32 ? "f32" : "f64", step.declined));
  step.key = step_key(step, op, dtype, lanes);
  if (values.iterates && step.kernel->prepared != nullptr && plan_.options_.prepare) {
    prepare(step, values);
    bind();
  }
  std::vector<ConstView> vin;
  std::vector<kernels::View> vout;
  for (const auto& o : step.in) vin.push_back({o.layout, nullptr});
  for (const auto& o : step.out) vout.push_back({o.layout, nullptr});
  if (step.kernel->scratch_bytes != nullptr) step.scratch_bytes = step.kernel->scratch_bytes({step.attrs_data(), vin, vout});

  std::vector<Plan::Step>& list = values.iterates ? plan_.iteration_ : plan_.setup_;
  std::vector<StepStores>& stores = values.iterates ? iteration_stores_ : setup_stores_;
  StepStores s;
  for (const Ref& r : values.in) s.in.push_back(r.store);
  for (const Ref& r : values.out) s.out.push_back(r.store);
  if (values.iterates) {
    const int now = static_cast<int>(list.size());
    for (int i : s.out) stores_[i].first = stores_[i].last = now;
    for (int i : s.in) stores_[i].last = std::max(stores_[i].last, now);
  }
  list.push_back(std::move(step));
  stores.push_back(std::move(s));
}

void PlanBuilder::prepare(const Plan::Step& step, StepValues& values) {
  std::vector<ConstView> in;
  std::vector<kernels::View> out;
  for (const auto& o : step.in) in.push_back({o.layout, nullptr});
  for (const auto& o : step.out) out.push_back({o.layout, nullptr});
  for (std::size_t i = 0; i < values.ids.size(); ++i) {
    const NodeId id = values.ids[i];
    if (iterates_[id] != 0) continue;
    const kernels::Prepared wanted = step.kernel->prepared({step.attrs_data(), in, out}, i);
    if (wanted.by == nullptr) continue;
    Ref& value = values.in[i];
    const auto made = std::ranges::find_if(
        preparations_, [&](const Preparation& p) { return p.operand == id && p.by == wanted.by && p.attrs == step.attrs; });
    if (made != preparations_.end()) {
      value = made->made;
      continue;
    }
    Ref to{-1, own_layout({g_.node(id).shape.trials(), wanted.numbers}, value.uniform), value.uniform};
    to.store = new_store(Memory::kept, bytes_of(to.layout));
    Plan::Step first;
    first.kernel = wanted.by;
    first.attrs = step.attrs;
    first.what = fmt::format("{} {} -> [{},{}]", wanted.by->op, g_.node(id).shape.str(), to.layout.dims[0], wanted.numbers);
    for (const auto& [ref, list] : {std::pair{value, &first.in}, std::pair{to, &first.out}}) {
      list->push_back({stores_[ref.store].memory, 0, ref.layout});
      if (ref.uniform) list->back().layout.dims[0] = 1;  // once for all trials
    }
    first.key = step_key(first, wanted.by->op, wanted.by->dtype, wanted.by->lanes);
    plan_.setup_.push_back(std::move(first));
    setup_stores_.push_back({{value.store}, {to.store}});
    preparations_.push_back({id, wanted.by, step.attrs, to});
    value = to;
  }
}

const Kernel* PlanBuilder::choose(const Plan::Step& step, std::string_view op, DType dtype, std::int64_t lanes,
                                  std::string& declined) const {
  std::vector<ConstView> in;
  std::vector<kernels::View> out;
  for (const auto& o : step.in) in.push_back({o.layout, nullptr});
  for (const auto& o : step.out) out.push_back({o.layout, nullptr});
  const kernels::Problem problem{step.attrs_data(), in, out};
  const auto& force = plan_.options_.force;
  const auto& choices = plan_.options_.choices;
  const auto forced = force.find(std::string(op));
  const auto chosen = choices.empty() || forced != force.end() ? choices.end() : choices.find(step_key(step, op, dtype, lanes));
  const auto refuse = [&](std::string_view reason) {
    throw UsageError(fmt::format("plan: the kernel chosen for a step cannot serve\n  step: {}\n  {}: {}\n  hint: tune again",
                                 chosen->first, chosen->second, reason));
  };
  const auto products = force.find("products");
  if (products != force.end() && forced == force.end() && chosen == choices.end())
    for (const Kernel& k : kernels_of(plan_.options_))
      if (op == k.op && k.dtype == dtype && k.lanes == lanes && kernels::has_products(k, products->second) &&
          (k.declines == nullptr || k.declines(problem) == nullptr))
        return &k;
  for (const Kernel& k : kernels_of(plan_.options_)) {
    if (op != k.op || k.dtype != dtype || k.lanes != lanes) continue;
    if (forced != force.end() && forced->second != k.name) {
      declined += fmt::format("{}: another was asked for; ", k.name);
      continue;
    }
    const bool is_chosen = chosen != choices.end() && chosen->second == k.name;
    if (k.on_request && forced == force.end() && !is_chosen) {
      declined += fmt::format("{}: only on request; ", k.name);
      continue;
    }
    const char* reason = k.declines != nullptr ? k.declines(problem) : nullptr;
    if (reason != nullptr && is_chosen) refuse(reason);
    if (reason == nullptr && chosen != choices.end() && !is_chosen) reason = "another was chosen";
    if (reason == nullptr) return &k;
    declined += fmt::format("{}: {}; ", k.name, reason);
  }
  if (chosen != choices.end()) refuse("there is no such kernel");
  return nullptr;
}

void PlanBuilder::make_chain(const Cluster& cluster, ElementwiseChain& chain, std::vector<NodeId>& operands,
                             std::vector<NodeId>& results) const {
  std::map<NodeId, std::int64_t> registers;
  std::span<const NodeId> nodes = cluster.nodes;
  if (cluster.kind == Cluster::Kind::headed) {
    const Node& head = g_.node(nodes[0]);
    chain.head = head.attrs;
    chain.head_inputs = static_cast<std::int64_t>(head.inputs.size());
    operands.assign(head.inputs.begin(), head.inputs.end());
    registers.emplace(nodes[0], chain.inputs++);
    nodes = nodes.subspan(1);
  }
  for (NodeId id : nodes)
    for (NodeId in : g_.node(id).inputs)
      if (!std::ranges::binary_search(nodes, in) && registers.emplace(in, chain.inputs).second) {
        operands.push_back(in);
        ++chain.inputs;
      }
  for (NodeId id : nodes) {
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

bool PlanBuilder::published(NodeId id) const {
  return std::ranges::any_of(program_.outputs(), [id](const auto& o) { return o.id == id; });
}

bool PlanBuilder::read_outside(NodeId id, const std::vector<NodeId>& members) const {
  for (const auto& o : program_.outputs())
    if (o.id == id) return true;
  for (const auto& u : program_.updates())
    if (u.next == id) return true;
  return std::ranges::any_of(readers_[id], [&](NodeId r) { return std::ranges::find(members, r) == members.end(); });
}

double PlanBuilder::flops(NodeId id) const {
  const Node& n = g_.node(id);
  const double repeats = uniform_[id] != 0 ? static_cast<double>(n.shape.trials()) : 1.0;  // of which one is computed
  if (n.op->flops == nullptr) return static_cast<double>(n.shape.count()) / repeats;
  std::vector<Shape> in;
  for (NodeId i : n.inputs) in.push_back(g_.node(i).shape);
  return n.op->flops(n.attrs, in, n.shape) / repeats;
}

std::string PlanBuilder::describe(const Cluster& cluster, const std::vector<NodeId>& operands,
                                  const std::vector<NodeId>& results) const {
  std::vector<std::string> in, out, ops;
  for (NodeId id : operands) in.push_back(g_.node(id).shape.str());
  for (NodeId id : results) out.push_back(g_.node(id).shape.str());
  for (NodeId id : cluster.nodes) ops.emplace_back(g_.node(id).op->name);
  if (cluster.kind == Cluster::Kind::pair) ops = {ops[0] + " pair"};
  if (cluster.kind == Cluster::Kind::dots && results.size() == 1)
    ops.resize(1), in = {fmt::format("{} pairs", operands.size() / 2)};
  return fmt::format("{} {} -> {}", fmt::join(ops, "+"), fmt::join(in, " "), fmt::join(out, " "));
}

Plan Plan::compile(const Program& program, const PlanOptions& options) {
  constexpr double kMuch = 0.9;  // of the arena; repeating takes up to 3 % of the time
  PlanBuilder builder(program, options);
  Plan plan = builder.build();
  if (!builder.could_repeat()) return plan;
  Plan smaller = PlanBuilder(program, options, true).build();
  return static_cast<double>(smaller.arena_bytes()) < kMuch * static_cast<double>(plan.arena_bytes()) ? std::move(smaller)
                                                                                                      : std::move(plan);
}

}  // namespace gi
