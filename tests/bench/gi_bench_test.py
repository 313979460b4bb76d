"""gi_bench on a few rows: names, counters, the table, and that compare_bench.py reads its output. Usage: gi_bench_test.py GI_BENCH"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
COMPARE = pathlib.Path(__file__).resolve().parents[2] / "tools/dev/compare_bench.py"
QUICK = ["--benchmark_min_time=0.001", "--isa=portable"]  # every processor has it
ROWS = {
    "conv2d/channel_lanes_direct/f32x1/own/64 to 64 channels at 8x8",
    "conv2d/pixel_lanes_direct/f32x1/own/64 to 64 channels at 8x8",
    "conv2d/trial_lanes_direct/f32x4/own/64 to 64 channels at 8x8",
    "conv2d/trial_lanes_direct/f32x4/shared/64 to 64 channels at 8x8",
    "matmul/single_trial_tiles/f32x1/own/64x64 by 64x64, NT",
    "iteration/lenetzhu/eval/1 trial/1 thread",
}
FILTER = "^(conv2d/.*f32.*/64 to 64 channels at 8x8|matmul/.*f32x1/own/64x64.*NT|iteration/lenetzhu/eval/1 trial/1 thread)"


def run(*options):
    return subprocess.run([PROGRAM, *QUICK, *options], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})


with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / "out.json"
    done = run(f"--filter={FILTER}", "--device=cpu", "--table", f"--benchmark_out={out}")
    assert done.returncode == 0, done
    content = json.loads(out.read_text())
    again = subprocess.run([sys.executable, COMPARE, out, out], capture_output=True, text=True)
    assert again.returncode == 0 and f"{len(ROWS)} rows compared" in again.stdout, again

# What was asked for and nothing else, each with what the table and the comparison need. Rows of a device are tested by
# device_test.cpp: here there may be none.
assert content["context"]["isa"] == "portable" and float(content["context"]["ceiling f32 GFLOP/s"]) > 0, content["context"]
measured = {row["run_name"].removesuffix("/process_time/real_time"): row for row in content["benchmarks"]}
assert set(measured) == ROWS, set(measured) ^ ROWS
for name, row in measured.items():
    seconds = row["real_time" if name.startswith("iteration") else "cpu_time"] * {"us": 1e-6, "ms": 1e-3}[row["time_unit"]]
    assert abs(row["share"] / (row["least_seconds"] / seconds) - 1) < 1e-3, row
    # The one is of processor time, or all runs', the other of the fastest run's wall time: on a busy machine neither bounds the other.
    assert row["gflops"] > 0 and row["share"] > 0 and row["best_share"] > 0, row
    assert row["best_share"] < 1.5, row  # ceilings are measured too, on a machine that may be busy

# 2 flops a multiply-add: 2 images, 64 to 64 channels, 3x3 at 8x8.
row = measured["conv2d/pixel_lanes_direct/f32x1/own/64 to 64 channels at 8x8"]
flops = 2 * 2 * 64 * 64 * 3 * 3 * 8 * 8
assert abs(row["gflops"] * row["cpu_time"] * 1e-6 / (flops * 1e-9) - 1) < 1e-3, row

# The table has a line for each, op by op; --below keeps to its bound.
lines = [line for line in done.stdout.splitlines() if "/" in line and "%" in line]
assert len(lines) == len(ROWS) and [line.split("/")[0] for line in lines] == sorted(name.split("/")[0] for name in ROWS), done.stdout
below = run("--filter=^total_variation/.*f32", "--device=cpu", "--below=0.4").stdout.splitlines()
assert below[0].startswith("name ") and all(float(line.split("%")[0].split()[-1]) < 40 for line in below[1:]), below
assert not any("mostly the call" in line for line in below), below

assert "unrecognized" in run("--benchmark_no_such_option").stderr
assert run("--isa=no_such").returncode != 0

# Without a device its rows are skipped with the reason, unless they are all that is asked for.
device = run("--device=cuda", "--filter=^iteration/lenetzhu/eval/1 trial/cuda")
if device.returncode == 3:
    assert "gi_bench: error: no CUDA device: " in device.stderr and not device.stdout, device
    skipped = run("--device=auto", "--filter=^(iteration/lenetzhu/eval/16|matmul/cu.*f32x1/own/64x64)", "--benchmark_format=json")
    rows = json.loads(skipped.stdout)["benchmarks"]
    assert "iteration/lenetzhu/eval/16 trials/cuda/manual_time" in [row["run_name"] for row in rows], rows
    for row in rows:
        on_device = row["run_name"].endswith("/manual_time")
        assert row.get("error_occurred", False) == on_device, row
        library = row["run_name"].startswith("matmul/cublas")  # which may have a reason of its own
        assert not on_device or library or row["error_message"].startswith("no CUDA device: "), row
else:
    assert device.returncode == 0 and "iteration/lenetzhu/eval/1 trial/cuda/manual_time" in device.stdout, device
assert run("--device=no_such").returncode not in (0, 3)
