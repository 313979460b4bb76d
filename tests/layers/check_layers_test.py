"""The check of the layers must find what it is for: each wrong line, and nothing in the right ones."""
import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools/dev/check_layers.py"
HEADERS = ["kernels/api/view.h", "kernels/common/pack.h", "kernels/conv2d/conv2d.h", "kernels/pool/pool.h", "engine/core/shape.h",
           "engine/graph/graph.h", "engine/ops/conv2d.h", "engine/exec/plan.h", "models/zoo.h", "inversion/attack.h", "tools/common/image.h"]
RIGHT = [
    ("kernels/conv2d/conv2d_cpu.cpp", '#include "kernels/common/pack.h"'),
    ("kernels/conv2d/conv2d_cuda.cu", "#include <cuda_runtime.h>"),
    ("kernels/registry_cpu.cpp", '#include "kernels/conv2d/conv2d.h"'),
    ("engine/autodiff/grad.cpp", '#include "engine/graph/graph.h"'),
    ("engine/exec/plan.cpp", '#include "engine/ops/conv2d.h"'),
    ("inversion/attack.cpp", '#include "models/zoo.h"'),
    ("inversion/attack.cpp", '// #include "tools/common/image.h"'),
    ("tools/gi_invert/main.cpp", "#include <stb/stb_image.h>"),
]
WRONG = [
    ("kernels/conv2d/conv2d_cpu.cpp", '#include "engine/core/shape.h"'),
    ("kernels/conv2d/conv2d_cpu.cpp", '#include "kernels/pool/pool.h"'),
    ("kernels/common/pack_more.h", '#include "kernels/conv2d/conv2d.h"'),
    ("kernels/conv2d/conv2d_more.cpp", '#include "conv2d.h"'),
    ("engine/graph/graph.cpp", '#include "engine/ops/conv2d.h"'),
    ("engine/autodiff/grad.cpp", '#include "engine/ops/conv2d.h"'),
    ("engine/ops/conv2d.cpp", '#include "engine/exec/plan.h"'),
    ("engine/ops/conv2d.cpp", "#include <cuda_runtime.h>"),
    ("engine/ops/conv2d.cu", "int x;"),
    ("models/zoo.cpp", '#include "inversion/attack.h"'),
    ("inversion/attack.cpp", '#include "tools/common/image.h"'),
    ("inversion/attack.cpp", "#include <stb/stb_image.h>"),
    ("inversion/attack.cpp", "#include <CLI/CLI.hpp>"),
    ("engine/exec/plan.cpp", "#include <iostream>"),
    ("engine/exec/plan.cpp", 'void f() { fmt::print("x"); }'),
]


def check(path, line):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for header in HEADERS:
            (root / header).parent.mkdir(parents=True, exist_ok=True)
            (root / header).write_text("#pragma once\n")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(line + "\n")
        run = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
        assert run.returncode in (0, 1) and run.stderr == "", run
        assert run.returncode == 0 or run.stdout.startswith(f"{path}:1: "), run
        return run.returncode


for example in RIGHT:
    assert check(*example) == 0, example
for example in WRONG:
    assert check(*example) == 1, example
