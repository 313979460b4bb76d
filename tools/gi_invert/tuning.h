// --tune and --plan-file: a run with kernels that were chosen by measurement.
#pragma once

#include "inversion/run.h"
#include "tools/gi_invert/settings.h"

namespace gi::tools {

/// AttackRun with the plan file's choices, which --tune measures and writes first, telling its progress on stderr; without these
/// options as it is. Errors as AttackRun, read_plan_file, require_fit.
inversion::AttackRun prepared_run(const inversion::Problem& problem, const Settings& settings, inversion::RunOptions options);

}  // namespace gi::tools
