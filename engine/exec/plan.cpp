#include "engine/exec/plan.h"

#include <fmt/format.h>

#include <iterator>
#include <numeric>

namespace gi {

std::size_t Plan::block_bytes(Memory memory) const {
  const auto it = block_bytes_.find(memory);
  return it == block_bytes_.end() ? 0 : it->second;
}

std::size_t Plan::workspace_bytes() const {
  std::size_t total = scratch_bytes_;
  if (isa() == kernels::Isa::cuda) total += block_bytes(Memory::constant);  // the CPU reads the Plan's own
  for (Memory m : {Memory::input, Memory::state, Memory::kept, Memory::arena}) total += block_bytes(m);
  return total;
}

double Plan::flops_per_iteration() const {
  return std::accumulate(iteration_.begin(), iteration_.end(), 0.0, [](double sum, const Step& s) { return sum + s.flops; });
}

std::string Plan::explain() const {
  constexpr double kMiB = 1048576.0;
  std::string text;
  const auto line = [&text]<class... A>(fmt::format_string<A...> f, A&&... a) {
    fmt::format_to(std::back_inserter(text), f, std::forward<A>(a)...);
  };
  line("plan: {} trials, {} in a pack, {}, {}\n", trials_, lanes_, options_.dtype == DType::f32 ? "f32" : "f64",
       kernels::kIsaNames[static_cast<int>(options_.isa)]);
  line(
      "memory: arena {:.2f} MiB (values without sharing {:.2f}), kept {:.2f}, inputs {:.2f}, states {:.2f}, constants {:.2f}, "
      "scratch {:.2f}\n",
      arena_bytes_ / kMiB, unshared_bytes_ / kMiB, block_bytes(Memory::kept) / kMiB, block_bytes(Memory::input) / kMiB,
      block_bytes(Memory::state) / kMiB, block_bytes(Memory::constant) / kMiB, scratch_bytes_ / kMiB);
  line("work: {:.4f} GFLOP an iteration\n", flops_per_iteration() / 1e9);
  const auto list = [&](const char* title, std::span<const Step> steps) {
    line("{}: {} steps\n", title, steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step& s = steps[i];
      line("{:5} {:<22} {:>9.3f} MFLOP  {}\n", i, s.kernel->name, s.flops / 1e6, s.what);
      if (!s.declined.empty()) line("      not {}\n", s.declined);
    }
  };
  list("setup", setup_);
  list("iteration", iteration_);
  return text;
}

}  // namespace gi
