// What a run needs to go on after a kill, in a folder of its own.
//
//   run.safetensors       the settings, as metadata: what must be equal for the same bits to come out
//   chunk-<c>.safetensors states of chunk c after some iteration, bit for bit, and its cost curve
//
// Every file appears whole or not at all, run.safetensors first: at any moment there is a usable journal or none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "inversion/attack.h"

namespace gi::inversion {

using Settings = std::map<std::string, std::string>;

/// A chunk as it is after `iteration` iterations.
struct ChunkState {
  std::int64_t iteration = 0;
  Bindings states;                         ///< of attack_start's names
  std::vector<std::vector<double>> curve;  ///< a row a sample, each [T]: the cost the sampled iteration started from
  std::vector<double> cost, tv;            ///< [T] at the last x, once the chunk is finished; empty before
};

/// Tests tests/inversion/journal_test.cpp
class Journal {
 public:
  /// An empty folder means that none is kept.
  explicit Journal(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool kept() const { return !folder_.empty(); }
  /// The settings a journal was begun with, if there is one. Errors IoError: it is damaged.
  std::optional<Settings> settings() const;
  /// Removes what is there and begins anew. Errors IoError: it cannot be written.
  void begin(const Settings& settings);
  void save(std::int64_t chunk, const ChunkState& state) const;
  std::optional<ChunkState> load(std::int64_t chunk) const;
  /// Removes the journal.
  void remove() const;

 private:
  std::filesystem::path chunk_file(std::int64_t chunk) const;
  std::filesystem::path folder_;
};

/// Errors UsageError naming the settings that differ, with both values.
void require_equal_settings(const Settings& journal, const Settings& now, const std::filesystem::path& folder);

}  // namespace gi::inversion
