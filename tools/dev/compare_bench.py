#!/usr/bin/env python3
"""Compares what gi_bench measured with a stored baseline; exits 1 if anything became slower.

    gi_bench --benchmark_repetitions=5 --benchmark_out=new.json --filter=...
    tools/dev/compare_bench.py new.json bench/baselines/NAME.json
    tools/dev/compare_bench.py new.json --store bench/baselines/NAME.json     make new.json the baseline

Machines differ, so shares of the ceiling are compared, the best of the repetitions, since other programs on a machine only make
things slower: a row is slower where its share is less than the baseline's by more than the noise band. Rows that are mostly the
cost of a call are left out, and so is what only one side has, but for rows of the baseline that --filter would have measured:
those are listed as missing. Rows of the CPU are compared with those of the same instruction set, rows of a device
(".../manual_time") with those of the same device, where both sides have some.
"""
import argparse
import json
import pathlib
import re
import sys

CALL_SECONDS = 1e-7  # as kCallSeconds of bench/table.h


class Measured:
    def __init__(self, path):
        try:
            content = json.loads(pathlib.Path(path).read_text())
            self.context = content["context"]
            self.machines = {kind: self.context[kind] for kind in ("isa", "device") if kind in self.context}
            if not self.machines:
                raise KeyError("isa")
            shares, least = {}, {}
            for row in content["benchmarks"]:
                if row.get("run_type") == "iteration" and not row.get("error_occurred"):
                    name = row["run_name"]
                    shares[name] = max(shares.get(name, 0), row["best_share"])
                    least[name] = row["least_seconds"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"compare_bench.py: error: {path}: no output of gi_bench: {error!r}")
        self.shares = {name: share for name, share in shares.items() if least[name] >= CALL_SECONDS}
        self.least = least

    @staticmethod
    def kind(name):
        return "device" if name.endswith("/manual_time") else "isa"

    def store(self, path):
        """One line a row, in the form that is read."""
        context = {key: value for key, value in self.context.items() if key in self.machines or "ceiling " in key}
        rows = [json.dumps({"run_name": name, "run_type": "iteration", "best_share": round(share, 4), "least_seconds": self.least[name]})
                for name, share in sorted(self.shares.items())]
        text = ",\n".join(rows)
        pathlib.Path(path).write_text(f'{{"context": {json.dumps(context)},\n"benchmarks": [\n{text}\n]}}\n')
        print(f"{path}: {len(rows)} rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("new")
    parser.add_argument("baseline", nargs="?")
    parser.add_argument("--band", type=float, default=0.10, help="differences that are noise, as a part of the baseline's share")
    parser.add_argument("--filter", default="", help="rows of the baseline to look for: what gi_bench was given")
    parser.add_argument("--store", metavar="FILE", help="write `new` as a baseline instead")
    options = parser.parse_args()
    if (options.baseline is None) == (options.store is None):
        parser.error("give either a baseline or --store")
    new = Measured(options.new)
    if options.store:
        new.store(options.store)
        return 0
    old = Measured(options.baseline)
    both = new.machines.keys() & old.machines.keys()
    if not both or any(new.machines[kind] != old.machines[kind] for kind in both):
        measured = [", ".join(m.machines.values()) for m in (new, old)]
        raise SystemExit(f"compare_bench.py: error: {options.new} was measured with {measured[0]}, {options.baseline} with {measured[1]}")

    wanted = {name: share for name, share in old.shares.items() if new.kind(name) in both and re.search(options.filter, name)}
    slower, faster, missing = [], [], []
    for name, share in wanted.items():
        if name not in new.shares:
            missing.append(name)
            continue
        ratio = new.shares[name] / share
        line = f"{ratio:6.2f} x  {100 * share:5.1f}% -> {100 * new.shares[name]:5.1f}%  {name}"
        if ratio < 1 - options.band:
            slower.append((ratio, line))
        elif ratio > 1 + options.band:
            faster.append((-ratio, line))
    for title, lines in (("slower", [line for _, line in sorted(slower)]), ("faster", [line for _, line in sorted(faster)]),
                         ("missing", missing)):
        if lines:
            print(title, *lines, sep="\n  ")
    compared = len(wanted) - len(missing)
    print(f"{compared} rows compared within {100 * options.band:.0f} %: {len(slower)} slower, {len(faster)} faster; {len(missing)} missing")
    if compared == 0:
        raise SystemExit("compare_bench.py: error: nothing to compare")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
