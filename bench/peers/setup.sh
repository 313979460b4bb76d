#!/usr/bin/env bash
# A virtual environment with CPU PyTorch and numpy, for the scripts of this folder.
#
#   bench/peers/setup.sh [FOLDER]        default: $GI_PEERS or ${XDG_CACHE_HOME:-~/.cache}/gi/peers
#   TORCH_VERSION=2.15.0 bench/peers/setup.sh
#
# The Linux wheel is linked against some three gigabytes of CUDA libraries that a CPU run never calls. They are replaced by
# stubs that answer "no device" (cuda_stubs.py, needs a C compiler); if that wheel does not start with them, everything is
# installed as the wheel asks. The arithmetic on the CPU (oneDNN, MKL) is inside the wheel and the same in both cases.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-${GI_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gi/peers}}
python=$folder/bin/python
version=${TORCH_VERSION:+==$TORCH_VERSION}

starts() { "$python" -c 'import torch, numpy; torch.randn(2, 3, 8, 8, requires_grad=True).sin().sum().backward()' 2>/dev/null; }

if ! starts; then
  python3 -m venv "$folder"
  "$python" -m pip install --quiet numpy filelock 'typing-extensions>=4.13' 'setuptools>=77' sympy networkx jinja2 fsspec
  "$python" -m pip install --quiet --no-deps "torch$version"
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  "$python" "$here/cuda_stubs.py" "$site/torch/lib" || true
  if ! starts; then
    echo "setup.sh: the wheel does not start with stubs for the CUDA libraries; installing all it asks for" >&2
    "$python" "$here/cuda_stubs.py" --remove "$site/torch/lib"
    "$python" -m pip install --quiet "torch$version"
    starts || { echo "setup.sh: PyTorch does not start in $folder" >&2; exit 1; }
  fi
fi
"$python" - <<'PY'
import sys, torch, numpy
print(f"{sys.prefix}: PyTorch {torch.__version__}, numpy {numpy.__version__}, Python {sys.version.split()[0]}")
PY
