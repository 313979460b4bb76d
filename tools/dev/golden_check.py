#!/usr/bin/env python3
"""Checks the built programs against derivatives that another framework computed in float64.

    tools/dev/golden_check.py [--bin build/release/bin] [--dtype f64|f32] [PATTERN...]

Gradients come from `gi_client` on the PNGs, derivatives from `gi_invert --evaluate`; every line is one tensor with its relative
error (norm of the difference over norm) and the bound it must keep. Data: GI_DATA, or ../shared/data beside the repository.
Exit code 1: an error above its bound; 77: no data.
"""
import argparse
import array
import csv
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {"LeNetZhu": "lenetzhu", "ConvNet": "convnet64", "ResNet20": "resnet20"}
CODES = {"F64": "d", "F32": "f", "I64": "q"}
# f32 of ReLU networks is bounded by a test that forces their decisions; here its error is only shown.
BOUNDS = {("f64", "eval"): 1e-9, ("f64", "train"): 1e-8, ("f32", "lenetzhu"): 1e-4}
TRAINED_BOUND = 1e-5  # the stored gradients are f32, of images normalised in f32: 6e-7 is what that alone leaves


def read_safetensors(path):
    """({name: numbers}, metadata)."""
    content = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = array.array(CODES[entry["dtype"]], content[begin:end]).tolist()
    return tensors, metadata


def relative(value, expected):
    if len(value) != len(expected):
        return math.inf
    norm = math.sqrt(math.fsum(e * e for e in expected))
    return math.sqrt(math.fsum((v - e) ** 2 for v, e in zip(value, expected))) / norm


class Checker:
    def __init__(self, options, data):
        self.options, self.data, self.failed, self.lines = options, data, 0, 0

    def program(self, name, *arguments):
        command = [str(self.options.bin / name), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"golden_check: exit code {done.returncode} from {' '.join(command)}\n{done.stderr}")

    def images(self, numbers):
        return [next((self.data / "cifar10/test100").glob(f"{number:04d}_*.png")) for number in numbers]

    def labels(self, numbers):
        with open(self.data / "cifar10/labels.csv", newline="") as file:
            table = {int(row["index"]): row["label"] for row in csv.DictReader(file)}
        return [table[number] for number in numbers]

    def client(self, output, model, weights, numbers, mode, normalization, dtype):
        pictures = [word for image in self.images(numbers) for word in ("--image", image)]
        self.program("gi_client", *pictures, *(["--batch"] if len(numbers) > 1 else []), "--model", model, "--weights", weights,
                     "--labels", ",".join(self.labels(numbers)), "--normalization", normalization, "--mode", mode,
                     "--dtype", dtype, "--output", output)

    def line(self, case, tensor, error, bound):
        good = bound is None or error <= bound
        self.failed += not good
        self.lines += 1
        limit = "" if bound is None else f"bound {bound:g}"
        print(f"{'ok    ' if good else 'FAILED'} {case:34} {tensor:28} {error:.2e}  {limit}", flush=True)

    def matching(self, path, folder):
        stored, metadata = read_safetensors(path)
        model, mode, dtype = MODELS[metadata["network"]], metadata["mode"], self.options.dtype
        bound = BOUNDS.get((dtype, mode)) or BOUNDS.get((dtype, model))
        weights = self.data / "weights/untrained" / metadata["weights"]
        numbers = [int(n) for n in metadata["images"].rpartition(" ")[2].split(",")]
        gradient = folder / "gradient.safetensors"
        self.client(gradient, model, weights, numbers, mode, "cifar10", "f64")
        self.program("gi_invert", "--gradient", gradient, "--weights", weights, "--model", model, "--mode", mode,
                     "--shape", f"{len(numbers)}x3x32x32", "--labels", ",".join(map(str, stored["labels"])),
                     "--normalization", "cifar10", "--evaluate", path, "--dtype", dtype, "--output", folder / "out")
        found, _ = read_safetensors(folder / "out/evaluation.safetensors")
        for name in ("cosine_distance", "l2_distance", "total_variation"):
            if name in found:
                self.line(path.stem, name, relative(found[name], stored[name]), bound)
            self.line(path.stem, f"d_{name}_d_x", relative(found[f"d_{name}_d_x"], stored[f"d_{name}_d_x"]), bound)

    def trained(self, path, folder):
        stored, metadata = read_safetensors(path)
        weights = self.data / "weights/resnet_cifar10/resnet20-12fca82f.safetensors"
        gradient = folder / "gradient.safetensors"
        images = json.loads(metadata["images"])
        self.client(gradient, "resnet20-a", weights, images, metadata["mode"], "resnet20-a", self.options.dtype)
        found, _ = read_safetensors(gradient)
        if set(stored) - set(found):
            raise SystemExit(f"golden_check: {path.name}: gi_client wrote no {sorted(set(stored) - set(found))}")
        bound = TRAINED_BOUND if self.options.dtype == "f64" else None
        errors = {name: relative(found[name], stored[name]) for name in stored}
        worst = max(errors, key=errors.get)
        self.line(path.stem, f"{worst} (worst)", errors[worst], bound)
        whole = [], []
        for name in stored:
            whole[0].extend(found[name])
            whole[1].extend(stored[name])
        self.line(path.stem, "all parameters", relative(*whole), bound)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="parts of file names; default: every file")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--dtype", choices=("f64", "f32"), default="f64")
    options = parser.parse_args()
    data = pathlib.Path(os.environ.get("GI_DATA") or ROOT / "../shared/data").resolve()
    if not (data / "weights/golden").is_dir():
        print(f"golden_check: skipped: no {data}/weights/golden; set GI_DATA")
        return 77
    checker = Checker(options, data)
    for path in sorted((data / "weights/golden").glob("*.safetensors")):
        if options.patterns and not any(pattern in path.name for pattern in options.patterns):
            continue
        with tempfile.TemporaryDirectory() as folder:
            (checker.matching if "_matching_" in path.name else checker.trained)(path, pathlib.Path(folder))
    print(f"{checker.lines} tensors, {checker.failed} above their bound")
    return 1 if checker.failed or not checker.lines else 0


if __name__ == "__main__":
    sys.exit(main())
