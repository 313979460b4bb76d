"""The stages check, bench and peers: which steps, and what their output says. Most telling first: time may end."""
import functools
import glob
import json
import os
import platform
import re
import subprocess

from runner import FILES, ROOT, Skip, Step, by_exit_code, last_json, last_line, program, write_whole

MODELS = ("lenetzhu", "resnet20", "convnet64", "resnet18-imagenet")
TRIALS = (1, 16, 64)


def output_of(*command, seconds=20):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def tool_version(name, pattern):
    try:
        found = re.search(pattern, output_of(program(name), "--version"))
        return found[1] if found else "here"
    except Skip:
        return "missing"


def facts(options):
    """Read only. Nothing here may fail: what is not there is said to be missing."""
    asked = ("name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm", "clocks.max.mem", "clocks.sm", "power.limit",
             "temperature.gpu", "persistence_mode", "mig.mode.current", "ecc.mode.current")
    values = output_of("nvidia-smi", f"--query-gpu={','.join(asked)}", "--format=csv,noheader").split("\n")[0].split(", ")
    # Of the packages, not by importing them: that takes a minute.
    packages = ("import importlib.metadata as m\nfor n in ('torch', 'jax', 'jaxlib', 'triton', 'nvidia-cudnn-cu13', 'nvidia-cublas'):\n"
                "  try: print(n, m.version(n))\n  except m.PackageNotFoundError: print(n, 'missing')")
    version = ROOT / "VERSION"
    return {
        "GPU": ", ".join(f"{key} {value}" for key, value in zip(asked, values)) if len(values) == len(asked) else "nvidia-smi shows none",
        "node": f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors, Linux {platform.release()}, Python {platform.python_version()}",
        "tools": f"nvcc {tool_version('nvcc', r'release ([0-9.]+)')}, ncu {tool_version('ncu', r'Version ([0-9.]+)')}, "
                 f"compute-sanitizer {tool_version('compute-sanitizer', r'Version ([0-9.]+)')}",
        "packages": ", ".join(output_of(options.python, "-c", packages).splitlines()) or f"{options.python} does not run",
        "gi": version.read_text().strip() if version.exists() else output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "programs": str(options.bin),
    }


def libraries(options):
    """What the dynamic linker finds NVIDIA's libraries by, where they are Python packages."""
    folder = output_of(options.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    found = sorted(glob.glob(f"{folder}/nvidia/*/lib")) if folder else []
    return {"LD_LIBRARY_PATH": ":".join(filter(None, [*found, os.environ.get("LD_LIBRARY_PATH", "")]))}


def missing_program(path):
    return None if path.exists() else f"{path} is not built"


# ---- check

def escaped(name):
    return re.sub(r"([\[\],\\])", r"\\\1", name)


def test_output(output, code):
    """Of a Catch2 program that ran one test. Lines of measurements are kept."""
    if skipped := re.search(r"\[gi: skipped\] (.*)", output):
        return "skipped", skipped[1], {}
    passed = re.search(r"All tests passed \((\d+) assertions?", output)
    failed = re.search(r"assertions: *(\d+) \| (?:(\d+) passed \| )?(\d+) failed", output)
    notes = [f"within {max(map(float, apart)):.1e} of the emulator"] if (apart := re.findall(r"else within ([0-9.e+-]+)", output)) else []
    notes += re.findall(r"^mma_16x8x8_tf32: (.*)$", output, re.M)
    if used := sorted(set(re.findall(r"\b(cudnn|cublas)\w* cuda", output))):
        notes.append("with " + " and ".join(used))
    if code == 0 and passed:
        return "passed", "; ".join(notes), {"assertions": int(passed[1])}
    figures = {"assertions": int(failed[1]), "failed": int(failed[3])} if failed else {}
    notes = re.findall(r"^(?:with expansion|due to unexpected exception.*):\n +(.*)", output, re.M)[:2] + notes
    return "FAILED", "; ".join([*(() if failed else (f"exit code {code}",)), *notes])[:400], figures


def listed_tests(path, tags):
    text = subprocess.run([path, "--list-test-names-only", tags], capture_output=True, text=True, timeout=60).stdout
    return [line.strip() for line in text.splitlines() if line.strip()]


def sanitizer_output(output, code):
    if refused := re.search(r"(Device not supported.*|.*[Ii]nsufficient permissions.*|.*not supported on this.*)", output):
        raise Skip(f"compute-sanitizer refuses: {refused[1].strip()[:150]}")
    summary = re.findall(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)", output)
    if not summary:
        return "FAILED", f"exit code {code}, no summary: {last_line(output)}", {}
    errors = sum(int(a or b) for a, b in summary)
    first = re.search(r"^========= ((?:Invalid|Error|Race|Uninitialized|Potential|Barrier|Program hit).*)$", output, re.M)
    return ("passed" if code == 0 and errors == 0 else "FAILED"), first[1][:200] if first else "", {"errors": errors}


def check(runner, options):
    tests = options.bin / "gi_test_device"
    environment = libraries(options)
    if missing := missing_program(tests):
        runner.run(Step("check: tests", [tests], 1, test_output, missing=missing))
        return
    order = ("~[slow]~[golden]~[e2e]~[parity]", "~[slow][parity]", "~[slow][golden],~[slow][e2e]", "[slow]")
    names = dict.fromkeys(name for tags in order for name in listed_tests(tests, ",".join(f"[gpu]{t}" for t in tags.split(","))))
    slow = set(listed_tests(tests, "[gpu][slow]"))
    one_test = lambda name: Step(f"check: {name}", [tests, escaped(name)], 200 if name in slow else 90, test_output, environment=environment)
    for name in names:
        if name not in slow:
            runner.run(one_test(name))
    # Small: under these tools a kernel takes a hundred times as long. Whole plans, so every family; and the asynchronous copies.
    for kind in ("memcheck", "racecheck", "initcheck", "synccheck"):
        try:
            sanitizer, missing = program("compute-sanitizer"), None
        except Skip as reason:
            sanitizer, missing = "compute-sanitizer", str(reason)
        command = [sanitizer, "--tool", kind, "--error-exitcode", "9", "--print-limit", "20", tests, "[gpu][plan],[gpu][unit]"]
        runner.run(Step(f"check: compute-sanitizer {kind}", command, 90, sanitizer_output, missing=missing, environment=environment))
    for name in names:
        if name in slow:
            runner.run(one_test(name))


# ---- bench

def bench_rows(runner, part, output, code):
    """Adds what gi_bench measured to the file of all rows."""
    if code != 0 or not part.exists():
        return by_exit_code(output, code or 1)
    new = json.loads(part.read_text())
    part.unlink()
    path = runner.out / FILES[3]
    whole = json.loads(path.read_text()) if path.exists() else {"context": new["context"], "benchmarks": []}
    names = {row["run_name"] for row in new["benchmarks"]}
    whole["benchmarks"] = [row for row in whole["benchmarks"] if row["run_name"] not in names] + new["benchmarks"]
    write_whole(path, json.dumps(whole, indent=1) + "\n")
    good = [row for row in new["benchmarks"] if not row.get("error_occurred")]
    if not good:
        why = new["benchmarks"][0].get("error_message", "") if new["benchmarks"] else "nothing matches"
        return "skipped", f"no row was measured: {why}", {}
    shares = sorted(row["best_share"] for row in good if "best_share" in row)
    return "passed", "", {"rows": len(good), "median share of the ceiling": shares[len(shares) // 2] if shares else 0.0}


def iteration(output, code):
    if code != 0:
        return by_exit_code(output, code)
    measured = last_json(output)
    figures = {"ms an iteration and trial": 1e3 * measured["seconds_per_iteration_per_trial"], "cost": measured.get("first_cost")}
    if "gflop_per_second" in measured:
        figures["GFLOP/s"] = measured["gflop_per_second"]
    return "passed", str(measured.get("device", "")), {**figures, "measured": measured}


def iteration_command(options, model, trials, seconds=2):
    command = [options.bin / "gi_bench_iteration", "--device", "cuda", "--model", model, "--trials", trials, "--seconds", seconds]
    weights = {"lenetzhu": "lenetzhu_seed42", "convnet64": "convnet_seed42", "resnet20": "resnet20_seed42"}.get(model)
    path = options.data / f"weights/untrained/{weights}.safetensors"
    return command + (["--weights", path] if weights and path.exists() else [])


def bench(runner, options):
    timer, kernels = options.bin / "gi_bench_iteration", options.bin / "gi_bench"
    environment = libraries(options)
    for trials in TRIALS:
        for model in MODELS:
            runner.run(Step(f"bench: {model}, {trials} trials", iteration_command(options, model, trials), 90, iteration,
                            missing=missing_program(timer), environment=environment))
    for model in MODELS:
        for trials in (1, 16):
            attacks(runner, options, model, trials, environment)
    for model in MODELS:
        part = runner.work / f"{model}.json"
        command = [kernels, "--device", "cuda", f"--filter=f32x(1|16)/{model.partition('-')[0]}", "--benchmark_min_time=0.02",
                   f"--benchmark_out={part}"]
        runner.run(Step(f"bench: kernels of {model}", command, 120, functools.partial(bench_rows, runner, part),
                        missing=missing_program(kernels), environment=environment))
    rows, picture = runner.out / FILES[3], runner.out / FILES[4]
    drawn = (lambda output, code: by_exit_code(output, code))
    runner.run(Step("bench: roofline", [options.python, ROOT / "bench/roofline.py", rows, picture], 60, drawn, device=False,
                    missing=None if rows.exists() else "gi_bench measured nothing"))


def attack_report(folder, plan, output, code):
    """Of gi_invert. `plan`: the kernels it has chosen, by step; null: it has not."""
    if code != 0:
        return by_exit_code(output, code)
    timings = json.loads((folder / "report.json").read_text())["timings"]
    figures = {"ms an iteration and trial": 1e3 * timings["seconds_per_iteration_per_trial"], "timings": timings}
    if plan:
        figures["plan"] = plan.read_text()
    return "passed", "", figures


def attacks(runner, options, model, trials, environment):
    """Some iterations of a whole attack with the Plan's own kernels, and with those that measuring chooses."""
    pictures = sorted((options.data / "photos/crops224" if "imagenet" in model else options.data / "cifar10/test100").glob("*.png"))
    for tuned in (False, True):
        folder, plan = runner.work / f"{model}-{trials}-{'tuned' if tuned else 'plain'}", runner.work / f"{model}-{trials}.plan"
        command = [options.bin / "gi_invert", *pictures[:1], "--device", "cuda", "--model", model, "--restarts", trials, "--steps", 200,
                   "--output", folder, *(["--tune", plan, "--tune-seconds", 60] if tuned else [])]
        missing = missing_program(options.bin / "gi_invert") or (None if pictures else f"no pictures in {options.data}")
        runner.run(Step(f"bench: gi_invert, {model}, {trials} trials{', tuned' if tuned else ''}", command, 150,
                        functools.partial(attack_report, folder, plan if tuned else None), least=20, missing=missing,
                        environment=environment))


# ---- peers

def compared(runner, name, output, code):
    path = runner.out / FILES[5]
    if code != 0 or not path.exists():
        return by_exit_code(output, code or 1)
    content = json.loads(path.read_text())
    row = next(row for row in content["rows"] if row["name"] == name)
    figures, without = {}, []
    for setting in [row["right"], *row["left"]]:
        turns = content["measurements"].get(setting, {}).values()
        if seconds := [m["seconds_per_iteration_per_trial"] for m in turns if "error" not in m]:
            figures[f"{setting.partition(': ')[2].partition(',')[0]} ms"] = 1e3 * sorted(seconds)[len(seconds) // 2]
        elif turns:
            without.append(f"{setting.partition(': ')[2].partition(',')[0]}: {next(iter(turns))['error']}")
    if row["ratio"] is None:
        return "FAILED", "; ".join(without) or "not measured", figures
    return "passed", "; ".join(without), {"fastest other over gi": row["ratio"], **figures}


def peers(runner, options):
    script = ROOT / "bench/peers/compare.py"
    rows = output_of(options.python, script, "--device", "cuda", "--list").splitlines()
    environment = {**libraries(options), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    missing = missing_program(options.bin / "gi_bench_iteration")
    if not output_of(options.python, "-c", "import importlib.util as u; print(u.find_spec('torch') or '')"):
        missing = f"{options.python} has no PyTorch"
    if not rows:
        runner.run(Step("peers: rows", [options.python, script, "--list"], 1, by_exit_code, missing=f"{script} lists none"))
    for row in rows:
        name = row.split()[0]
        command = [options.python, script, "--device", "cuda", "--resume", "--rounds", 1, "--seconds", 1, "--compile-limit", 90,
                   "--gi", options.bin / "gi_bench_iteration", "--python", options.python, "--output", runner.out / "6-peers",
                   "--compiled", runner.work / "compiled", name]
        runner.run(Step(f"peers: {name}", command, 300, functools.partial(compared, runner, name), least=30, environment=environment,
                        missing=missing))
