#!/usr/bin/env python3
"""gi against PyTorch, one iteration of the attack, on this machine: every figure that is claimed, in one run.

    bench/peers/setup.sh && bench/peers/compare.py --gi build/release/bin/gi_bench_iteration --output comparison

A round goes through the networks and measures all settings of one right after another, in alternating order; a row's figure is
the median over rounds of left over right, left being the best of the forms it names in that round: least time, least memory.
Rows for orientation, of which nothing is asked, and rows of memory take one round; a form that took more than 1.3 times the
fastest of its rows in the first round is not measured again. What the machine does besides moves both sides alike; on an idle
machine the spread shown is a few per cent.

PyTorch runs with OMP_NUM_THREADS set and tcmalloc preloaded where it is installed (Debian: libtcmalloc-minimal4). Its compiled
forms are cached for the length of the run, so that only the first round compiles. OUTPUT.json (every measurement) and OUTPUT.md
are rewritten after each one; --resume goes on where an interrupted run stopped, or adds rows. Exit code 1: a row misses what it
must reach, or could not be measured. --clock cpu compares processor time, for rows of one thread beside other work, where wall
time counts the neighbours' turns as well.

--device cuda has rows of its own, PyTorch's and JAX's forms against gi on one GPU, once with products of f32 and once with TF32
allowed on all sides; nothing is asked of them.
"""
import argparse
import datetime
import glob
import json
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
from typing import NamedTuple, Optional

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BEHIND = 1.3
SHARED = 0.95  # processor time over wall time of one thread, below which something else ran on its processor
NEAR = 90e-9  # seconds until a thread sees what another wrote, where they share a last cache
NAMES = {"lenetzhu": "LeNetZhu", "resnet20": "ResNet20", "convnet64": "ConvNet64", "resnet20-4": "ResNet20-4",
         "resnet18-imagenet": "ResNet18, 224 px"}
WEIGHTS = {"lenetzhu": "lenetzhu_seed42", "convnet64": "convnet_seed42", "resnet20": "resnet20_seed42"}


class Setting(NamedTuple):
    """What one process measures: gi, or another in one of its forms (iteration.py and jax_iteration.py explain them)."""
    model: str
    form: str = "gi"
    trials: int = 1
    batch: int = 1
    mode: str = "eval"
    threads: int = 1
    device: str = "cpu"
    precision: str = "f32"

    def conditions(self):
        return [text for text, holds in ((f"{self.trials} restarts", self.trials > 1), (f"batch {self.batch}", self.batch > 1),
                                         ("training mode", self.mode == "train"), ("2 threads", self.threads == 2),
                                         ("TF32", self.precision == "tf32"),
                                         ("products of three of bf16", self.precision == "bf16x3"), ("GPU", self.device == "cuda")) if holds]

    def label(self, but=()):
        return ", ".join([self.form, *(c for c in self.conditions() if c not in but)])

    def __str__(self):
        return f"{self.model}: {self.label()}"


class Row(NamedTuple):
    section: str
    name: str
    what: str
    left: tuple
    right: Setting
    must: Optional[tuple] = None  # (">=" or "<=", ratio of left to right)
    goal: Optional[float] = None
    memory: bool = False

    def settings(self):
        return [*self.left, self.right]


POPULATION_FORMS = ("vmap", "jax-vmap")
FORMS = ("closure", "eager", "compiled", "compiled-last")


def rivals(section, model, forms, must=None, goal=None, name="", **conditions):
    right = Setting(model, **conditions)
    left = tuple(Setting(model, form, **({**conditions, "trials": 1} if form not in POPULATION_FORMS else conditions)) for form in forms)
    what = ", ".join([NAMES[model], *right.conditions()])
    return Row(section, model + name, what, left, right, must and (">=", must), goal)


def threads(model, least, trials=1):
    one, name = Setting(model, trials=trials), "-population-threads" if trials > 1 else "-threads"
    return Row("Threads: gi on one over gi on two", model + name, ", ".join([NAMES[model], *one.conditions()]), (one,),
               one._replace(threads=2), (">=", least))


def training(model):
    return Row("Batch normalisation: gi in training mode over evaluation mode", f"{model}-train", NAMES[model],
               (Setting(model, mode="train"),), Setting(model), ("<=", 1.3))


def memory(model):
    return Row("Peak memory of the process, one trial: PyTorch's eager forms over gi", f"{model}-memory", NAMES[model],
               (Setting(model, "closure"), Setting(model, "eager")), Setting(model), (">=", 2), memory=True)


def tile_units(model):
    """Of a processor with AMX."""
    return Row("For orientation: one trial, one thread, gi over gi with products of three of bf16", f"{model}-bf16x3", NAMES[model],
               (Setting(model),), Setting(model, precision="bf16x3"))


def has_amx():
    try:
        return "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False


ONE = "One trial, one thread: the fastest PyTorch over gi"
POPULATION = "Populations, one thread, a trial: the fastest PyTorch over gi"
SIDE_BY_SIDE = "For orientation: a batch whose images lie side by side, one thread"
TWO = "For orientation: two threads"
TRAIN = "For orientation: batch normalisation in training mode, one thread"
ROWS = [
    rivals(ONE, "lenetzhu", FORMS, 3, 6),
    rivals(ONE, "resnet20", FORMS, 2.2, 5),
    rivals(ONE, "convnet64", FORMS, 2.2, 3.5),
    rivals(ONE, "convnet64", FORMS, 1.5, 3, name="-batch", batch=8),
    rivals(ONE, "resnet20-4", FORMS, 1.8, 3.5),
    rivals(ONE, "resnet18-imagenet", FORMS, 1.8, 3),
    rivals(POPULATION, "lenetzhu", ("vmap", "compiled", "compiled-last"), 2.5, 3.5, name="-population", trials=32),
    rivals(POPULATION, "resnet20", ("vmap", "compiled", "compiled-last"), 2, 5, name="-population", trials=16),
    threads("lenetzhu", 1.9, 32),
    threads("resnet20", 1.9, 32),
    threads("convnet64", 1.6),
    threads("resnet20-4", 1.6),
    threads("resnet18-imagenet", 1.6),
    training("resnet20"),
    training("convnet64"),
    training("resnet18-imagenet"),
    *map(memory, NAMES),
    *(map(tile_units, [model for model in NAMES if model != "lenetzhu"]) if has_amx() else ()),
    rivals(SIDE_BY_SIDE, "lenetzhu", FORMS, name="-batch", batch=16),
    *(rivals(TWO, model, FORMS[1:], name="-two", threads=2) for model in NAMES),
    rivals(TWO, "lenetzhu", ("vmap",), name="-population-two", trials=32, threads=2),
    *(rivals(TRAIN, model, FORMS[1:], name="-train-peers", mode="train")
      for model in ("resnet20", "convnet64", "resnet18-imagenet")),
]


GPU_FORMS = ("cuda-graph", "eager", "jax", "compiled")
GPU_ROWS = [
    rivals(f"A GPU, {what}, {precision}: the fastest other over gi", model, forms, name=name + tail, device="cuda",
           precision=precision, **conditions)
    for precision, tail in (("f32", ""), ("tf32", "-tf32"))
    for what, name, forms, populations in (("one trial", "-gpu", GPU_FORMS, {}),
                                           ("populations, a trial", "-gpu-population", ("vmap", "jax-vmap", "cuda-graph"),
                                            {"lenetzhu": 64, "resnet20": 16, "convnet64": 16, "resnet18-imagenet": 16}))
    for model in ("lenetzhu", "resnet20", "convnet64", "resnet18-imagenet")
    for conditions in ({"trials": populations[model]} if populations else {},)
]


def data_folder():
    return pathlib.Path(os.environ.get("GI_DATA") or ROOT / "../shared/data").resolve()


def beside(output, suffix):
    return pathlib.Path(output + suffix)


def tcmalloc():
    found = sorted(glob.glob("/usr/lib/*/libtcmalloc_minimal.so.*"), key=len)
    return found[0] if found else None


def measure(setting, options):
    """The JSON that the side's program prints, or {"error": text}."""
    command = ["--model", setting.model, "--threads", str(setting.threads), "--seconds", str(options.seconds),
               "--trials", str(setting.trials), "--batch", str(setting.batch), "--mode", setting.mode, "--device", setting.device]
    processors = ",".join(map(str, options.processors[:setting.threads]))
    environment = dict(os.environ)
    if setting.form == "gi":
        command = [*(() if setting.device == "cuda" else ("taskset", "-c", processors)), options.gi, *command]
        if setting.precision != "f32":
            command += ["--products", setting.precision]
        if file := WEIGHTS.get(setting.model):
            command += ["--weights", str(data_folder() / f"weights/untrained/{file}.safetensors")]
    else:
        script = "jax_iteration.py" if setting.form.startswith("jax") else "iteration.py"
        command = [options.python, str(HERE / script), *command, "--form", setting.form, "--precision", setting.precision,
                   "--compile-limit", str(options.compile_limit)]
        if setting.device != "cuda":
            command += ["--processors", processors]
        environment.update(OMP_NUM_THREADS=str(setting.threads), MKL_NUM_THREADS=str(setting.threads), TORCH_LOGS="-all",
                           TORCHINDUCTOR_CACHE_DIR=str(options.compiled))
        if library := tcmalloc():
            environment["LD_PRELOAD"] = library
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.compile_limit + 600)
        lines = done.stdout.strip().splitlines()
        if done.returncode == 0 and lines:
            return json.loads(lines[-1])
        reason = f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:200]}"
        return {"error": reason, "command": shlex.join(command), "log": done.stderr[-4000:]}
    except subprocess.TimeoutExpired as expired:
        return {"error": f"takes more than {expired.timeout:.0f} s", "command": shlex.join(command)}


class Results:
    """Measurements by setting and round, and the rows made of them."""

    def __init__(self, options, rows):
        self.options, self.rows, self.measurements = options, rows, {}

    def of(self, setting):
        """[(round, measurement)] of the rounds that succeeded."""
        return [(turn, m) for turn, m in self.measurements.get(str(setting), {}).items() if "error" not in m]

    def error(self, setting):
        return next((m["error"] for m in self.measurements.get(str(setting), {}).values() if "error" in m), None)

    def value(self, row, measurement):
        """MiB, or milliseconds an iteration and trial."""
        if row.memory:
            return measurement["peak_memory_bytes"] / 2**20
        key = "seconds_per_iteration" if self.options.clock == "wall" else "cpu_seconds_per_iteration"
        return 1e3 * measurement[key] / measurement["trials"]

    def values(self, row, setting):
        return {turn: self.value(row, measurement) for turn, measurement in self.of(setting)}

    def rounds(self, row):
        return self.options.rounds if (row.must or row.right.device == "cuda") and not row.memory else 1

    def behind(self, row, setting):
        first = {s: values["1"] for s in row.left if "1" in (values := self.values(row, s))}
        return setting in first and first[setting] > BEHIND * min(first.values())

    def out_of_race(self, setting):
        """Whether no row needs it after the first round."""
        rows = [row for row in self.rows if setting in row.settings() and self.rounds(row) > 1]
        return all(setting != row.right and self.behind(row, setting) for row in rows)

    def ratios(self, row, counts=lambda measurement: True):
        """Of the rounds whose right side counts."""
        left = {setting: values for setting in row.left if (values := self.values(row, setting))}
        right = {turn: self.value(row, measurement) for turn, measurement in self.of(row.right) if counts(measurement)}
        racing = {turn: [v.get(turn) for s, v in left.items() if turn == "1" or not self.behind(row, s)] for turn in right}
        return [min(racing[turn]) / right[turn] for turn in right if left and None not in racing[turn]]

    def verdict(self, row):
        ratios = self.ratios(row)
        if not row.must:
            return ""
        pending = any(not self.of(setting) and not self.error(setting) for setting in row.settings())
        if pending or len(ratios) < self.rounds(row):
            return "FAILED" if self.error(row.right) or all(map(self.error, row.left)) else "incomplete"
        ratio, (relation, bound) = statistics.median(ratios), row.must
        return "reached" if (ratio >= bound if relation == ">=" else ratio <= bound) else "MISSED"

    def side(self, row, settings):
        common = row.right.conditions() if row.left[0].form != "gi" else []
        cells = {}
        for setting in settings:
            values = self.values(row, setting).values()
            cells[setting] = (statistics.median(values) if values else float("inf"), setting.label(common))
        best = min(cells.values())[0] if len(settings) > 1 else None
        for setting, (value, label) in cells.items():
            if value == float("inf"):
                cells[setting] = f"{label}: {self.error(setting) or 'not yet'}"
            else:
                number = f"{value:.0f}" if row.memory else f"{value:.3g}" if value < 100 else f"{value:.0f}"
                cells[setting] = f"{label} " + (f"**{number}**" if value == best else number)
        return "; ".join(cells.values())

    def compile_table(self):
        lines = []
        for setting in dict.fromkeys(s for row in self.rows for s in row.left if s.form not in ("closure", "eager", "cuda-graph", "gi")):
            seconds = [m["compile_seconds"] for _, m in self.of(setting)]
            if seconds:
                later = f"{statistics.median(seconds[1:]):.0f}" if seconds[1:] else ""
                lines.append(f"| {NAMES[setting.model]} | {setting.label()} | {seconds[0]:.0f} | {later} |")
            elif error := self.error(setting):
                lines.append(f"| {NAMES[setting.model]} | {setting.label()} | {error} | |")
        head = ["", "## Seconds until the first compiled iteration", "",
                "| network | form | first round | from the cache |", "|---|---|---|---|"]
        return head + lines if lines else []

    def nearness_table(self):
        """Virtual processors are moved about: of two that do not share a last cache, one waits longer for what the other wrote."""
        lines = []
        for row in self.rows:
            if row.right.form != "gi" or row.right.threads < 2:
                continue
            near = self.ratios(row, lambda m: max(m.get("handover_seconds") or [1]) < NEAR)
            far = self.ratios(row, lambda m: min(m.get("handover_seconds") or [0]) >= NEAR)
            if near or far:
                lines.append(f"| {row.what} | " + " | ".join(f"{statistics.median(r):.2f} ({len(r)} rounds)" if r else "" for r in (near, far)) + " |")
        head = ["", "## Ratios of the rounds where two threads", "", "| | shared a last cache | did not |", "|---|---|---|"]
        return head + lines if lines else []

    def disturbed(self):
        """Measurements of one thread that had to share its processor; those of two threads then suffered more, but hide it."""
        names = [f"{setting} ({turn})" for setting, turns in self.measurements.items() for turn, m in turns.items()
                 if m.get("threads") == 1 and m.get("device") in (None, "cpu") and m["cpu_seconds_per_iteration"] < SHARED * m["seconds_per_iteration"]]
        return [f"\nDISTURBED, figures not valid on wall time: {', '.join(names)}"] if names else []

    def markdown(self, header):
        lines = ["# gi and PyTorch, an iteration of the attack", "", *(f"- {key}: {text}" for key, text in header.items()), "",
                 f"Median milliseconds of {self.options.clock} time an iteration and trial, the best of several forms bold; "
                 "ratio: the median over rounds, and its range."]
        for section in dict.fromkeys(row.section for row in self.rows):
            unit = "MiB" if any(row.memory for row in self.rows if row.section == section) else "ms"
            lines += ["", f"## {section}", "", f"| | left, {unit} | right, {unit} | left / right | range | must be | goal | |",
                      "|---|---|---|---|---|---|---|---|"]
            for row in self.rows:
                if row.section != section:
                    continue
                ratios = self.ratios(row)
                ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else ""
                lines.append(f"| {row.what} | {self.side(row, row.left)} | {self.side(row, [row.right])} | {ratio} | {spread} "
                             f"| {' '.join(map(str, row.must or ''))} | {row.goal or ''} | {self.verdict(row)} |")
        return "\n".join(lines + self.nearness_table() + self.compile_table() + self.disturbed() + self.disagreements()) + "\n"

    def disagreements(self):
        """PyTorch's forms start from one x; they must find one cost there. torch.dot of eleven million f32 is off by 2e-4."""
        costs = {}
        for setting in dict.fromkeys(s for row in self.rows for s in row.settings() if s.form != "gi"):
            for _, measurement in self.of(setting):
                costs.setdefault((setting.model, setting.batch, setting.mode, setting.precision), []).append(measurement["cost"])
        return [f"\nCOSTS DISAGREE: {NAMES[model]}, batch {batch}, {mode} mode, {precision}: {min(found)} to {max(found)}"
                for (model, batch, mode, precision), found in costs.items() if max(found) > min(found) + 1e-3]

    def write(self, header):
        text = self.markdown(header)
        rows = [{"name": row.name, "what": row.what, "section": row.section, "must": row.must, "goal": row.goal,
                 "left": list(map(str, row.left)), "right": str(row.right), "ratios": (ratios := self.ratios(row)),
                 "ratio": statistics.median(ratios) if ratios else None, "verdict": self.verdict(row)} for row in self.rows]
        content = json.dumps({"header": header, "rows": rows, "measurements": self.measurements}, indent=1) + "\n"
        for suffix, whole in ((".md", text), (".json", content)):
            part = beside(self.options.output, ".part")
            part.write_text(whole)
            part.replace(beside(self.options.output, suffix))
        return text


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(options):
    cpuinfo = dict(line.partition(":")[::2] for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    cpuinfo = {key.strip(): value.strip() for key, value in cpuinfo.items()}
    flags = cpuinfo.get("flags", "").split()
    level2 = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    versions = ("import re, sys, torch; onednn = re.search(r'(?:MKL-DNN|oneDNN) v([0-9.]+)', torch.__config__.show()); "
                "print(f'{torch.__version__}, oneDNN {onednn[1] if onednn else None}, Python {sys.version.split()[0]}')")
    return {
        "processor": f"{cpuinfo.get('model name', platform.processor())} (family {cpuinfo.get('cpu family')}, model "
                     f"{cpuinfo.get('model')}), {os.cpu_count()} processors, "
                     f"L2 {level2.read_text().strip() if level2.exists() else 'unknown'}",
        "instructions": ", ".join(f"{name} {'yes' if flag in flags else 'no'}" for name, flag in
                                  (("AVX2", "avx2"), ("AVX-512", "avx512f"), ("AVX-512 BF16", "avx512_bf16"), ("AMX", "amx_tile"))),
        "system": f"Linux {platform.release()}, {output_of('c++', '--version').splitlines()[0]}, "
                  f"{pathlib.Path(tcmalloc()).resolve().name if tcmalloc() else 'no tcmalloc'}",
        "PyTorch": output_of(options.python, "-c", versions),
        "gi": output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        **({"GPU": output_of("nvidia-smi", "-L")} if options.device == "cuda" else {}),
    }


def plan(results, rows):
    """(round, setting) of the rows, in the order they are measured."""
    needed = {}
    for row in rows:
        for setting in row.settings():
            needed[setting] = max(needed.get(setting, 0), results.rounds(row))
    for turn in range(results.options.rounds):
        for model in NAMES:
            group = [s for s in needed if s.model == model and needed[s] > turn]
            for setting in group if turn % 2 == 0 else reversed(group):
                if turn == 0 or not results.out_of_race(setting):
                    yield str(turn + 1), setting


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="rows to measure, as --list names them; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="whose rows")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--gi", default=str(ROOT / "build/release/bin/gi_bench_iteration"))
    cache = pathlib.Path(os.environ.get("GI_PEERS") or
                         pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "gi/peers")
    parser.add_argument("--python", default=str(cache / "bin/python"), help="of the environment setup.sh made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement")
    parser.add_argument("--compile-limit", type=int, default=600, help="seconds after which a compiled form counts as failed")
    parser.add_argument("--processors", type=lambda s: [int(p) for p in s.split(",")],
                        default=sorted(os.sched_getaffinity(0))[::-1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--output", default="comparison")
    parser.add_argument("--compiled", type=pathlib.Path, help="folder for what PyTorch compiles, kept; default: one for this run")
    parser.add_argument("--resume", action="store_true", help="keep what OUTPUT.json holds; measure what is missing or failed")
    options = parser.parse_args()
    options.all_rows = GPU_ROWS if options.device == "cuda" else ROWS
    if unknown := set(options.rows) - {row.name for row in options.all_rows}:
        parser.error(f"no such row: {' '.join(sorted(unknown))}; --list names them")
    options.keep_compiled = options.compiled is not None
    options.compiled = (options.compiled or beside(options.output, ".compiled")).resolve()
    return options


def main():
    options = arguments()
    rows = [row for row in options.all_rows if not options.rows or row.name in options.rows]
    if options.clock == "cpu" or len(options.processors) < 2:
        rows = [row for row in rows if all(s.threads <= 1 for s in row.settings())]
    if options.list:
        print("\n".join(f"{row.name:28} {row.section}; {row.what}" for row in rows))
        return 0
    results, header = Results(options, rows), machine(options)
    stored = beside(options.output, ".json")
    if options.resume and stored.exists():
        before = json.loads(stored.read_text())
        for key in ("processor", "PyTorch"):
            if before["header"][key] != header[key]:
                raise SystemExit(f"compare.py: {stored} was measured with {before['header'][key]}, this is {header[key]}")
        results.measurements = {key: {turn: m for turn, m in turns.items() if "error" not in m}
                                for key, turns in before["measurements"].items()}
        results.rows = [row for row in options.all_rows if row in rows or row.name in {r["name"] for r in before["rows"]}]
    elif not options.keep_compiled:
        shutil.rmtree(options.compiled, ignore_errors=True)

    try:
        for turn, setting in plan(results, rows):
            turns = results.measurements.setdefault(str(setting), {})
            if turn in turns or results.error(setting):
                continue
            load = os.getloadavg()[0]
            turns[turn] = measurement = {**measure(setting, options), "load_average": load}
            loads = [m["load_average"] for rounds in results.measurements.values() for m in rounds.values()]
            header.update({"command": shlex.join(sys.argv), "date": str(datetime.date.today()),
                           "rounds": f"{options.rounds}, load average {min(loads):.1f} to {max(loads):.1f}"})
            results.write(header)
            figure = measurement.get("error") or f"{1e3 * measurement['seconds_per_iteration'] / measurement['trials']:.3g} ms"
            print(f"round {turn}/{options.rounds}  {setting}: {figure}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on", file=sys.stderr)
        return 130
    print(results.write(header))
    if not options.keep_compiled:
        shutil.rmtree(options.compiled, ignore_errors=True)
    return 1 if any(results.verdict(row) not in ("", "reached") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
