#!/usr/bin/env bash
# clang-tidy over the sources of the release build, or over the files named.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -f build/release/compile_commands.json ] || cmake --preset release >/dev/null
files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cpp')
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -quiet -p build/release 2> >(grep -v 'warnings generated' >&2)
echo "clang-tidy: ${#files[@]} files, nothing found"
