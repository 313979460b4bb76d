#!/usr/bin/env bash
# Everything a change must pass: style, layers, linter, and all tests in every preset. Takes long; tools/test.sh is the short form.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools/setup.sh dev
. tools/dev/stages.sh

tools/dev/format.sh --check
tools/dev/check_layers.py
tools/dev/check_cuda.sh
tools/dev/cuda_coverage.sh
stage release ""
tools/dev/tidy.sh
stage asan ""
stage tsan ""
