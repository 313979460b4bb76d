#!/usr/bin/env bash
# Everything that a day with a GPU is for, on a node that may have no network and little time: is it right, how fast is it, how fast
# are others, what limits it.
#
#   tools/gpu_day.sh check|bench|peers|profile|all [--out FOLDER] [--limit SECONDS] [--again] [--bin FOLDER] [--python PROGRAM]
#
# Works in a build tree (build/) and in what tools/bundle.sh packs (bin/). Each stage ends within nine minutes, all of them within
# 25, and any of them may be interrupted: a step's result is written whole as soon as there is one, and the next call goes on with
# what is missing. Results are at most eight files in FOLDER, build/gpu_day by default; 1-summary.md first. What a node lacks is
# skipped with its reason. Exit codes: 0 nothing failed, 1 something did, 2 usage, 3 no CUDA device, 130 interrupted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v python3 >/dev/null; then
  echo "tools/gpu_day.sh: error: no python3 on PATH" >&2
  exit 1
fi
exec python3 "$here/gpu_day/main.py" "$@"
