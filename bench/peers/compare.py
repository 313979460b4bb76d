#!/usr/bin/env python3
"""gi against PyTorch, one iteration of the attack, on this machine.

    bench/peers/setup.sh && bench/peers/compare.py --gi build/release/bin/gi_bench_iteration --output comparison

In every round each row measures PyTorch and gi one right after the other, pinned to the same processors, in alternating order;
a row's figure is the median over rounds of their ratio. What the machine does besides moves both sides alike; on an idle
machine the spread shown is a few per cent. PyTorch runs with OMP_NUM_THREADS set and tcmalloc preloaded where it is installed
(Debian: libtcmalloc-minimal4). Writes OUTPUT.json with every measurement and OUTPUT.md with the table. Exit code 1: a row
misses what it must reach. --clock cpu compares processor time instead of wall time: for one thread beside other work, where
wall time counts the neighbours' turns as well.
"""
import argparse
import datetime
import glob
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WEIGHTS = {"lenetzhu": "lenetzhu_seed42", "convnet64": "convnet_seed42", "resnet20": "resnet20_seed42"}

# name: (what it shows, left side, right side, least ratio of seconds an iteration and trial, left over right)
ROWS = {
    "lenetzhu": ("LeNetZhu, one trial", {"peer": "eager"}, {}, 1.0),
    "resnet20": ("ResNet20, one trial", {"peer": "eager"}, {}, 0.5),
    "convnet64": ("ConvNet64, one trial", {"peer": "eager"}, {}, 0.5),
    "lenetzhu-lanes": ("LeNetZhu, 32 restarts, a trial", {"peer": "eager"}, {"trials": 32}, 10.0),
    "resnet20-lanes": ("ResNet20, 16 restarts, a trial", {"peer": "eager"}, {"trials": 16}, 3.0),
    "lenetzhu-threads": ("LeNetZhu, 32 restarts, 1 thread / 2 threads", {"trials": 32}, {"trials": 32, "threads": 2}, 1.8),
    "resnet20-threads": ("ResNet20, 32 restarts, 1 thread / 2 threads", {"trials": 32}, {"trials": 32, "threads": 2}, 1.8),
    # For orientation, nothing is asked of them.
    "lenetzhu-closure": ("LeNetZhu, one trial, closure", {"peer": "closure"}, {}, None),
    "lenetzhu-compiled": ("LeNetZhu, one trial, compiled", {"peer": "compiled"}, {}, None),
    "lenetzhu-vmap": ("LeNetZhu, 32 restarts, compiled vmap", {"peer": "vmap", "trials": 32}, {"trials": 32}, None),
    "lenetzhu-batch": ("LeNetZhu, batch 8", {"peer": "eager", "batch": 8}, {"batch": 8}, None),
    "resnet20-train": ("ResNet20, batch 8, training mode", {"peer": "eager", "batch": 8, "mode": "train"},
                       {"batch": 8, "mode": "train"}, None),
    "convnet64-batch": ("ConvNet64, batch 8", {"peer": "eager", "batch": 8}, {"batch": 8}, None),
    "convnet64-closure": ("ConvNet64, one trial, closure", {"peer": "closure"}, {}, None),
    "resnet20-closure": ("ResNet20, one trial, closure", {"peer": "closure"}, {}, None),
    "resnet20-compiled": ("ResNet20, one trial, compiled", {"peer": "compiled"}, {}, None),
}


def data_folder():
    return pathlib.Path(os.environ.get("GI_DATA") or ROOT / "../shared/data").resolve()


def tcmalloc():
    found = sorted(glob.glob("/usr/lib/*/libtcmalloc_minimal.so.*"), key=len)
    return found[0] if found else None


def side(name, setting, options):
    """(command, environment) of one side of a row."""
    model = name.partition("-")[0]
    threads = setting.get("threads", 1)
    common = ["--model", model, "--threads", str(threads), "--seconds", str(options.seconds)]
    for key in ("trials", "batch", "mode"):
        if key in setting:
            common += [f"--{key}", str(setting[key])]
    processors = options.processors[:threads]
    if len(processors) < threads:
        raise SystemExit(f"compare.py: {name} needs {threads} processors, there are {len(processors)}")
    pinned = ["taskset", "-c", ",".join(map(str, processors))]
    environment = dict(os.environ)
    if "peer" not in setting:
        weights = data_folder() / f"weights/untrained/{WEIGHTS[model]}.safetensors"
        return pinned + [options.gi, *common, "--weights", str(weights)], environment
    environment.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), TORCH_LOGS="-all")
    if library := tcmalloc():
        environment["LD_PRELOAD"] = library
    return pinned + [options.python, str(HERE / "iteration.py"), *common, "--form", setting["peer"]], environment


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"compare.py: {' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def seconds(measurement, clock):
    """An iteration and trial."""
    return measurement["seconds_per_iteration" if clock == "wall" else "cpu_seconds_per_iteration"] / measurement["trials"]


def table(results, header, clock):
    def milliseconds(measurements):
        return f"{1e3 * statistics.median(seconds(m, clock) for m in measurements):.3f}"

    lines = [header, "", "| row | left | ms | right | ms | left / right | spread | at least | |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, row in results.items():
        what, left, right, least = ROWS[name]
        ratio = row["ratio"]
        verdict = "" if least is None else "reached" if ratio >= least else "MISSED"
        label = [f"PyTorch, {s['peer']}" if "peer" in s else f"gi, {s.get('threads', 1)} thread(s)" for s in (left, right)]
        spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        lines.append(f"| {what} | {label[0]} | {milliseconds(row['left'])} | {label[1]} | {milliseconds(row['right'])} "
                     f"| {ratio:.2f} | {spread} | {'' if least is None else least} | {verdict} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="rows to measure; default: those that must reach something")
    parser.add_argument("--all", action="store_true", help="every row")
    parser.add_argument("--gi", default=str(ROOT / "build/release/bin/gi_bench_iteration"))
    cache = pathlib.Path(os.environ.get("GI_PEERS") or
                         pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "gi/peers")
    parser.add_argument("--python", default=str(cache / "bin/python"), help="of the environment setup.sh made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement")
    parser.add_argument("--processors", type=lambda s: [int(p) for p in s.split(",")],
                        default=sorted(os.sched_getaffinity(0))[::-1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--output", default="comparison")
    options = parser.parse_args()
    names = options.rows or [name for name in ROWS if options.all or ROWS[name][3] is not None]
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"no such row: {' '.join(unknown)}; there are {' '.join(ROWS)}")

    if options.clock == "cpu" and any(s.get("threads", 1) > 1 for name in names for s in ROWS[name][1:3]):
        parser.error("--clock cpu is for rows of one thread")
    results = {name: {"left": [], "right": [], "ratios": []} for name in names}
    load = []
    for turn in range(options.rounds):
        for name in names:
            sides = ["left", "right"] if turn % 2 == 0 else ["right", "left"]
            for which in sides:
                setting = ROWS[name][1 if which == "left" else 2]
                results[name][which].append(run(*side(name, setting, options)))
            row = results[name]
            row["ratios"].append(seconds(row["left"][-1], options.clock) / seconds(row["right"][-1], options.clock))
            row["ratio"] = statistics.median(row["ratios"])
            load.append(os.getloadavg()[0])
            print(f"round {turn + 1}/{options.rounds} {name}: {row['ratios'][-1]:.2f}", file=sys.stderr, flush=True)

    peers = {m["peer"] for row in results.values() for m in row["left"] if "peer" in m}
    header = (f"{datetime.date.today()}, {processor_name()}, {os.cpu_count()} processors, {', '.join(sorted(peers)) or 'gi only'}"
              f"{', tcmalloc' if tcmalloc() else ''}; {options.rounds} interleaved rounds, "
              f"load average {min(load):.1f} to {max(load):.1f}. "
              f"Milliseconds of {options.clock} time an iteration and trial, medians.")
    text = table(results, header, options.clock)
    output = pathlib.Path(options.output)
    output.with_suffix(".json").write_text(json.dumps({"header": header, "rows": results}, indent=1) + "\n")
    output.with_suffix(".md").write_text(text)
    print(text)
    return 1 if any(ROWS[n][3] is not None and results[n]["ratio"] < ROWS[n][3] for n in names) else 0


if __name__ == "__main__":
    sys.exit(main())
