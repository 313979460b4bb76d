// What gi_invert does besides attacking.
#pragma once

#include "tools/gi_invert/settings.h"

namespace gi::tools {

void list_models();
void explain_plan(const Settings& settings);
/// Writes evaluation.safetensors. Errors IoError: the candidate's file; UsageError: more than one victim.
void evaluate_candidate(const Settings& settings);

/// Options of a run as they follow from the settings.
inversion::RunOptions run_options(const Settings& settings);

}  // namespace gi::tools
