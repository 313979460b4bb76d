#!/usr/bin/env bash
# clang-format over all sources: tools/dev/format.sh, or --check to only look.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=(-i)
[ "${1-}" != --check ] || mode=(--dry-run -Werror)
git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' | xargs -0 -r clang-format "${mode[@]}"
