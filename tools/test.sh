#!/usr/bin/env bash
# All tests of the release build, then the fast ones under the sanitizers. The whole of it: tools/dev/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh test
. tools/dev/stages.sh

stage release ""
# Every kernel, pass and file reader, but not the long runs of whole networks.
stage asan "gi_test_kernels gi_test_engine gi_test_ops gi_test_models gi_test_files gi_test_tools gi_example_own_network" \
  --label-regex '^(kernels|engine|ops|models|files|tools)$' --label-exclude '^(slow|golden|grad2)$'
# Threads are used by runs and by files.
stage tsan "gi_test_inversion gi_test_files" --label-regex '^(inversion|files)$' --label-exclude '^slow$'
