// The steps of an attack on a network as workloads: the shapes, pairs, chains, shared and prepared operands a Plan really has.
// Those it would have without Winograd's transforms and prepared operands come along, with no calls.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "bench/workload.h"
#include "inversion/attack.h"
#include "inversion/run.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/matmul/matmul.h"

namespace gi::bench {

using kernels::Layout;

namespace {

constexpr Network kNetworks[] = {
    {"lenetzhu", "lenetzhu", false, 1},   {"lenetzhu, batch 16", "lenetzhu", false, 16},
    {"resnet20", "resnet20", false, 1},   {"resnet20 train, batch 8", "resnet20", true, 8},
    {"convnet64", "convnet64", false, 1}, {"resnet18", "resnet18-imagenet", false, 1, {1, 8}},
};

std::string extents(const Layout& l) {
  return fmt::format("{}", fmt::join(l.dims.begin() + (l.rank > 1 ? 1 : 0), l.dims.begin() + l.rank, "x"));
}

/// Which operands the trials share, where there are several.
std::string sharing(const Workload& w, bool convolution) {
  std::string text;
  for (std::size_t i = 0; i < w.in.size(); ++i)
    if (w.in[i].shared()) text += fmt::format(", {} shared", convolution && i == 1 ? "filters" : fmt::format("operand {}", i + 1));
  return text;
}

std::string describe(const Workload& w) {
  const bool convolution = w.op.starts_with("conv2d");
  std::vector<std::string> in;
  for (const Layout& l : w.in) in.push_back(extents(l));
  std::string text;
  if (w.chain) {
    text = fmt::format("{} ops, {} in, {} out, {}", w.chain->instructions, w.in.size(), w.out.size(), extents(w.out[0]));
  } else if (convolution) {
    const auto& geo = w.attrs.as<kernels::Conv2dGeometry>();
    text = fmt::format("{} to {} channels, {}x{}, {}x{} s{}", geo.c, geo.k, geo.h, geo.w, geo.r, geo.s, geo.stride_h);
    if (geo.groups > 1) text += fmt::format(", {} groups", geo.groups);
  } else if (w.op.starts_with("matmul")) {
    const auto& geo = w.attrs.as<kernels::MatmulGeometry>();
    text =
        fmt::format("{}x{} from {}, {}{}", geo.m, geo.n, geo.k, geo.transpose_a != 0 ? "T" : "N", geo.transpose_b != 0 ? "T" : "N");
    if (geo.batch > 1) text = fmt::format("{} times ", geo.batch) + text;
  } else {
    text = fmt::format("{} to {}", fmt::join(in, " by "), extents(w.out[0]));
  }
  if (!w.chain && w.in.size() == 4) text += ", pair";
  if (w.trials() > 1 && !w.chain) text += sharing(w, convolution);
  if (w.prepared_for != nullptr) text += ", prepared";
  return text;
}

/// Whether an operand is [T, numbers] in the kernel's own order. Those of convolutions, which alone prepare any, have more axes.
bool has_prepared(const Plan::Step& step) {
  return step.kernel->prepared != nullptr && std::ranges::any_of(step.in, [](const auto& in) { return in.layout.rank == 2; });
}

/// Everything that decides what a call does; steps that agree are the same workload.
std::string identity(const Workload& w) {
  std::string key = w.kernel + ' ' + std::to_string(w.lanes);
  const auto append = [&key](const auto& pod) { key.append(reinterpret_cast<const char*>(&pod), sizeof pod); };
  append(w.attrs);
  append(w.prepared_for);
  if (w.chain) append(*w.chain);
  for (const auto* operands : {&w.in, &w.out})
    for (const Layout& l : *operands) append(l);
  return key;
}

}  // namespace

std::span<const Network> networks() { return kNetworks; }

PopulationOptions population_of(const Network& network) {
  return {.model = network.model, .mode = network.train ? models::Mode::train : models::Mode::eval, .batch = network.batch};
}

std::vector<Workload> step_workloads(const Network& network, std::int64_t trials, PlanOptions options) {
  const inversion::Problem problem = silent_problem(population_of(network), 1);
  const bool images = options.lanes > 1 && inversion::fills_packs(problem, options.lanes);
  const inversion::AttackOptions attack{.restarts = images ? 1 : trials, .images_as_trials = images};
  const Program program = inversion::attack_program(problem, attack, attack.restarts);
  std::vector<Workload> list;
  std::map<std::string, std::size_t> known;  // by identity
  const auto add = [&](const Plan& plan, bool attack) {
    for (const Plan::Step& step : plan.iteration()) {
      Workload w{.op = step.kernel->op, .kernel = step.kernel->op, .form = network.name, .attrs = step.attrs};
      if (step.chain) w.chain = *step.chain;
      w.dtype = step.kernel->dtype;
      w.lanes = step.kernel->lanes;
      for (const auto& operand : step.in) w.in.push_back(operand.layout);
      for (const auto& operand : step.out) w.out.push_back(operand.layout);
      w.flops = step.flops;
      if (has_prepared(step)) w.prepared_for = step.kernel;
      w.label = describe(w);
      const auto [it, is_new] = known.emplace(identity(w), list.size());
      if (is_new) list.push_back(std::move(w));
      if (attack) ++list[it->second].calls;
    }
  };
  // Without prepared operands all kernels are measured on the same ones.
  for (const bool winograd : {true, false}) {
    if (!winograd) options.force["winograd"] = "no";
    for (const bool prepare : {false, true}) {
      options.prepare = prepare;
      add(Plan::compile(program, options), winograd && prepare);
    }
  }
  return list;
}

}  // namespace gi::bench
