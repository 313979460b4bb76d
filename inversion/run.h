// Carrying an attack out: trials in chunks, chunks over threads, with a journal, and the choice among restarts.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/exec/plan.h"
#include "engine/exec/profile.h"
#include "inversion/attack.h"
#include "inversion/journal.h"

namespace gi {
class Device;
class Workspace;
}  // namespace gi

namespace gi::inversion {

struct Progress {
  std::int64_t chunk = 0, chunks = 1;
  std::int64_t iteration = 0;        ///< of that chunk
  std::int64_t done = 0, total = 0;  ///< iterations over all chunks; what a journal gave counts as done
  std::int64_t resumed = 0;          ///< of `done`, what a journal gave
  double seconds = 0;                ///< since the run began
  std::vector<double> costs;         ///< of the chunk's trials
};

struct RunOptions {
  DType dtype = DType::f32;
  Device* device = nullptr;  ///< null: the CPU
  int threads = 0;           ///< of the CPU; 0: as many as the machine has
  /// Trials side by side: 1, the processor's pack, or 0 to choose by their number, or else images. Of a device: trials of a chunk,
  /// 0 for all that fit.
  std::int64_t lanes = 0;
  std::size_t memory = 0;                    ///< bytes for Workspaces; 0: what the machine or the device can give
  std::map<std::string, std::string> force;  ///< PlanOptions::force
  bool prepare = true;                       ///< PlanOptions::prepare
  /// PlanOptions::choices
  std::map<std::string, std::string> choices;
  std::filesystem::path journal;  ///< folder; empty: none
  bool resume = false;            ///< go on with a journal, if there is one
  double checkpoint_seconds = 60;
  std::int64_t progress_every = 10;               ///< iterations between calls of `progress`
  std::function<void(const Progress&)> progress;  ///< one call at a time, from any thread
  const std::atomic<bool>* stop = nullptr;        ///< set: end soon, with the present state
  bool profile = false;                           ///< RunResult::profiles
};

/// One trial's result.
struct Trial {
  TrialId id;
  bool started = false;
  std::int64_t iterations = 0;
  double cost = 0, tv = 0;    ///< cosine distance and total variation at x
  Tensor x;                   ///< [1,N,C,H,W], normalised, in the Plan's dtype
  std::vector<double> curve;  ///< the cost at iterations 0, curve_every, 2 curve_every, ...
};

struct RunResult {
  std::vector<Trial> trials;
  /// A victim's trial with the least finite cost; none where no restart has one.
  std::vector<std::optional<std::size_t>> best;
  bool interrupted = false;
  std::int64_t curve_every = 1;
  double seconds = 0;                ///< of this process's part of the run
  double seconds_per_iteration = 0;  ///< of one chunk on its thread; 0 when nothing was left to run
  std::vector<Profile> profiles;     ///< one a thread, if asked for; of AttackRun::plan(), which must outlive them
};

/// A run ready to start: its Plan and how its trials are cut.
///
/// Fewer trials than a pack run one by one, more of them in packs: a chunk is then one pack, and the last one is filled with copies
/// of its first trial whose results nobody sees. Where packs take longer (pack_pays) trials run one by one. Batches that fill packs
/// lie in them image by image where that pays (images_pay), one trial a chunk. What does not fit in memory runs on fewer threads,
/// then trial by trial. A device takes all trials at once, or as many as its memory holds.
/// Tests tests/inversion/run_test.cpp
class AttackRun {
 public:
  /// `problem` must outlive it. Errors gi::Error: one trial does not fit in memory (says what it needs).
  AttackRun(const Problem& problem, const AttackOptions& attack, RunOptions options);

  const Plan& plan() const { return *plan_; }
  /// Null: the CPU.
  Device* device() const { return options_.device; }
  std::int64_t trials() const { return static_cast<std::int64_t>(problem_.victims.size()) * attack_.restarts; }
  std::int64_t trials_per_chunk() const { return per_chunk_; }
  /// Whether each trial has its images on the trial axis: AttackOptions::images_as_trials.
  bool images_as_trials() const { return attack_.images_as_trials; }
  std::int64_t chunks() const { return (trials() + per_chunk_ - 1) / per_chunk_; }
  /// That take chunks, each its own, and that share the steps of one: more than one where there are fewer chunks than threads, and
  /// for the last chunks, when others have none left.
  int threads() const { return threads_; }
  int threads_per_chunk() const { return threads_per_chunk_; }
  /// Iterations between two values of a cost curve.
  std::int64_t curve_every() const;

  /// Errors UsageError: a journal of other settings; IoError: the journal cannot be written.
  RunResult execute();

 private:
  struct Shared;
  void compile(std::int64_t per_chunk, bool images_as_trials = false);
  void cut_for_processor();
  void cut_for_device();
  /// Throws where the Plan needs more than `memory` bytes.
  void require_room(std::size_t memory) const;
  std::optional<std::int64_t> stored_chunk() const;
  void run_chunk(Workspace& work, std::int64_t chunk, Shared& shared) const;
  std::vector<TrialId> ids_of(std::int64_t chunk) const;
  Settings settings() const;

  const Problem& problem_;
  AttackOptions attack_;
  RunOptions options_;
  std::unique_ptr<Plan> plan_;
  std::int64_t per_chunk_ = 1;
  int threads_ = 1, threads_per_chunk_ = 1;
};

/// Whether the trials of a Plan in full packs take less time than one by one, or images as its trials less than otherwise. It goes
/// by their memory: matrix products read weights once for all trials, but convolutions want a trial's values in the caches.
bool pack_pays(const Plan& packed);
/// Whether a batch can lie in packs of so many images.
bool fills_packs(const Problem& problem, std::int64_t pack);
/// Whether one by one, with images as this Plan's trials, is how so many trials take the least time.
bool images_pay(const Plan& of_images, std::int64_t trials);

/// Index of the least finite cost among trials [begin, end).
std::optional<std::size_t> best_trial(const std::vector<Trial>& trials, std::size_t begin, std::size_t end);

}  // namespace gi::inversion
