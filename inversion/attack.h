// The attack of Geiping et al. 2020 as one Program: an iteration is one run of it.
//
//   minimise over x in the pixel box   1 - <g(x), g*> / (|g(x)| |g*|) + tv TV(x)
//
// Order of an iteration: gradient of cost + TV, sign, Adam (.9, .999, 1e-8), learning rate, clamp to the box. The learning rate
// is divided by ten at floor(steps / 2.667), floor(steps / 1.6) and floor(steps / 1.142). The last iterate counts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/program.h"
#include "inversion/problem.h"

namespace gi::inversion {

/// Defaults: the paper's cell "cosine + signed Adam" of its table of CIFAR-10 results.
struct AttackOptions {
  std::int64_t steps = 4800;
  double learning_rate = 0.1;
  double tv = 1e-2;
  std::int64_t restarts = 1;
  std::uint64_t seed = 0;
  bool sign = true;   ///< Adam sees the gradient's sign only
  bool box = true;    ///< x stays within what pixels in [0,1] can be
  bool decay = true;  ///< the three steps of the learning rate
  /// Computes a single trial with its images on the trial axis, where they may lie side by side in packs: [N,1,...] instead of
  /// [1,N,...], and what they sum up to is [1]. Only where images_meet_in_sums.
  bool images_as_trials = false;
};

/// Whether the network computes every image of a batch by itself, so that they have nothing but sums in common. Training mode's
/// batch normalisation does not.
bool images_meet_in_sums(const Problem& problem);

/// Trial i of a run is restart i % restarts of victim i / restarts.
struct TrialId {
  std::int64_t victim = 0, restart = 0;
};

/// The iteration for `trials` trials at once. Received gradients, labels and (with networks of their own) weights are [1,...]
/// where there is one victim, else [T,...].
///
///   states   x, adam/m, adam/v [T,N,C,H,W]; step [T]
///   inputs   target/<parameter>, labels [.,N,K], lr [T], tv [T], box/low and box/high [1,1,C,1,1], tensors by their names;
///            what a single victim sent is a constant instead, read where `problem` holds it
///   outputs  cost [T], the cosine distance at the x an iteration starts from, without TV; tv_of_x [T]; loss [T]
///
/// `problem`'s weights and, of a single victim, its gradient must outlive Program and Plan. Several victims, or one that has sent
/// nothing yet, are only counted here.
/// Errors ShapeError: the model's images and the candidates disagree; UsageError: images as trials, of more trials than one or
/// where they do not meet in sums.
/// Tests tests/inversion/attack_test.cpp
Program attack_program(const Problem& problem, const AttackOptions& options, std::int64_t trials);

using Bindings = std::vector<std::pair<std::string, Tensor>>;

/// Calls `bind` with every input's name and what those trials bind it to; `ids.size()` is the Program's T. One at a time: together
/// they are as large as the network.
void bind_attack_inputs(const Problem& problem, const AttackOptions& options, std::span<const TrialId> ids,
                        const std::function<void(const std::string& name, const Tensor& value)>& bind);
/// The states before the first iteration. A trial's start depends on seed, victim and restart only.
Bindings attack_start(const Problem& problem, const AttackOptions& options, std::span<const TrialId> ids);

/// Names of the states, in the order of attack_start.
inline constexpr std::array kAttackStates{"x", "adam/m", "adam/v", "step"};

/// The three iterations at which the learning rate falls.
std::array<std::int64_t, 3> decay_milestones(std::int64_t steps);

}  // namespace gi::inversion
