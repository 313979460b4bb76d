"""tools/gpu_day.sh with programs that only pretend: what hangs is cut off, what is interrupted goes on, what is missing is skipped."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/gpu_day"))
import profile_kernels  # noqa: E402
import runner  # noqa: E402
import stages  # noqa: E402

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="gi_gpu_day_test_"))
TESTS = ("is quick", "is wrong, [and] has a comma", "is skipped", "is slow")
MEASURED = {"seconds_per_iteration_per_trial": 0.002, "first_cost": 0.5, "device": "a pretended GPU"}


def fake(name, text):
    path = FOLDER / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake_tests(device=True):
    """As a Catch2 program; each run leaves a line in `ran`."""
    found = "echo 'device: a pretended GPU'" if device else "echo '[gi: skipped] no CUDA device: it is a fake'; exit 3"
    fake("gi_test_device", f"""
case "$1" in
--list-test-names-only) case "$2" in *~*slow*golden*|"[gpu][slow]") echo 'is slow';; *) printf '%s\\n' 'is quick' 'is wrong, [and] has a comma' 'is skipped';; esac; exit 3;;
esac
echo "$1" >> {FOLDER}/ran
{found}
case "$1" in
'is wrong\\, \\[and\\] has a comma') printf 'with expansion:\\n  1 == 2\\nassertions: 7 | 5 passed | 2 failed\\n'; exit 2;;
'is skipped') echo '[gi: skipped] shared data: it is not there';;
'is slow') sleep ${{SLOW:-0}}; echo 'All tests passed (3 assertions in 1 test case)';;
*) echo 'CUDA kernel f32 x1 as emulated in 3 of 5 runs, else within 2.5e-07'; echo 'All tests passed (41 assertions in 1 test case)';;
esac""")


def day(stage, *options, **environment):
    command = [ROOT / "tools/gpu_day.sh", stage, "--out", FOLDER / "out", "--bin", FOLDER / "bin", *map(str, options)]
    tools = f"{FOLDER}/bin:/usr/bin:/bin"
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "PATH": tools, "TMPDIR": str(FOLDER), **environment})


def finished(process):
    text = process.communicate(timeout=60)[0]
    content = json.loads((FOLDER / "out/2-results.json").read_text())
    files = {path.name for path in (FOLDER / "out").iterdir()}
    assert files <= set(runner.FILES) and len(runner.FILES) == 8, files
    summary = (FOLDER / "out/1-summary.md").read_text()
    assert all(f"| {name} | {result['status']} |" in summary for name, result in content["steps"].items()), summary
    return process.returncode, content["steps"], text


def ran():
    path = FOLDER / "ran"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line for line in lines if not line.startswith("a difference in one bit")]


# Without a device: every step is skipped for that reason, and it says so to the caller.
fake_tests(device=False)
code, steps, text = finished(day("all"))
assert code == 3 and steps and all(step["status"] == "skipped" for step in steps.values()), (code, text)
assert steps["check: is quick"]["note"] == "no CUDA device: it is a fake", steps["check: is quick"]
assert {name.partition(":")[0] for name in steps} == {"check", "bench", "peers", "profile"}, steps.keys()
assert ran() == []

# Without programs likewise.
(FOLDER / "bin/gi_test_device").unlink()
code, steps, _ = finished(day("check"))
assert code == 3 and "not built" in steps["check: a CUDA device"]["note"], steps

# With one: passed, failed and skipped are told apart, and the next call does only what has no result.
fake_tests()
code, steps, _ = finished(day("check"))
assert code == 1, steps
assert steps["check: is quick"]["status"] == "passed" and steps["check: is quick"]["figures"] == {"assertions": 41}, steps
assert steps["check: is quick"]["note"] == "within 2.5e-07 of the emulator", steps
wrong = steps["check: is wrong, [and] has a comma"]
assert wrong["status"] == "FAILED" and wrong["figures"] == {"assertions": 7, "failed": 2} and "1 == 2" in wrong["note"], wrong
assert steps["check: is skipped"]["note"] == "shared data: it is not there", steps
assert steps["check: compute-sanitizer memcheck"]["note"] == "compute-sanitizer is not here", steps
assert "41 assertions" in (FOLDER / "out/3-log.txt").read_text()
ran()
assert finished(day("check"))[0] == 1 and ran() == ["is skipped"]
assert finished(day("check", "--again"))[0] == 1 and len(ran()) == len(TESTS)

# The time given is kept to, whatever hangs: its children too. What was cut off for that is begun again, and is not a failure.
fake_tests()
begin = time.monotonic()
code, steps, text = finished(day("check", "--again", "--limit", "6", SLOW="50"))
assert time.monotonic() - begin < 20 and steps["check: is slow"]["status"] == "no time", (text, steps["check: is slow"])
assert subprocess.run(["pgrep", "-f", f"{FOLDER}/bin/gi_test_device is slow"], capture_output=True).returncode == 1
ran()
assert finished(day("check"))[1]["check: is slow"]["status"] == "passed"
assert "is slow" in ran()

# A step of its own limit, which is then a result.
day_of_steps = runner.Runner(FOLDER / "steps", 60)
hang = runner.Step("check: hangs", ["sh", "-c", "echo begun; trap '' TERM; sleep 50"], 1, runner.by_exit_code, device=False)
begin = time.monotonic()
result = day_of_steps.run(hang)
assert result["status"] == "too slow" and "begun" in result["note"] and time.monotonic() - begin < 10, result
assert runner.Runner(FOLDER / "steps", 60).run(hang) == result
gone = runner.Step("check: gone", [FOLDER / "no such"], 1, runner.by_exit_code, device=False)
assert day_of_steps.run(gone)["status"] == "skipped"
strange = runner.Step("bench: strange", ["echo", "no JSON"], 5, stages.iteration, device=False)
assert day_of_steps.run(strange)["status"] == "FAILED"
late = runner.Runner(FOLDER / "steps", 0.5)
assert late.run(runner.Step("check: late", ["true"], 5, runner.by_exit_code, device=False))["note"] == "no time left"
# Whatever a step prints, the log stays small enough to be carried away.
flood = runner.Step("check: flood", ["sh", "-c", "head -c 60000000 /dev/zero | tr '\\0' x"], 30, runner.by_exit_code, device=False)
assert day_of_steps.run(flood)["status"] == "passed" and (FOLDER / "steps/3-log.txt").stat().st_size < 2**20

# An interrupt: what is done is kept, what ran is not taken for a result, nothing is left running.
for number in (signal.SIGINT, signal.SIGTERM):
    process = day("check", "--again", SLOW="50")
    for _ in range(300):
        time.sleep(0.1)
        if (FOLDER / "ran").exists() and "is slow" in (FOLDER / "ran").read_text().splitlines():
            break
    process.send_signal(number)
    code, steps, text = finished(process)
    assert code == 130 and steps["check: is slow"]["status"] == "interrupted", (code, text)
    assert steps["check: is quick"]["status"] == "passed", steps
    assert subprocess.run(["pgrep", "-f", f"{FOLDER}/bin/gi_test_device is slow"], capture_output=True).returncode == 1
    ran()
    assert finished(day("check"))[1]["check: is slow"]["status"] == "passed"
    ran()

# Figures of the timed programs; rows of all calls of gi_bench in one file.
fake("gi_bench_iteration", f"echo '{json.dumps(MEASURED)}'")
fake("gi_bench", """
for option; do case "$option" in --benchmark_out=*) out=${option#*=};; --filter=*) row=${option#*/};; esac; done
echo '{"context": {"isa": "avx2"}, "benchmarks": [{"run_name": "'$row'", "best_share": 0.5}]}' > "$out" """)
code, steps, text = finished(day("bench"))
assert steps["bench: lenetzhu, 1 trials"]["figures"]["ms an iteration and trial"] == 2.0, steps
rows = json.loads((FOLDER / "out/4-bench.json").read_text())["benchmarks"]
assert len(rows) == len(stages.MODELS) and steps["bench: kernels of resnet20"]["figures"]["median share of the ceiling"] == 0.5, steps

# What others' tools say.
assert stages.sanitizer_output("========= ERROR SUMMARY: 0 errors\n", 0) == ("passed", "", {"errors": 0})
status, note, figures = stages.sanitizer_output("========= Invalid __global__ read of size 4\n========= ERROR SUMMARY: 2 errors\n", 9)
assert (status, figures) == ("FAILED", {"errors": 2}) and note.startswith("Invalid"), note
assert stages.sanitizer_output("========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n", 9)[2] == {"errors": 1}
assert stages.sanitizer_output("it died", 1)[0] == "FAILED"
try:
    stages.sanitizer_output("========= Device not supported. Please refer to ...", 255)
    raise AssertionError("not refused")
except runner.Skip as reason:
    assert "Device not supported" in str(reason)
names = [metric for metric, _ in profile_kernels.METRICS.values()]
lines = ['==PROF== Connected', ",".join(f'"{name}"' for name in ("ID", "Kernel Name", *names)), ",".join('""' for _ in range(2 + len(names)))]
for number, (kernel, nanoseconds) in enumerate((("gi::cuda::small<float>(int)", 1000), ("gi::cuda::large(int)", 9000), ("gi::cuda::small<float>(int)", 3000))):
    lines.append(",".join(f'"{value}"' for value in (number, kernel, nanoseconds, *[10 * (number + 1)] * (len(names) - 1))))
kernels = profile_kernels.by_kernel("\n".join(lines))
assert [(name, count, figures["us"], figures["SM %"]) for name, count, figures in kernels] == [
    ("large", 1, 9.0, 20.0), ("small<float>", 2, 4.0, 20.0)], kernels

subprocess.run(["rm", "-r", FOLDER], check=True)
