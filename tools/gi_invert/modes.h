// What gi_invert does besides attacking.
#pragma once

#include "tools/gi_invert/settings.h"

namespace gi::tools {

void list_models();
/// This and what follows: on `device`, or on the CPU where it is null.
void explain_plan(const Settings& settings, Device* device);
/// Writes evaluation.safetensors. Errors IoError: the candidate's file; UsageError: more than one victim.
void evaluate_candidate(const Settings& settings, Device* device);

/// Options of a run as they follow from the settings.
inversion::RunOptions run_options(const Settings& settings, Device* device);

}  // namespace gi::tools
