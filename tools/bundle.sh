#!/usr/bin/env bash
# Packs what a GPU node without network and without Debian's packages needs: programs built for it, sources with the headers that
# building them again takes, scripts and data. There:
#
#   tar xzf gi_bundle.tar.gz && gi/tools/gpu_day.sh check
#
#   tools/bundle.sh [FILE] [CMAKE OPTION...]       FILE: build/gi_bundle.tar.gz; e.g. -DGI_CUDNN_INCLUDE=FOLDER
#
# The programs need of the node a driver and the C++ runtime of GCC 12 or later. CUDA's runtime is inside them, other libraries
# lie beside them. Building there: cmake -S gi -B gi/build -G Ninja -DCMAKE_PREFIX_PATH=$PWD/gi/deps/usr
set -euo pipefail
cd "$(dirname "$0")/.."

file=build/gi_bundle.tar.gz
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
  file=$1
  shift
fi
most=$((60 * 1000 * 1000))
data=${GI_DATA:-../shared/data}
build=build/bundle
programs=(gi_invert gi_client gi_bench gi_bench_iteration gi_test_device)
packages=(libfmt-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libstb-dev catch2 libbenchmark-dev)

# Libraries to compare the CPU with stay at home.
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGI_CUDA=ON -DGI_TESTS=ON -DGI_BENCH=ON -DGI_TOOLS=ON \
  -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN/../lib" \
  -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -DOPENBLAS_INCLUDE=OFF -DONEDNN_INCLUDE=OFF "$@" >/dev/null
cmake --build $build --target "${programs[@]}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
to=$folder/gi
mkdir -p "$to/bin" "$to/lib" "$to/deps" "$to/data"

for program in "${programs[@]}"; do
  install -s "$build/bin/$program" "$to/bin/"
  # What every Linux with a C++ compiler has stays at home too.
  ldd "$build/bin/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so' | while read -r library; do
    cp -L "$library" "$to/lib/"
  done
done

git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' path; do
  [ ! -f "$path" ] || printf '%s\0' "$path"
done | tar -c --null -T - | tar -x -C "$to"

# With the shared objects that two of them are for.
shared=$(dpkg-query -W -f '${Depends}\n' "${packages[@]}" | grep -oE '\blib(fmt|benchmark)[0-9][a-z0-9.]*')
for package in "${packages[@]}" $shared; do
  dpkg -L "$package"
done | grep -E '^/usr/(include|lib|share/(cmake|nlohmann|tomlplusplus|pkgconfig))' | while read -r path; do
  [ -d "$path" ] || printf '%s\n' "$path"
done | sed 's|^/||' | tar -c -h -C / -T - | tar -x -C "$to/deps"

wanted=(weights/golden weights/untrained weights/resnet_cifar10/resnet20-12fca82f.safetensors cifar10/labels.csv
  cifar10/classes.txt cifar10/test100 cifar10/bin/test_00.bin photos/crops224/astronaut.png photos/crops224/kodim01.png)
for path in "${wanted[@]}"; do
  if [ -e "$data/$path" ]; then
    mkdir -p "$to/data/$(dirname "$path")"
    cp -r "$data/$path" "$to/data/$path"
  else
    echo "bundle.sh: $data/$path is not there: what needs it will be skipped" >&2
  fi
done
chmod -R u+w "$to"
{ git describe --always --dirty && date -u +%F; } | paste -sd' ' >"$to/VERSION"

mkdir -p "$(dirname "$file")"
tar -c -C "$folder" gi | gzip -9 >"$file"
size=$(stat -c %s "$file")
(cd "$to" && du -sk -- * | sort -rn | awk '{ printf "%8.1f MB  %s\n", $1 / 1024, $2 }')
printf '%8.1f MB  %s, packed\n' "$(awk "BEGIN { print $size / 1e6 }")" "$file"
if [ "$size" -gt $most ]; then
  echo "bundle.sh: error: more than $((most / 1000000)) MB" >&2
  exit 1
fi
