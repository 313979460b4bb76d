"""The front end of gpu_day.sh: options, stages in turn, exit code."""
import argparse
import os
import pathlib
import signal
import sys

import profile_kernels
import stages
from runner import ROOT, Runner, Step, by_exit_code, say

STAGES = {"check": stages.check, "bench": stages.bench, "peers": stages.peers, "profile": profile_kernels.stage}
STAGE_SECONDS, ALL_SECONDS = 9 * 60 - 15, 25 * 60 - 15  # the rest: to start, and to end what is cut off


def built_programs():
    found = [ROOT / "bin", *sorted(ROOT.glob("build/*/bin")), ROOT / "build/bin"]
    return next((folder for folder in found if (folder / "gi_test_device").exists()), ROOT / "build/release/bin")


def arguments():
    parser = argparse.ArgumentParser(prog="gpu_day.sh", description="What a day with a GPU is for.")
    parser.add_argument("stage", choices=[*STAGES, "all"])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/gpu_day")
    parser.add_argument("--limit", type=float, help="seconds for all that is asked for")
    parser.add_argument("--again", action="store_true", help="run finished steps again")
    parser.add_argument("--bin", type=pathlib.Path, default=built_programs(), help="folder of gi's programs")
    parser.add_argument("--python", default=sys.executable, help="the Python that has PyTorch and JAX")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    data = os.environ.get("GI_DATA") or (ROOT / "data" if (ROOT / "data").is_dir() else ROOT / "../shared/data")
    options.data = pathlib.Path(data).resolve()
    return options


def find_device(runner, options):
    """What the tests themselves find, in every call: results may have been begun where there was none."""
    name = "check: a CUDA device"
    program = options.bin / "gi_test_device"

    def read(output, code):
        for line in output.splitlines():
            if line.startswith("[gi: skipped] "):
                return "skipped", line.removeprefix("[gi: skipped] "), {}
            if line.startswith("device: ") and code == 0:
                return "passed", line.removeprefix("device: "), {}
        return by_exit_code(output, code or 1)

    runner.results.pop(name, None)
    missing = None if program.exists() else f"no CUDA device: {program} is not built, which looks for it"
    result = runner.run(Step(name, [program, "a difference in one bit is found, one of NaNs is none".replace(",", "\\,")], 60, read,
                             device=False, missing=missing))
    if result["status"] != "passed":
        runner.no_device = result["note"] if "no CUDA device" in result["note"] else f"no CUDA device: {result['note']}"


def main():
    options = arguments()
    seconds = options.limit or (ALL_SECONDS if options.stage == "all" else STAGE_SECONDS)
    os.environ["GI_DATA"] = str(options.data)

    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    asked = tuple(STAGES) if options.stage == "all" else (options.stage,)
    runner = Runner(options.out, seconds, options.again)
    try:
        runner.header.update(stages.facts(options))
        runner.begin_stage(STAGE_SECONDS)
        find_device(runner, options)
        for name in asked:
            runner.begin_stage(STAGE_SECONDS)
            STAGES[name](runner, options)
    except KeyboardInterrupt:
        runner.write()
        print(f"interrupted; the same command goes on. {runner.out}/1-summary.md", file=sys.stderr)
        return 130
    statuses = {result["status"] for name, result in runner.results.items() if name.partition(":")[0] in asked}
    say(f"{runner.out}/1-summary.md")
    if runner.no_device:
        print(runner.no_device, file=sys.stderr)
        return 3
    return 1 if {"FAILED", "too slow"} & statuses else 0


if __name__ == "__main__":
    sys.exit(main())
