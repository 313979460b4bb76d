#!/usr/bin/env bash
# Reconstructs the face of a portrait from the gradient of one training step: installs, builds, attacks.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh demo
photo=$(dpkg -L python-matplotlib-data | grep '/grace_hopper\.jpg$')
face=(--crop 140,115,240,240)
out=build/demo

[ -f build/release/CMakeCache.txt ] || cmake --preset release -DGI_TESTS=OFF -DGI_BENCH=OFF >/dev/null
cmake --build --preset release --target gi_invert

echo
echo "A client trains LeNetZhu on one picture and sends its gradient. What the server can see of the picture:"
attack=(build/release/bin/gi_invert "$photo" "${face[@]}" --model lenetzhu --size 64 --tv 1e-2 --steps 9600 --output "$out")
echo "  ${attack[*]}"
"${attack[@]}"
echo
echo "The picture, what the server made of the gradient, and the difference:  $out/comparison.png"

deep=(build/release/bin/gi_invert "$photo" "${face[@]}" --model convnet64 --size 32 --tv 1e-6 --steps 4000 --output build/demo-convnet64)
echo
echo "The same on a deep network:"
echo "  ${deep[*]}"
