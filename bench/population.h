// The attack on noise, set up to be timed: a Plan, and a Workspace for every thread or for the device.
//
// A population is run as gi_invert runs it: in chunks of trials, every thread taking whole chunks through its own Workspace, a
// device all of them through one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/exec/workspace.h"
#include "inversion/problem.h"

namespace gi::bench {

struct PopulationOptions {
  std::string model = "lenetzhu";
  std::string weights;  ///< a file; empty: drawn from seed 42
  models::Mode mode = models::Mode::eval;
  DType dtype = DType::f32;
  kernels::Isa isa = kernels::best_isa();
  std::int64_t trials = 1;
  std::int64_t chunk = 0;  ///< trials of one Plan; 0: one pack where that divides `trials` and pays, else one; see `device`
  std::int64_t lanes = 0;  ///< 0: the Plan chooses
  bool images = false;     ///< a trial's images side by side; with `chunk` and `lanes` 0 wherever they are so in attacks
  std::int64_t batch = 1, threads = 1;
  bool victims = false;  ///< every trial of a chunk has a gradient of its own; else they are restarts of one
  /// Where it runs instead of the CPU, with as many trials at once as divide all and fit; must outlive the Population. `threads`
  /// and `isa` mean nothing then.
  Device* device = nullptr;
  std::string winograd;  ///< "no", "2" or "4" for all convolutions (winograd_choice.h), or empty: each as the costs say
  std::string products;  ///< of f32 where a kernel does them so: "tf32", "bf16x3" (PlanOptions::force), or empty
};

/// A network with its usual normalisation and `victims` clients that have sent nothing yet: enough to build a Program of.
inversion::Problem silent_problem(const PopulationOptions& options, std::int64_t victims);

class Population {
 public:
  /// On a device all but the replaying is done here, so that run() only replays.
  /// Errors UsageError: a chunk that does not divide the trials; what the network, its file, the Plan and the device throw.
  explicit Population(const PopulationOptions& options);

  struct Time {
    double wall = 0, processor = 0;  ///< seconds; the processor's of all threads
    bool operator<(const Time& other) const { return wall < other.wall; }
  };
  /// All chunks go through `steps` iterations each, a device's without waiting in between; the time of it divided by `steps`.
  Time run(std::int64_t steps);

  const Plan& plan() const { return *plan_; }
  std::int64_t chunk() const { return chunk_; }
  double flops_per_iteration() const { return plan_->flops_per_iteration() * static_cast<double>(chunks_); }
  /// The cost of the first trial before the first iteration.
  double first_cost() const { return first_cost_; }

 private:
  PopulationOptions options_;
  Device* device_;
  std::int64_t chunk_, chunks_;
  inversion::Problem problem_;
  std::unique_ptr<Plan> plan_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
  double first_cost_ = 0;
};

}  // namespace gi::bench
