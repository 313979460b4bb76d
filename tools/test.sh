#!/usr/bin/env bash
# All tests of the release build, then the fast ones under the sanitizers. The whole of it: tools/dev/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh test
. tools/dev/stages.sh

stage release ""
# Every kernel, pass and file reader, but not the long runs of whole networks.
stage asan "gi_test_kernels gi_test_emulator gi_planted_bugs gi_test_engine gi_test_ops gi_test_models gi_test_files gi_test_tools \
gi_example_own_network" \
  --label-regex '^(kernels|emulator|engine|ops|models|files|tools)$' --label-exclude '^(slow|golden|grad2)$'
# Threads are used by runs, by files and by CUDA kernels.
stage tsan "gi_test_inversion gi_test_files gi_test_emulator gi_planted_bugs" --label-regex '^(inversion|files|emulator)$' \
  --label-exclude '^slow$'
