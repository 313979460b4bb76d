#!/usr/bin/env bash
# Which lines of the CUDA kernels the emulated tests run: every *_cuda.cu must come to 95 %.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/coverage
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGI_CUDA=OFF -DGI_COVERAGE=ON -DGI_BENCH=OFF -DGI_TOOLS=OFF >/dev/null
cmake --build $build --target gi_test_kernels
find $build -name '*.gcda' -delete
$build/bin/gi_test_kernels '[emulated]' | tail -n 3
counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT
find "$PWD/$build" -name '*_cuda_cu.cpp.gcda' -print0 | (cd "$counts" && xargs -0 gcov -r -s "$OLDPWD" 2>/dev/null) |
  awk -v least=95 '
    /^File / { file = $2 }
    /^Lines executed:/ && file ~ /_cuda\.cu/ {
      split($0, part, /[:%]/)
      printf "%6.2f %%  %s\n", part[2], file
      files++
      if (part[2] < least) short++
      file = ""
    }
    END {
      printf "%d files, %d below %d %%\n", files, short, least
      exit files == 0 || short > 0
    }'
