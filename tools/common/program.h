// What every program has: one place that catches, exit codes, a version line.
#pragma once

#include <string>
#include <string_view>

#include "engine/core/error.h"

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

/// A DeviceError unless `device` is auto or cpu.
void require_cpu(std::string_view device);

}  // namespace gi::tools
