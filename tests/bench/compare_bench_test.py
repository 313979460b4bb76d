"""compare_bench.py against outputs written here: what is slower is found, and nothing else."""
import json
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools/dev/compare_bench.py"


def output(rows, isa="avx512"):
    """rows: name -> shares of the repetitions, or (shares, least_seconds)."""
    benchmarks = []
    for name, value in rows.items():
        shares, least = value if isinstance(value, tuple) else (value, 1e-4)
        benchmarks += [{"name": name, "run_name": name, "run_type": "iteration", "best_share": s, "least_seconds": least} for s in shares]
        # Aggregates are in Google Benchmark's output too, and are not to be counted.
        benchmarks.append({"name": f"{name}_mean", "run_name": name, "run_type": "aggregate", "best_share": 1e3, "least_seconds": least})
    return {"context": {"isa": isa, "ceiling f32 GFLOP/s": "234.0", "host_name": "somewhere"}, "benchmarks": benchmarks}


def compare(new, old, *options):
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("new.json", "old.json")]
        for path, content in zip(paths, (new, old)):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        run = subprocess.run([sys.executable, SCRIPT, *paths, *options], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


BASE = output({"a": [0.5], "b": [0.4], "c": [0.8]})

# Inside the band, on both sides of it, and missing.
assert compare(BASE, BASE) == (0, "3 rows compared within 10 %: 0 slower, 0 faster; 0 missing\n")
code, text = compare(output({"a": [0.46], "b": [0.43], "c": [0.8]}), BASE)
assert code == 0 and "0 slower, 0 faster" in text, text
code, text = compare(output({"a": [0.44], "b": [0.45]}), BASE)
assert code == 1 and "1 slower, 1 faster; 1 missing" in text, text
assert "slower\n    0.88 x   50.0% ->  44.0%  a\nfaster\n    1.12 x   40.0% ->  45.0%  b\nmissing\n  c\n" in text, text
assert compare(output({"a": [0.44], "b": [0.4], "c": [0.8]}), BASE, "--band=0.2")[0] == 0

# Only what was measured can be missing.
code, text = compare(output({"a": [0.5]}), BASE, "--filter=^a")
assert code == 0 and text.startswith("1 rows compared") and "0 missing" in text, text

# The best of the repetitions counts: bad runs are noise, unless all are.
assert compare(output({"a": [0.2, 0.5, 0.2], "b": [0.4], "c": [0.8]}), BASE)[0] == 0
assert compare(output({"a": [0.2, 0.4, 0.2], "b": [0.4], "c": [0.8]}), BASE)[0] == 1

# Rows that are mostly the cost of a call say nothing.
code, text = compare(output({"a": [0.5], "b": [0.4], "c": ([0.1], 5e-8)}), output({"a": [0.5], "b": [0.4], "c": ([0.8], 5e-8)}))
assert code == 0 and text.startswith("2 rows compared"), text

# What cannot be compared is refused.
code, text = compare(output({"a": [0.5]}, isa="avx2"), BASE)
assert code == 1 and "measured with avx2" in text and "with avx512" in text, text
# A device's rows are compared with those of the same device only, and never with the CPU's.
def with_device(content, device, isa=True):
    context = {**content["context"], "device": device, "device ceiling L2 GB/s": "5000.0"}
    return {**content, "context": context if isa else {key: value for key, value in context.items() if key != "isa"}}


both = output({"a": [0.5], "g/manual_time": [0.6]})
gpu = output({"g/manual_time": [0.3]})
code, text = compare(with_device(both, "H100"), with_device(both, "A100"))
assert code == 1 and "measured with avx512, H100" in text and "with avx512, A100" in text, text
assert compare(with_device(both, "H100"), BASE, "--filter=a")[1].startswith("1 rows compared"), text
code, text = compare(with_device(gpu, "H100", isa=False), with_device(both, "H100"))
assert code == 1 and "1 slower, 0 faster; 0 missing" in text, text
code, text = compare(with_device(gpu, "H100", isa=False), BASE)
assert code == 1 and "measured with H100" in text and "with avx512" in text, text

assert "nothing to compare" in compare(output({"other": [0.5]}), BASE)[1]
for broken in ("", "[]", '{"context": {}}', '{"context": {"isa": "avx512"}, "benchmarks": [{"run_type": "iteration", "best_share": 1}]}'):
    code, text = compare(broken, BASE)
    assert code == 1 and "new.json: no output of gi_bench" in text, text

# A stored baseline says the same as the output it was made of, and nothing of the machine's name.
with tempfile.TemporaryDirectory() as folder:
    new, stored = pathlib.Path(folder) / "new.json", pathlib.Path(folder) / "stored.json"
    new.write_text(json.dumps(output({"a": [0.3, 0.5, 0.6], "call": ([0.1], 1e-8)})))
    subprocess.run([sys.executable, SCRIPT, new, "--store", stored], check=True, capture_output=True)
    content = json.loads(stored.read_text())
    assert [(row["run_name"], row["best_share"]) for row in content["benchmarks"]] == [("a", 0.6)], content
    assert content["context"] == {"isa": "avx512", "ceiling f32 GFLOP/s": "234.0"}, content
    assert subprocess.run([sys.executable, SCRIPT, new, stored], capture_output=True).returncode == 0
    assert subprocess.run([sys.executable, SCRIPT, new], capture_output=True).returncode == 2
