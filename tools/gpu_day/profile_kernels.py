"""The stage profile: where the costliest kernels' time goes, by Nsight Compute, which runs each several times for its counters."""
import csv
import functools
import io
import re

from runner import FILES, Skip, Step, last_line, program, write_whole
from stages import iteration_command, libraries, missing_program

METRICS = {  # column: (metric, how the launches of a kernel are put together)
    "us": ("gpu__time_duration.sum", "sum"),
    "SM %": ("sm__throughput.avg.pct_of_peak_sustained_elapsed", "mean"),
    "DRAM %": ("dram__throughput.avg.pct_of_peak_sustained_elapsed", "mean"),
    "L2 %": ("lts__throughput.avg.pct_of_peak_sustained_elapsed", "mean"),
    "tensor %": ("sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active", "mean"),
    "FMA %": ("sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_active", "mean"),
    "warps %": ("sm__warps_active.avg.pct_of_peak_sustained_active", "mean"),
    "waves": ("launch__waves_per_multiprocessor", "mean"),
    "registers": ("launch__registers_per_thread", "most"),
    "bank conflicts": ("l1tex__data_bank_conflicts_pipe_lsu.sum", "sum"),
}
COSTLIEST, LAUNCHES = 5, 700
CASES = (("resnet18-imagenet", 1), ("resnet20", 16), ("lenetzhu", 64))


def number(text):
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return float("nan")


def by_kernel(text):
    """[(kernel, launches, {column: value})], the costliest first, of ncu's `--csv --page raw`. Errors Skip: nothing was profiled."""
    begin = text.find('"ID"')
    if begin < 0:
        raise Skip(f"ncu refuses: {last_line(text)}")
    rows = [row for row in csv.DictReader(io.StringIO(text[begin:])) if row.get("ID", "").isdigit()]  # below the names: units
    launches = {}
    for row in rows:
        launches.setdefault(re.sub(r"\(.*", "", row["Kernel Name"]).split("::")[-1], []).append(row)
    kernels = []
    for name, found in launches.items():
        figures = {}
        for column, (metric, together) in METRICS.items():
            values = [number(row.get(metric, "")) for row in found]
            figures[column] = max(values) if together == "most" else sum(values) / (1 if together == "sum" else len(values))
        figures["us"] /= 1e3  # base units: ns
        kernels.append((name, len(found), figures))
    if not kernels:
        raise Skip(f"ncu profiled nothing: {last_line(text)}")
    return sorted(kernels, key=lambda kernel: -kernel[2]["us"])


def report(runner, title, output, code):
    kernels = by_kernel(output)
    total = sum(figures["us"] for _, _, figures in kernels)
    lines = [f"{title}: {sum(count for _, count, _ in kernels)} launches, {total:.0f} us of kernels",
             f"{'kernel':44} {'launches':>8} {'share':>6} " + " ".join(f"{column:>14}" for column in METRICS)]
    for name, count, figures in kernels[:COSTLIEST]:
        lines.append(f"{name[:44]:44} {count:8} {100 * figures['us'] / total:5.1f}% " + " ".join(f"{v:14.4g}" for v in figures.values()))
    path = runner.out / FILES[7]
    others = [part for part in (path.read_text().split("\n\n") if path.exists() else []) if part.strip() and not part.startswith(f"{title}:")]
    write_whole(path, "\n\n".join([*others, "\n".join(lines)]).rstrip("\n") + "\n")
    name, _, figures = kernels[0]
    return "passed", f"costliest {name}", {"its share": figures["us"] / total, "kernels us": total,
                                           "kernels": [[n, c, f] for n, c, f in kernels[:COSTLIEST]]}


def stage(runner, options):
    try:
        profiler, missing = program("ncu"), missing_program(options.bin / "gi_bench_iteration")
    except Skip as reason:
        profiler, missing = "ncu", str(reason)
    for model, trials in CASES:
        title = f"{model}, {trials} trials"
        # Two iterations: the plain one, and the one that is recorded and replayed.
        command = [profiler, "--clock-control", "none", "--csv", "--page", "raw", "--print-units", "base", "--launch-count", LAUNCHES,
                   "--metrics", ",".join(metric for metric, _ in METRICS.values()),
                   *iteration_command(options, model, trials, 0.01), "--steps", 1, "--blocks", 1]
        runner.run(Step(f"profile: {title}", command, 170, functools.partial(report, runner, title), missing=missing, least=20,
                        environment=libraries(options)))
