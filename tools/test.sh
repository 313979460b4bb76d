#!/usr/bin/env bash
# All tests of the release build, then the fast ones under the sanitizers. The whole of it: tools/dev/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh test
. tools/dev/stages.sh

stage release
stage asan --label-exclude "$slow"
stage tsan --label-exclude "$slow" --label-regex "$threaded"
