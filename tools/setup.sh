#!/usr/bin/env bash
# Installs the Debian packages that building gi needs, and only those that are missing.
#   tools/setup.sh build|demo|test|dev ...
set -euo pipefail

packages() {
  case $1 in
    build) echo g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libstb-dev ;;
    demo) packages build; echo python-matplotlib-data ;; # carries the portrait
    test) packages demo; echo catch2 python3 libbenchmark-dev ;;
    dev) packages test; echo git ccache clang-format clang-tidy libeigen3-dev libopenblas-dev libdnnl-dev ;; # to compare with
    *) echo "tools/setup.sh: error: '$1' is none of build, demo, test, dev" >&2; exit 2 ;;
  esac
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

wanted=()
for purpose in "${@:-build}"; do
  names=$(packages "$purpose")
  for package in $names; do
    installed "$package" || wanted+=("$package")
  done
done
[ ${#wanted[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "tools/setup.sh: error: neither root nor sudo here; as root run: apt-get install ${wanted[*]}" >&2
    exit 1
  fi
  root=(sudo)
fi
echo "Installing from Debian: ${wanted[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
