#!/usr/bin/env python3
"""Reads every #include against the table of layers. Usage: check_layers.py [ROOT]; exits 1 where one leans the wrong way.

    tools/ bench/ tests/  ->  inversion/  ->  models/  ->  engine/  ->  kernels/
    engine/    exec -> passes -> ops -> graph -> core;  exec -> device -> core;  autodiff -> graph
    kernels/   <family>/ -> common/ -> api/
"""
import pathlib
import re
import sys

CORE, GRAPH = ["engine/core"], ["engine/core", "engine/graph"]
OPS = GRAPH + ["engine/ops"]
PASSES = OPS + ["engine/passes"]

# layer: what it may include besides itself. The first prefix that a path starts with is its layer.
LAYERS = {
    "kernels/api": [],
    "kernels/common": ["kernels/api", "kernels/emu"],
    "kernels/emu": [],
    "kernels": ["kernels/api", "kernels/common"],  # a family; see layer_of
    "engine/core": ["kernels"],
    "engine/graph": CORE + ["kernels"],
    "engine/autodiff": GRAPH,
    "engine/ops": GRAPH + ["kernels"],
    "engine/passes": OPS + ["kernels"],
    "engine/device": CORE + ["kernels"],
    "engine/exec": PASSES + ["engine/device", "kernels"],
    "models/example": ["models", "engine"],
    "models": ["engine", "kernels/api"],
    "inversion": ["models", "engine", "kernels/api"],
    "tools": ["inversion", "models", "engine", "kernels"],
    "bench": ["tools", "inversion", "models", "engine", "kernels"],
    "tests": ["bench", "tools", "inversion", "models", "engine", "kernels"],
}
PROGRAMS = ("tools", "bench", "tests", "models/example")  # these print and read options

# (what an include names, folders it is for, the rule in words)
OUTSIDE = [
    (r"(cuda|cudnn|cublas|curand|nv|cub/|thrust/|mma)", ("kernels", "engine/device", "tests/kernels/fake_cuda_libraries"), "CUDA lives in kernels/ and engine/device/"),
    (r"stb", ("tools", "bench", "tests/tools"), "pictures are read and written in tools/ and bench/"),
    (r"(CLI/|toml)", ("tools", "bench"), "options are read in tools/ and bench/"),
    (r"(iostream|cstdio|stdio\.h)$", PROGRAMS, "printing lives in tools/ and bench/"),
    (r"(catch2|benchmark)/", ("tests", "bench", "tools"), "the library knows nothing of tests"),
    (r"Eigen/", ("kernels", "inversion", "tests", "bench"), "engine and models do no algebra of their own"),
    (r"fmt/", ("engine", "models", "inversion", "tools", "bench", "tests"), "kernels neither print nor allocate"),
]
TEXT = [(r"\bfmt::print\s*\(|\bstd::(cout|cerr|clog)\b|\b(std::)?(printf|puts|exit)\s*\(", "printing and exit codes live in tools/ and bench/")]


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    """The layer of a file, a family of kernels being one of its own; None for files at the root of kernels/, the lists of all."""
    if inside(path, "kernels"):
        parts = path.split("/")
        if len(parts) == 2:
            return None
        return "/".join(parts[:2])
    return next((layer for layer in LAYERS if inside(path, layer)), path.split("/")[0])


def may_include(path, target):
    layer = layer_of(path)
    if layer is None:
        return inside(target, "kernels")
    allowed = LAYERS.get(layer, LAYERS["kernels"] if inside(layer, "kernels") else [])
    return any(inside(target, folder) for folder in [layer, *allowed])


def faults(root):
    for file in sorted(f for top in ("kernels", "engine", "models", "inversion", "tools", "bench", "tests") for f in (root / top).rglob("*")):
        if file.suffix not in (".h", ".cpp", ".cu", ".cuh", ".inl"):
            continue
        path = file.relative_to(root).as_posix()
        if file.suffix in (".cu", ".cuh") and not any(inside(path, folder) for folder in ("kernels", "engine/device", "tests/device")):
            yield path, 1, "CUDA lives in kernels/ and engine/device/"
        for number, line in enumerate(file.read_text().splitlines(), 1):
            code = line.split("//")[0]
            if include := re.match(r'\s*#\s*include\s*"([^"]+)"', code):
                target = include[1]
                if not (root / target).is_file():
                    if not target.startswith(tuple(f"{top}/" for top in LAYERS)) and (file.parent / target).is_file():
                        yield path, number, f'"{target}": write the path from the root of the repository'
                elif not may_include(path, target):
                    yield path, number, f"{layer_of(path) or 'kernels'} may not include {target}"
            elif include := re.match(r"\s*#\s*include\s*<([^>]+)>", code):
                for pattern, folders, rule in OUTSIDE:
                    if re.match(pattern, include[1]) and not any(inside(path, folder) for folder in folders):
                        yield path, number, f"<{include[1]}>: {rule}"
            elif not any(inside(path, folder) for folder in PROGRAMS):
                for pattern, rule in TEXT:
                    if re.search(pattern, code):
                        yield path, number, f"{code.strip()}: {rule}"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    found = list(faults(root))
    for path, number, message in found:
        print(f"{path}:{number}: {message}")
    print(f"check_layers: {len(found)} includes lean the wrong way" if found else "check_layers: every include leans the right way")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
