"""Steps: programs that are given so long, and whose results are kept as soon as they are there."""
import datetime
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Callable, NamedTuple, Optional

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where tools of the toolkit are that need not be on PATH.
TOOLKIT = ("/usr/local/cuda/bin", "/opt/nvidia/nsight-compute", "/usr/local/cuda/compute-sanitizer")
FILES = ("1-summary.md", "2-results.json", "3-log.txt", "4-bench.json", "5-roofline.svg", "6-peers.json", "6-peers.md",
         "7-profile.txt")  # all there may be, the most important first
PART = ".part"
LOG_BYTES, STEP_BYTES, LEAST_STEP_BYTES = 14 * 2**20, 2**19, 2**13
FINISHED = ("passed", "FAILED", "too slow")


class Skip(Exception):
    """A step is not possible here: the reason."""


class Step(NamedTuple):
    name: str  # "STAGE: what"
    command: list
    limit: float  # seconds
    read: Callable  # (output, exit code) -> (status, note, {figure: value}); may raise Skip
    least: float = 5  # seconds without which it is not begun
    device: bool = True  # it needs one
    environment: dict = {}
    missing: Optional[str] = None  # why it cannot be run at all


def program(name):
    """Its path. Errors Skip: it is not installed."""
    for folder in (None, *TOOLKIT):
        if found := shutil.which(name, path=folder):
            return found
    raise Skip(f"{name} is not here")


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"


def by_exit_code(output, code):
    if code == 0:
        return "passed", "", {}
    return ("skipped" if code in (3, 77) else "FAILED"), f"exit code {code}: {last_line(output)}", {}


def last_json(output):
    """The object in the last line that is one. Errors ValueError: none."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise ValueError(f"no JSON: {last_line(output)}")


def write_whole(path, text):
    part = path.parent / PART
    part.write_text(text)
    part.replace(path)


class Runner:
    def __init__(self, out, seconds, again=False):
        self.out, self.again = pathlib.Path(out).resolve(), again
        self.end = time.monotonic() + seconds
        self.stage_end = self.end
        self.no_device = None  # the reason
        self.header, self.results, self.ran = {}, {}, []
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / PART).unlink(missing_ok=True)
        # For what steps hand on to others, and caches.
        self.work = pathlib.Path(tempfile.gettempdir()) / f"gi_gpu_day_{os.getuid()}"
        self.work.mkdir(exist_ok=True)
        try:
            before = json.loads((self.out / FILES[1]).read_text())
            self.header, self.results = before["header"], before["steps"]
        except (OSError, ValueError, KeyError):
            pass

    def begin_stage(self, seconds):
        self.stage_end = min(self.end, time.monotonic() + seconds)

    def left(self):
        return self.stage_end - time.monotonic()

    def run(self, step):
        """The result, after it is written. A finished step is not run again, but for --again."""
        before = self.results.get(step.name)
        if before and before["status"] in FINISHED and not (self.again and step.name not in self.ran):
            return before
        self.ran.append(step.name)
        if reason := (step.device and self.no_device) or step.missing:
            return self.keep(step, "skipped", reason)
        if self.left() < step.least:
            return self.keep(step, "skipped", "no time left")
        return self.execute(step)

    def execute(self, step):
        limit = min(step.limit, self.left())
        begin = time.monotonic()
        environment = {**os.environ, **step.environment}
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(list(map(str, step.command)), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                           env=environment, cwd=ROOT, start_new_session=True)
            except OSError as error:
                return self.keep(step, "skipped", f"{step.command[0]}: {error.strerror}")
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            except KeyboardInterrupt:
                self.stop(process)
                self.keep(step, "interrupted", "", output=self.text(output), seconds=time.monotonic() - begin)
                raise
            self.stop(process)
            text, seconds = self.text(output), time.monotonic() - begin
        if code is None:
            status, note = ("too slow", f"cut off after {limit:.0f} s") if limit == step.limit else ("no time", "cut off at the end of the time given")
            return self.keep(step, status, f"{note}; {last_line(text)}", output=text, seconds=seconds)
        try:
            status, note, figures = step.read(text, code)
        except Skip as reason:
            status, note, figures = "skipped", str(reason), {}
        except (ValueError, KeyError, TypeError) as error:
            status, note, figures = "FAILED", f"exit code {code}, output not understood: {error!r}"[:300], {}
        return self.keep(step, status, note, figures, text, seconds)

    @staticmethod
    def stop(process):
        """It and what it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            if number == signal.SIGTERM:
                try:
                    process.wait(2)
                except subprocess.TimeoutExpired:
                    pass
        process.wait()

    @staticmethod
    def text(output):
        output.seek(0)
        return output.read().decode(errors="replace")

    def keep(self, step, status, note, figures=None, output="", seconds=0.0):
        result = {"status": status, "note": note, "figures": figures or {}, "seconds": round(seconds, 1),
                  "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                  "command": shlex.join(map(str, step.command))}
        self.results[step.name] = result
        log = self.out / FILES[2]
        room = LOG_BYTES - (log.stat().st_size if log.exists() else 0)
        room = STEP_BYTES if room > 8 * STEP_BYTES else LEAST_STEP_BYTES if room > LEAST_STEP_BYTES else 0
        if len(output) > room:
            output = f"{output[:room // 4]}\n[... {len(output) - room} characters ...]\n{output[len(output) - 3 * room // 4:]}"
        if room:
            with log.open("a") as file:
                file.write(f"==== {step.name}: {status}, {seconds:.1f} s\n$ {result['command']}\n{output.rstrip()}\n\n")
        self.write()
        say(f"{status:12} {seconds:6.1f} s  {step.name}  {note}")
        return result

    def write(self):
        counts = {}
        for result in self.results.values():
            counts[result["status"]] = counts.get(result["status"], 0) + 1
        lines = ["# A day with a GPU", "", *(f"- {key}: {value}" for key, value in self.header.items()),
                 f"- steps: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}", "",
                 "| step | | key numbers, or why not | s |", "|---|---|---|---|"]
        for name, result in self.results.items():
            figures = ", ".join(f"{key} {shown(value)}" for key, value in result["figures"].items() if not isinstance(value, (dict, list)))
            text = "; ".join(filter(None, (figures, result["note"]))).replace("|", "/").replace("\n", " ")
            lines.append(f"| {name} | {result['status']} | {text} | {result['seconds']:.0f} |")
        write_whole(self.out / FILES[0], "\n".join(lines) + "\n")
        write_whole(self.out / FILES[1], json.dumps({"header": self.header, "steps": self.results}, indent=1) + "\n")


def say(line):
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody reads: the results are in files
        sys.stdout = open(os.devnull, "w")


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else value
