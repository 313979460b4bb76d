// Where the time of a Workspace goes, step by step.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/exec/plan.h"
#include "kernels/api/ceilings.h"

namespace gi {

/// Bytes a step touches: what it reads and what it writes, an operand given twice and what a stride of zero repeats once.
double step_bytes(const Plan::Step& step);

/// What kernels::least_seconds says of a step.
double least_seconds(const kernels::Ceilings& ceilings, const Plan::Step& step);

/// Filled by the Workspace it is attached to, one thread at a time; changes no result. `plan` must outlive it.
/// Tests tests/engine/profile_test.cpp
class Profile {
 public:
  using Clock = std::chrono::steady_clock;
  struct Total {
    double seconds = 0;
    double best = std::numeric_limits<double>::infinity();  ///< seconds of the fastest call: what others disturbed least
    std::int64_t calls = 0;
  };
  struct Event {
    const Plan::Step* step = nullptr;  ///< null: the whole run
    Clock::time_point begin, end;
  };

  explicit Profile(const Plan& plan);

  /// In the order of Plan::setup() and Plan::iteration().
  std::span<const Total> setup() const { return setup_; }
  std::span<const Total> iteration() const { return iteration_; }
  /// Whole runs: the steps, the state updates, and what lies between.
  const Total& runs() const { return runs_; }
  /// All of the last two runs, in the order they ended.
  std::vector<Event> events() const;

  /// Times its own life: of a run, or of a step of the run that goes on. Does nothing where `profile` is null.
  class Timer {
   public:
    explicit Timer(Profile* profile, const Plan::Step* step = nullptr);
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

   private:
    Profile* profile_;
    Event event_;
  };

 private:
  void add(const Event& event);

  const Plan* plan_;
  std::vector<Total> setup_, iteration_;
  Total runs_;
  std::array<std::vector<Event>, 2> events_;  ///< of runs with an even and an odd number
};

}  // namespace gi
