// What every program has: one place that catches, exit codes, a version line.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/core/error.h"
#include "engine/device/device.h"

namespace gi::tools {

/// Exit codes of all programs.
inline constexpr int kDone = 0, kFailure = 1, kUsage = 2, kNoDevice = 3;

/// Runs `body` and turns what it throws into "<program>: error: ..." on stderr and an exit code: usage errors of the command line
/// kUsage, DeviceError kNoDevice, all else kFailure. A TextAsked goes to stdout, kDone.
int run_program(const char* program, int argc, char** argv, int (*body)(int argc, char** argv));

/// "gi_invert 0.1.0 (1157b61)".
std::string version_line(std::string_view program);
/// The git revision this was configured at, or "unknown".
std::string_view revision();

/// What the processor calls itself, or "unknown".
std::string processor_name();

/// "<program>: warning: ..." on stderr.
void warn(std::string_view message);

/// What --device says: null for cpu, and for auto where there is no CUDA device. With `debug` every kernel is waited for, so that
/// one which fails is named. Errors DeviceError: cuda, and there is none.
std::unique_ptr<Device> chosen_device(std::string_view name, bool debug = false);

}  // namespace gi::tools
