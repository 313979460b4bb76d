#include "engine/exec/workspace.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/core/error.h"
#include "engine/exec/pack_layout.h"

namespace gi {

using Memory = Plan::Memory;

namespace {

/// Whether it pays to wake other threads for a step: from some microseconds on, of which an operation takes a quarter of what a
/// byte does. On two threads of an AMD EPYC (Zen 4) LeNetZhu's convolutions take longer when they are shared, ResNet20's do not.
bool worth_sharing(const Plan::Step& step) { return step.flops + 4 * step_bytes(step) >= 7e5; }

std::size_t scratch_of_one(const Plan& plan) { return (plan.scratch_bytes() + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Workspace::Workspace(const Plan& plan, int threads) : Workspace(plan, threads, nullptr) {
  if (plan.isa() == kernels::Isa::cuda) throw UsageError("workspace: the plan is for a device");
}

Workspace::Workspace(const Plan& plan, Device& device) : Workspace(plan, 1, &device) {
  if (plan.isa() != kernels::Isa::cuda) throw UsageError("workspace: the plan is for the CPU");
}

Workspace::Workspace(const Plan& plan, int threads, Device* device)
    : plan_(plan),
      device_(device),
      constants_(device, device != nullptr ? plan.block_bytes(Memory::constant) : 0),
      inputs_(device, plan.block_bytes(Memory::input)),
      states_(device, plan.block_bytes(Memory::state)),
      kept_(device, plan.block_bytes(Memory::kept)),
      arena_(device, plan.block_bytes(Memory::arena)),
      bound_(plan.inputs().size() + plan.states().size(), 0),
      setup_(bound_to_memory(plan.setup())),
      iteration_(bound_to_memory(plan.iteration())) {
  share(threads);
  if (device_ != nullptr && constants_.data() != nullptr)
    device_->upload(constants_.data(), plan.constants(), plan.block_bytes(Memory::constant));
}

void Workspace::share(int threads) {
  scratch_ = {};
  scratch_ = Block(device_, scratch_of_one(plan_) * static_cast<std::size_t>(threads));
  pool_ = threads > 1 ? std::make_unique<ThreadPool>(threads) : nullptr;
  queue_ = std::make_unique<kernels::PartQueue>(threads);
  for (auto* const list : {&setup_, &iteration_})
    for (BoundStep& b : *list) {
      const Plan::Step& s = *b.step;
      const bool shared = pool_ && s.kernel->parts != nullptr && worth_sharing(s);
      b.parts = shared ? s.kernel->parts({s.attrs_data(), b.in, b.out}) : 1;
    }
}

const std::byte* Workspace::base(Memory memory) const {
  switch (memory) {
    case Memory::constant:
      return device_ != nullptr ? constants_.data() : plan_.constants();
    case Memory::borrowed:  // see address
      return nullptr;
    case Memory::input:
      return inputs_.data();
    case Memory::state:
      return states_.data();
    case Memory::kept:
      return kept_.data();
    case Memory::arena:
      return arena_.data();
  }
  return nullptr;
}

const std::byte* Workspace::address(Memory memory, std::size_t offset) const {
  return memory == Memory::borrowed ? reinterpret_cast<const std::byte*>(offset) : base(memory) + offset;
}

void Workspace::set(std::string_view name, const Tensor& value) {
  std::size_t index = 0;
  for (const auto list : {plan_.inputs(), plan_.states()})
    for (const Plan::Named& n : list) {
      if (n.name != name) {
        ++index;
        continue;
      }
      if (value.shape() != n.shape)
        throw ShapeError(fmt::format("'{}': bound to {}, the program expects {}", name, value.shape().str(), n.shape.str()));
      std::byte* const to = mutable_base(n.slot.memory) + n.slot.offset;
      if (device_ == nullptr) {
        write_packed(value, n.slot.layout, to);
      } else {
        const Buffer laid_out(n.slot.bytes);
        write_packed(value, n.slot.layout, laid_out.data());
        device_->upload(to, laid_out.data(), n.slot.bytes);
      }
      if (n.slot.memory == Memory::input) setup_done_ = false;
      bound_[index] = 1;
      return;
    }
  throw UsageError(fmt::format("workspace: the plan has no input or state '{}'", name));
}

Tensor Workspace::get(std::string_view name) const {
  for (const auto list : {plan_.outputs(), plan_.states()})
    for (const Plan::Named& n : list)
      if (n.name == name) {
        const std::byte* const from = base(n.slot.memory) + n.slot.offset;
        if (device_ == nullptr) return read_packed(from, n.slot.layout, n.shape);
        const Buffer fetched(n.slot.bytes);
        device_->download(fetched.data(), from, n.slot.bytes);
        return read_packed(fetched.data(), n.slot.layout, n.shape);
      }
  throw UsageError(fmt::format("workspace: the plan has no output or state '{}'", name));
}

std::vector<Workspace::BoundStep> Workspace::bound_to_memory(std::span<const Plan::Step> steps) {
  std::vector<BoundStep> result;
  for (const Plan::Step& s : steps) {
    BoundStep& b = result.emplace_back(BoundStep{&s, {}, {}, 1});
    for (const auto& o : s.in) b.in.push_back({o.layout, address(o.memory, o.offset)});
    for (const auto& o : s.out) b.out.push_back({o.layout, mutable_base(o.memory) + o.offset});
  }
  return result;
}

void Workspace::execute(std::span<const BoundStep> steps) {
  for (const BoundStep& b : steps) {
    const Profile::Timer timer(profile_, b.step);
    kernels::Arguments whole{{b.step->attrs_data(), b.in, b.out}, scratch_.data()};
    if (device_ != nullptr) {
      whole.stream = device_->stream();
      try {
        b.step->kernel->run(whole);
        device_->check();
        if (profile_ != nullptr) device_->synchronize();
      } catch (const std::exception& e) {
        throw DeviceError(fmt::format("{}: {}: {}", b.step->what, b.step->kernel->name, e.what()));
      }
    } else if (b.parts == 1) {
      b.step->kernel->run(whole);
    } else {
      queue_->start(0, b.parts);
      pool_->run([&](int thread) {
        kernels::Arguments own = whole;
        own.scratch += static_cast<std::size_t>(thread) * scratch_of_one(plan_);
        own.shared = whole.scratch;
        own.queue = queue_.get();
        own.thread = thread;
        b.step->kernel->run(own);
      });
    }
  }
}

void Workspace::iterate() {
  execute(iteration_);
  for (const Plan::Commit& c : plan_.commits()) {
    const Plan::Slot& state = plan_.states()[c.state].slot;
    std::byte* const to = mutable_base(Memory::state) + state.offset;
    const std::byte* const from = address(c.from.memory, c.from.offset);
    if (device_ != nullptr) device_->copy(to, from, state.bytes);
    else std::memcpy(to, from, state.bytes);
  }
}

void Workspace::run() {
  const Profile::Timer timer(profile_);
  if (!setup_done_) {
    std::size_t index = 0;
    for (const auto list : {plan_.inputs(), plan_.states()})
      for (const Plan::Named& n : list)
        if (bound_[index++] == 0) throw UsageError(fmt::format("workspace: '{}' was never set", n.name));
    execute(setup_);
    setup_done_ = true;
  }
  if (device_ == nullptr || profile_ != nullptr || !ran_) {
    iterate();
  } else {
    if (!replay_) replay_ = device_->recorded([this] { iterate(); });
    replay_();
  }
  ran_ = true;
}

}  // namespace gi
