// Kernels that were chosen by measurement, in a file: what a run was tuned for, what was chosen, and what it was chosen from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "engine/exec/tune.h"

namespace gi::tools {

/// What a tuning is of: choices hold for nothing else. Processor or device by name.
struct TunedFor {
  std::string device, isa, dtype;
  std::int64_t trials = 1;  ///< of a chunk
};

/// Of a Plan; `device` is the one it is for, or null.
TunedFor tuned_for(const Plan& plan, const Device* device);

struct PlanFile {
  TunedFor of;
  std::string model;
  std::map<std::string, std::string> choices;  ///< PlanOptions::choices
};

/// JSON, schema gi_plan/1; whole or not at all. Errors IoError.
/// Tests tests/tools/plan_file_test.cpp
void write_plan_file(const std::filesystem::path& path, const TunedFor& of, const std::string& model, const Tuning& tuning);

/// Errors IoError: it cannot be read, or is no such file.
PlanFile read_plan_file(const std::filesystem::path& path);

/// Errors UsageError naming both sides: the file is of another device, instruction set, dtype or number of trials than `plan`, or
/// has steps that `plan` does not.
void require_fit(const std::filesystem::path& path, const PlanFile& file, const Plan& plan, const Device* device);

}  // namespace gi::tools
