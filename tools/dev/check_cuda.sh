#!/usr/bin/env bash
# CUDA kernels for every architecture that is released: none spills (that is an error of the build), and products of matrices and
# convolutions go through tensor cores and asynchronous copies.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/cuda
if ! cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGI_CUDA=ON -DGI_CUDA_ARCHITECTURES="80;86;89;90;100;120" \
    -DGI_TESTS=OFF -DGI_BENCH=OFF >/dev/null; then
  echo "check_cuda.sh: skipped: no CUDA toolkit that CMake can use"
  exit 0
fi
cmake --build $build --target gi_kernels_cuda
nvcc=$(sed -n 's/^GI_NVCC:FILEPATH=//p' $build/CMakeCache.txt)
for source in kernels/matmul/matmul_tensor_cuda.cu kernels/conv2d/conv2d_tensor_cuda.cu; do
  ptx=$build/$(basename "$source" .cu).ptx
  "$nvcc" -std=c++20 -I. -DGI_DEVICE=cuda -arch=sm_80 -ptx "$source" -o "$ptx"
  for instruction in mma.sync cp.async; do
    count=$(grep -c "$instruction" "$ptx" || true)
    echo "$(basename "$source"): $count x $instruction"
    [ "$count" -gt 0 ]
  done
done
