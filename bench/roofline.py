#!/usr/bin/env python3
"""Draws what gi_bench measured under the ceilings it measured, as an SVG that names a point when the mouse is over it.

    gi_bench --filter='f32x1/resnet18' --benchmark_out=new.json
    bench/roofline.py new.json roofline.svg [--filter REGEX] [--device cpu|cuda]

A point is a row of kernels: operations per byte (each operand read or written once) against GFLOP/s, the best of its repetitions.
Lines are the bandwidths of the levels of memory and the rate of multiply-adds: of the CPU, or of the device where rows of one were
measured.
"""
import argparse
import html
import json
import math
import pathlib
import re

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 1000, 640, 70, 60, 50, 230
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#666666"]  # told apart by everybody
FAMILIES = ["conv2d", "matmul", "winograd", "elementwise", "batchnorm", "pool", "reduce", "other"]


def family(name):
    op, kernel = name.split("/")[:2]
    if kernel in ("blocks", "cuda_patterns"):  # single elementwise ops are rows of their own names
        return "elementwise"
    if op.startswith(("conv2d", "matmul", "winograd", "elementwise", "batchnorm")):
        return next(f for f in FAMILIES if op.startswith(f))
    if op.startswith(("avg_pool", "max_")):
        return "pool"
    return "reduce" if op in ("dot", "sum_to") else "other"


def read(path, wanted, device):
    try:
        content = json.loads(pathlib.Path(path).read_text())
        context, points = content["context"], {}
        on_device = "device" in context if device is None else device == "cuda"
        for row in content["benchmarks"]:
            name = row["run_name"]
            if row.get("run_type") != "iteration" or row.get("error_occurred"):
                continue  # an aggregate, or a row that was skipped
            if name.startswith("iteration/") or name.endswith("/manual_time") != on_device or not re.search(wanted, name):
                continue
            # Rates over all runs of a row; the best run did as much in least_seconds / best_share.
            seconds = row["real_time" if on_device else "cpu_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[row["time_unit"]]
            flops, bytes_ = row["gflops"] * seconds, row["gbytes"] * seconds  # in 1e9
            if flops <= 0 or bytes_ <= 0:
                continue
            rate = flops / (row["least_seconds"] / row["best_share"])
            points[name] = max(points.get(name, (0, 0)), (rate, flops / bytes_))
        prefix = "device ceiling " if on_device else "ceiling "
        ceilings = {key.removeprefix(prefix): float(value) for key, value in context.items() if key.startswith(prefix)}
        if not ceilings:
            raise KeyError(f"{prefix}...")
    except (OSError, ValueError, KeyError, TypeError, re.error) as error:
        raise SystemExit(f"roofline.py: error: {path}: no output of gi_bench: {error!r}")
    if not points:
        raise SystemExit(f"roofline.py: error: {path}: no row of a kernel matches '{wanted}'")
    return context.get("device" if on_device else "isa", ""), ceilings, points


class Axis:
    """Decades onto pixels."""

    def __init__(self, low, high, first, last):
        self.low, self.high, self.first, self.last = math.floor(math.log10(low)), math.ceil(math.log10(high)), first, last

    def at(self, value):
        return self.first + (math.log10(value) - self.low) / (self.high - self.low) * (self.last - self.first)

    def decades(self):
        return [10.0**e for e in range(self.low, self.high + 1)]


def draw(machine, ceilings, points):
    peaks = {key: value for key, value in ceilings.items() if key.endswith("GFLOP/s")}
    bandwidths = {key: value for key, value in ceilings.items() if key.endswith("GB/s")}
    rates, intensities = [rate for rate, _ in points.values()], [i for _, i in points.values()]
    x = Axis(min(intensities) / 1.5, max(max(intensities), 10) * 1.5, LEFT, WIDTH - RIGHT)
    y = Axis(min(rates) / 1.5, max(peaks.values()) * 1.5, HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="28" font-size="17">{len(points)} kernels under the ceilings of this machine ({html.escape(machine)})</text>']

    def line(x1, y1, x2, y2, style):
        out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')

    for value in x.decades():
        line(x.at(value), TOP, x.at(value), HEIGHT - BOTTOM, 'stroke="#eee"')
        out.append(f'<text x="{x.at(value):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:g}</text>')
    for value in y.decades():
        line(LEFT, y.at(value), WIDTH - RIGHT, y.at(value), 'stroke="#eee"')
        out.append(f'<text x="{LEFT - 8}" y="{y.at(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 18}" text-anchor="middle">operations per byte</text>')
    out.append(f'<text x="20" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 20 {HEIGHT / 2})">GFLOP/s</text>')

    least, most = 10.0**x.low, 10.0**x.high
    for name, peak in sorted(peaks.items(), key=lambda p: -p[1]):
        first = max(least, peak / max(bandwidths.values(), default=peak / least))
        line(x.at(min(first, most)), y.at(peak), x.at(most), y.at(peak), 'stroke="#333"')
        out.append(f'<text x="{x.at(most) + 6:.1f}" y="{y.at(peak) + 4:.1f}">{html.escape(name)} {peak:.0f}</text>')
    top = max(peaks.values())
    for name, bandwidth in bandwidths.items():
        begin, end = max(least, 10.0**y.low / bandwidth), min(most, top / bandwidth)
        if begin < end:
            line(x.at(begin), y.at(begin * bandwidth), x.at(end), y.at(end * bandwidth), 'stroke="#999" stroke-dasharray="5 3"')
            out.append(f'<text x="{x.at(begin) + 4:.1f}" y="{y.at(begin * bandwidth) - 6:.1f}" font-size="11" fill="#555">'
                       f'{html.escape(name.split()[0])} {bandwidth:.0f} GB/s</text>')

    used = {family(name) for name in points}
    for name, (rate, intensity) in sorted(points.items()):
        colour = COLOURS[FAMILIES.index(family(name))]
        out.append(f'<circle cx="{x.at(intensity):.1f}" cy="{y.at(rate):.1f}" r="4" fill="{colour}" fill-opacity="0.6">'
                   f'<title>{html.escape(name)}: {rate:.1f} GFLOP/s, {intensity:.3g} a byte</title></circle>')
    for i, name in enumerate(f for f in FAMILIES if f in used):
        at = HEIGHT - BOTTOM - 20 * i - 10
        out.append(f'<circle cx="{WIDTH - RIGHT + 30}" cy="{at}" r="5" fill="{COLOURS[FAMILIES.index(name)]}"/>'
                   f'<text x="{WIDTH - RIGHT + 42}" y="{at + 4}">{name}</text>')
    out.append("</svg>\n")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured")
    parser.add_argument("picture")
    parser.add_argument("--filter", default="", help="only rows whose names match this regular expression")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="whose rows; default: cuda where the file has some")
    options = parser.parse_args()
    machine, ceilings, points = read(options.measured, options.filter, options.device)
    pathlib.Path(options.picture).write_text(draw(machine, ceilings, points))
    print(f"{options.picture}: {len(points)} kernels")


if __name__ == "__main__":
    main()
