// Lifetimes, the arena and the constants.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/exec/pack_layout.h"
#include "engine/exec/plan_builder.h"
#include "engine/passes/buffers.h"

namespace gi {

using kernels::ElementwiseChain;
using kernels::Layout;

namespace {

/// Of what attrs_data() points to, as far as it is used.
std::size_t attrs_bytes(const Plan::Step& step) {
  if (!step.chain) return kernels::Attrs::kCapacity;
  return step.chain->head_inputs > 0 ? sizeof(ElementwiseChain) : offsetof(ElementwiseChain, head_inputs);
}

bool same_layout(const Layout& a, const Layout& b) {
  return a.rank == b.rank && a.dims == b.dims && a.strides == b.strides && a.lanes == b.lanes && a.dtype == b.dtype;
}

}  // namespace

std::vector<int> PlanBuilder::homes() {
  std::vector<int> home(stores_.size());
  for (std::size_t i = 0; i < home.size(); ++i) home[i] = static_cast<int>(i);
  for (std::size_t s = 0; s < plan_.iteration_.size() && plan_.options_.fuse; ++s) {
    Plan::Step& step = plan_.iteration_[s];
    if (!step.chain) continue;
    std::vector<char> used(step.in.size(), 0);
    for (std::size_t o = 0; o < step.out.size(); ++o) {
      const int to = iteration_stores_[s].out[o];
      if (stores_[to].memory != Memory::arena) continue;
      for (auto i = static_cast<std::size_t>(step.chain->head_inputs); i < step.in.size(); ++i) {
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
  return home;
}

void PlanBuilder::place_arena() {
  const int end = static_cast<int>(plan_.iteration_.size());
  const std::vector<int> home = homes();
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
}

void PlanBuilder::settle() {
  const auto settle_operand = [this](Plan::Operand& o, int store) {
    o.memory = stores_[store].memory;
    o.offset = stores_[store].offset;
  };
  const auto settle_steps = [&](std::vector<Plan::Step>& steps, const std::vector<StepStores>& stores) {
    for (std::size_t s = 0; s < steps.size(); ++s) {
      for (std::size_t i = 0; i < steps[s].in.size(); ++i) settle_operand(steps[s].in[i], stores[s].in[i]);
      for (std::size_t i = 0; i < steps[s].out.size(); ++i) settle_operand(steps[s].out[i], stores[s].out[i]);
      plan_.scratch_bytes_ = std::max(plan_.scratch_bytes_, steps[s].scratch_bytes);
    }
  };
  settle_steps(plan_.setup_, setup_stores_);
  settle_steps(plan_.iteration_, iteration_stores_);
  for (std::size_t i = 0; i < plan_.commits_.size(); ++i) settle_operand(plan_.commits_[i].from, commit_stores_[i]);
}

void PlanBuilder::fill_constants() {
  plan_.constants_ = Buffer(plan_.block_bytes_[Memory::constant]);
  if (plan_.constants_.size() > 0) std::memset(plan_.constants_.data(), 0, plan_.constants_.size());  // gaps are hashed too
  for (const Store& s : stores_) {
    if (s.memory != Memory::constant) continue;
    std::byte* to = plan_.constants_.data() + s.offset;
    if (s.scalar) std::memcpy(to, &*s.scalar, sizeof(double));
    if (s.constant) write_packed(*g_.node(*s.constant).data, roots_[*s.constant].layout, to);
  }
}

void PlanBuilder::finish() {
  std::uint64_t h = 1469598103934665603ull;  // FNV-1a
  const auto mix = [&h](const void* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) h = (h ^ static_cast<const unsigned char*>(bytes)[i]) * 1099511628211ull;
  };
  const std::string printed = plan_.explain();
  mix(printed.data(), printed.size());
  for (const auto* steps : {&plan_.setup_, &plan_.iteration_})
    for (const Plan::Step& s : *steps) mix(s.attrs_data(), attrs_bytes(s));
  mix(plan_.constants_.data(), plan_.constants_.size());
  for (const Store& s : stores_)
    if (s.memory == Memory::borrowed) mix(g_.node(*s.constant).data->view().data, s.bytes);
  plan_.hash_ = h;
}

}  // namespace gi
