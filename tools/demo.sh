#!/usr/bin/env bash
# Reconstructs the face of a portrait from the gradient it leaves in a network: installs, builds, attacks.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh demo
photo=$(dpkg -L python-matplotlib-data | grep '/grace_hopper\.jpg$')
program=build/release/bin/gi_invert
face=("$photo" --crop 150,120,230,230)

[ -f build/release/CMakeCache.txt ] || cmake --preset release -DGI_TESTS=OFF -DGI_BENCH=OFF >/dev/null
cmake --build --preset release --target gi_invert

attack=("$program" "${face[@]}" --model lenetzhu --size 64 --tv 5e-3 --steps 24000 --output build/demo)
printf '\nA client trains on one picture and sends its gradient. What the server can see of the picture:\n\n  %s\n\n' "${attack[*]}"
"${attack[@]}"

deep=("$program" "${face[@]}" --model convnet64 --tv 1e-6)
"${deep[@]}" --steps 10 --checkpoint-every 0 --output build/demo/timing >/dev/null 2>&1
minutes=$(awk -F'[:,]' '/"seconds_per_iteration":/ { print int($2 * 4000 / 60 + 1) }' build/demo/timing/report.json)
printf '\nThe same on a deep network, ConvNet64 at 32x32, about %s minutes here:\n\n  %s\n\n' \
  "$minutes" "${deep[*]} --steps 4000 --output build/demo-convnet64"
