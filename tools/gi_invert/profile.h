// What gi_invert --profile tells: where the time of an attack went.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>

#include "inversion/run.h"

namespace gi::tools {

/// The machine and what a run takes of it, as report.json and profile.json tell it.
nlohmann::json device_json(const inversion::AttackRun& attack);

/// Measures the machine's ceilings; then a table on stdout, and in `folder`
///
///   profile.json  every step, sums by op, the ceilings
///   trace.json    the last two iterations of every thread, as trace events: chrome://tracing and Perfetto show them
///
/// `run` must have been made with RunOptions::profile. Errors IoError. Tests tests/cli/profile_test.cpp
void write_profile(const std::filesystem::path& folder, const inversion::AttackRun& attack, const inversion::RunResult& run);

}  // namespace gi::tools
