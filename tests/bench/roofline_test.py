"""roofline.py on output written here: points and ceilings are where their numbers say, and what is no output is refused."""
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "bench/roofline.py"


def row(name, gflops, gbytes, **more):
    """1 ms a call: least_seconds and best_share say that the best run took half of that."""
    return {"run_name": name, "run_type": "iteration", "cpu_time": 1.0, "time_unit": "ms", "gflops": gflops, "gbytes": gbytes,
            "least_seconds": 0.25e-3, "best_share": 0.5, **more}


CONTEXT = {"isa": "avx2", "ceiling f32 GFLOP/s": "100.0", "ceiling L1 GB/s": "100.0"}
ROWS = [row("conv2d/tiles/f32x1/own/a", 5, 5), row("conv2d/tiles/f32x1/own/b", 0.5, 5), row("add/blocks/f32x1/own/c", 50, 5),
        row("conv2d/tiles/f32x1/own/none", 0, 5), row("iteration/lenetzhu", 5, 5)]


def draw(content, *options):
    with tempfile.TemporaryDirectory() as folder:
        measured, picture = pathlib.Path(folder) / "new.json", pathlib.Path(folder) / "new.svg"
        measured.write_text(content if isinstance(content, str) else json.dumps(content))
        run = subprocess.run([sys.executable, SCRIPT, measured, picture, *options], capture_output=True, text=True)
        return run, picture.read_text() if picture.exists() else ""


run, picture = draw({"context": CONTEXT, "benchmarks": ROWS})
assert run.returncode == 0 and "3 kernels" in run.stdout, run
points = {name: (float(x), float(y)) for x, y, name in
          re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4"[^>]*>\s*<title>([^:]*):', picture)}
assert set(points) == {r["run_name"] for r in ROWS[:3]}, points
a, b, c = (points[r["run_name"]] for r in ROWS[:3])
# A decade is as far to the right as it is up on either axis, and a, b and c lie on a line: bytes are the same.
assert abs((c[0] - a[0]) - (a[0] - b[0])) < 0.2 and c[0] > a[0] and abs((a[1] - c[1]) - (b[1] - a[1])) < 0.2 and c[1] < a[1], points
# The best run was twice as fast as all: c comes to 100 GFLOP/s, the height of the ceiling.
peak = re.search(r'<line x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)" stroke="#333"', picture)
assert peak and peak[1] == peak[2] and abs(float(peak[1]) - c[1]) < 0.2, (peak, c)
assert "f32 GFLOP/s 100" in picture and "L1 100 GB/s" in picture and ">elementwise<" in picture, picture

# A device's rows, whose time is set by hand, under its own ceilings; the CPU's of the same file where they are asked for.
GPU = {**CONTEXT, "device": "a <GPU>", "device ceiling f32 GFLOP/s": "60000.0", "device ceiling 3xTF32 GFLOP/s": "100000.0",
       "device ceiling L2 GB/s": "5000.0", "device ceiling memory GB/s": "3000.0"}
GPU_ROWS = [row(f"conv2d/cuda_tiles/f32x16/own/{name}/manual_time", gflops, 500, real_time=2.0, cpu_time=7.0, least_seconds=0.5e-3)
            for name, gflops in (("a", 25000), ("b", 2500))]
run, picture = draw({"context": GPU, "benchmarks": ROWS + GPU_ROWS})
assert run.returncode == 0 and "2 kernels" in run.stdout and "a &lt;GPU&gt;" in picture, (run, picture)
heights = {name: float(y) for y, name in re.findall(r'cy="([\d.]+)" r="4"[^>]*>\s*<title>([^:]*):', picture)}
assert set(heights) == {r["run_name"] for r in GPU_ROWS}, heights
# 2 ms a call by hand, of which the best run took half: 50000 GFLOP/s, between the f32 line and a tenth of itself.
peaks = sorted(float(y) for y in re.findall(r'<line x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="[\d.]+" stroke="#333"', picture))
decade = heights[GPU_ROWS[1]["run_name"]] - heights[GPU_ROWS[0]["run_name"]]
assert len(peaks) == 2 and abs(heights[GPU_ROWS[0]["run_name"]] - peaks[0] - decade * math.log10(2)) < 0.2, (peaks, heights)
assert "3xTF32 GFLOP/s 100000" in picture and "memory 3000 GB/s" in picture and "L1 100 GB/s" not in picture, picture
run, again = draw({"context": GPU, "benchmarks": ROWS + GPU_ROWS}, "--device=cpu")
assert again == draw({"context": CONTEXT, "benchmarks": ROWS})[1] and "3 kernels" in run.stdout, run
run, picture = draw({"context": CONTEXT, "benchmarks": ROWS}, "--device=cuda")
assert run.returncode == 1 and "device ceiling" in run.stderr and not picture, run

assert "1 kernels" in draw({"context": CONTEXT, "benchmarks": ROWS}, "--filter=own/a$")[0].stdout
for content, options in (("", []), ("{}", []), ({"context": {}, "benchmarks": ROWS}, []), ({"context": CONTEXT, "benchmarks": []}, []),
                         ({"context": CONTEXT, "benchmarks": ROWS}, ["--filter=no such"])):
    run, picture = draw(content, *options)
    assert run.returncode == 1 and "roofline.py: error:" in run.stderr and not picture, run
