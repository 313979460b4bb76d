// Where values lie and how they are read.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/exec/plan_builder.h"
#include "engine/graph/op_def.h"

namespace gi {

using kernels::Elementwise;
using kernels::ElementwiseChain;
using kernels::Layout;

Layout PlanBuilder::own_layout(const Shape& s, bool uniform) const {
  Layout l = dense_layout(s, dtype_of(s));
  l.dims[0] = s.trials() == 1 ? 1 : blocks_;
  if (uniform) l.strides[0] = 0;
  else l.lanes = plan_.lanes_;
  return l;
}

std::size_t PlanBuilder::bytes_of(const Layout& l) {
  const std::int64_t blocks = l.strides[0] == 0 ? 1 : l.dims[0];
  return static_cast<std::size_t>(l.count_per_block() * blocks * l.lanes) * kernels::size_of(l.dtype);
}

void PlanBuilder::allocate(Store& store) {
  if (store.memory == Memory::arena || store.memory == Memory::borrowed) return;  // place_arena, place_leaves
  std::size_t& end = plan_.block_bytes_[store.memory];
  store.offset = end;
  end += (store.bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int PlanBuilder::new_store(Memory memory, std::size_t bytes) {
  Store& s = stores_.emplace_back();
  s.memory = memory;
  s.bytes = bytes;
  allocate(s);
  return static_cast<int>(stores_.size()) - 1;
}

void PlanBuilder::place_leaves() {
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
      const bool as_it_is = plan_.options_.device == nullptr && r.layout.lanes == 1 && r.layout.dtype == n.data->dtype();
      r.store = new_store(as_it_is ? Memory::borrowed : Memory::constant, bytes_of(r.layout));
      stores_[r.store].constant = id;
      if (as_it_is) stores_[r.store].offset = reinterpret_cast<std::uintptr_t>(n.data->view().data);
    } else {
      const bool state = n.op->name == "state";
      r.store = new_store(state ? Memory::state : Memory::input, bytes_of(r.layout));
      const Plan::Slot slot{stores_[r.store].memory, stores_[r.store].offset, stores_[r.store].bytes, r.layout};
      (state ? plan_.states_ : plan_.inputs_).push_back({n.name, slot, n.shape});
    }
    roots_[id] = r;
  }
}

PlanBuilder::Ref PlanBuilder::resolve(NodeId id) {
  const Node& n = g_.node(id);
  if (n.op->kind != OpKind::view || roots_[id].store >= 0) return roots_[id];
  const Ref from = resolve(n.inputs[0]);
  return roots_[id] = n.op->name == "broadcast_to" ? broadcast(id, from) : reshaped(id, from);
}

/// Axes that grow get stride 0; of a trial's scalar [T] every axis but the first does.
PlanBuilder::Ref PlanBuilder::broadcast(NodeId id, Ref from) const {
  const Shape& shape = g_.node(id).shape;
  Ref to = from;
  to.uniform = uniform_[id] != 0;
  to.layout.rank = shape.rank();
  to.layout.dims = dense_layout(shape, from.layout.dtype).dims;
  to.layout.dims[0] = shape.trials() == 1 ? 1 : blocks_;
  to.layout.strides.fill(0);
  if (from.layout.dims[0] == to.layout.dims[0]) to.layout.strides[0] = from.layout.strides[0];
  for (int i = 1; i < to.layout.rank && from.layout.rank == to.layout.rank; ++i)
    if (from.layout.dims[i] != 1) to.layout.strides[i] = from.layout.strides[i];
  return to;
}

PlanBuilder::Ref PlanBuilder::reshaped(NodeId id, Ref from) {
  bool one_number = from.layout.count_per_block() > 1;  // a broadcast of one number a trial keeps its zero strides
  for (int i = 1; i < from.layout.rank; ++i) one_number &= from.layout.strides[i] == 0 || from.layout.dims[i] == 1;
  if (!one_number && !from.layout.dense_from(1)) from = copied(g_.node(id).inputs[0], from);
  Layout to = dense_layout(g_.node(id).shape, from.layout.dtype);
  to.lanes = from.layout.lanes;
  to.dims[0] = from.layout.dims[0];
  if (one_number) to.strides.fill(0);
  to.strides[0] = from.layout.strides[0];
  from.layout = to;
  return from;
}

PlanBuilder::Ref PlanBuilder::copied(NodeId id, const Ref& from, bool splat) {
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
  add_step(std::move(step), "elementwise_chain", to.layout.dtype,
           {.in = {from}, .out = {to}, .ids = {}, .uniform = uniform, .iterates = iterates_[id] != 0});
  return copies_[key] = to;
}

void PlanBuilder::commit(const Program::Update& u) {
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

void PlanBuilder::publish(const Program::Output& o) {
  Ref r = resolve(o.id);
  if (g_.node(o.id).op->kind == OpKind::view || g_.node(o.id).op->kind == OpKind::leaf) {
    r = copied(o.id, r);
    // A copy made for another reader may lie in the arena, where nothing outlives the iteration.
    if (stores_[r.store].memory == Memory::arena) {
      stores_[r.store].memory = Memory::kept;
      allocate(stores_[r.store]);
    }
  }
  const Store& s = stores_[r.store];
  plan_.outputs_.push_back({o.name, {s.memory, s.offset, s.bytes, r.layout}, g_.node(o.id).shape});
}

}  // namespace gi
