#!/usr/bin/env python3
"""How good the reconstructions are: drives gi_invert over a fixed protocol on CIFAR-10 and writes one table.

    bench/quality/run.py --output quality [--only lenetzhu ...] [--gi build/release/bin/gi_invert]

Every run of gi_invert has its own folder under OUTPUT/runs; a finished one is kept, a killed one is resumed, so the same command
goes on where it stopped. --impl runs it with other kernels, and --against OTHER pairs its images with those of a run in another folder:

    bench/quality/run.py --output f32 --only resnet20-trained --seeds 1 2 3 4
    bench/quality/run.py --output bf16x3 --only resnet20-trained --seeds 1 2 3 4 --impl products=bf16x3 --against f32

OUTPUT/quality.md and OUTPUT/quality.json, written after every run, hold whatever is finished. Exit
code 1: a mean below what is required. Data: GI_DATA, or ../shared/data beside the repository.
"""
import argparse
import csv
import datetime
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST30, FIRST100 = list(range(30)), list(range(100))

# seeds: runs of all images, each from other start noise. peer: per-image results of the authors' program on the same network.
EXPERIMENTS = {
    "lenetzhu": dict(
        title="LeNetZhu, seed-42 weights, test images 0..29", model="lenetzhu",
        weights="weights/untrained/lenetzhu_seed42.safetensors",
        images=FIRST30, seeds=[1, 2, 3, 4], tv="1e-2", steps=4800, required=22.8, peer="peers/lenetzhu_seed42_psnr.csv",
        beside="authors' program 23.07 ± 3.29 (one seed)"),
    "lenetzhu-fresh": dict(
        title="LeNetZhu, a fresh random network an image, test images 0..99", model="lenetzhu", weights=None,
        images=FIRST100, seeds=[1], tv="1e-2", steps=4800, beside="published 18.00 ± 3.33"),
    "convnet64": dict(
        title="ConvNet64, seed-42 weights, test images 0 and 1", model="convnet64",
        weights="weights/untrained/convnet_seed42.safetensors",
        images=[0, 1], seeds=[1], tv="1e-6", steps=4000, required=25.8, peer={0: 29.46, 1: 24.17},
        beside="authors' program 26.82 (29.46, 24.17)"),
    "resnet20-trained": dict(
        title="ResNet20, trained, six test images", model="resnet20-a",
        weights="weights/resnet_cifar10/resnet20-12fca82f.safetensors",
        images=[58, 59, 52, 35, 61, 95], seeds=[1], tv="1e-2", steps=4800, required=13.6, peer="peers/resnet20_trained_psnr.csv",
        beside="authors' program 14.38, a flat image 14.87", normalization="resnet20-a"),
}


def t_quantile(degrees):
    """Of Student's distribution at 97.5 %: Cornish-Fisher expansion about the normal one, within 0.2 % from 5 degrees on."""
    z, n = 1.959963984540054, degrees
    return (z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3))


def interval(values):
    """Half the width of the 95 % interval of their mean; None for too few."""
    if len(values) < 6:
        return None
    return t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


class Protocol:
    def __init__(self, options, data):
        self.options, self.data = options, data
        with open(data / "cifar10/labels.csv", newline="") as file:
            self.pictures = {int(row["index"]): (data / "cifar10" / row["file"], row["label"]) for row in csv.DictReader(file)}

    def command(self, experiment, seed, folder):
        pictures = [self.pictures[i] for i in experiment["images"]]
        command = [str(self.options.gi), *(str(path) for path, _ in pictures), "--labels", ",".join(label for _, label in pictures),
                   "--model", experiment["model"], "--normalization", experiment.get("normalization", "cifar10"), "--mode", "eval",
                   "--lr", "0.1", "--tv", experiment["tv"], "--steps", str(experiment["steps"]), "--restarts", "1",
                   "--seed", str(seed), "--output", str(folder)]
        if self.options.impl:
            command += ["--impl", self.options.impl]
        if experiment["weights"]:
            command += ["--weights", str(self.data / experiment["weights"])]
        else:
            command += ["--fresh-networks"]
        return command

    def folder(self, name, seed):
        return self.options.output / "runs" / f"{name}-seed{seed}"

    def completed(self, name, seed):
        report = self.folder(name, seed) / "report.json"
        return report.exists() and json.loads(report.read_text())["completed"]

    def run(self, name, seed):
        """The report of one run of gi_invert, done now unless it was before."""
        experiment, folder = EXPERIMENTS[name], self.folder(name, seed)
        report, words = folder / "report.json", folder / "command.json"
        command = self.command(experiment, seed, folder)
        plain = command[1:]
        if words.exists() and json.loads(words.read_text()) != plain:
            raise SystemExit(f"quality: {folder} holds a run of other settings; move it away")
        if not self.completed(name, seed):
            resume = ["--resume"] if words.exists() else []
            threads = ["--threads", str(self.options.threads)] if self.options.threads else []  # no part of the result
            folder.mkdir(parents=True, exist_ok=True)
            words.write_text(json.dumps(plain))
            print(f"{datetime.datetime.now():%H:%M:%S} {name}, seed {seed}", file=sys.stderr, flush=True)
            with open(folder / "log.txt", "a") as log:
                code = subprocess.run(command + threads + resume, stdout=log, stderr=log).returncode
            if code != 0:
                raise SystemExit(f"quality: gi_invert ended with {code}, see {folder / 'log.txt'}")
        if not self.completed(name, seed):
            raise SystemExit("quality: interrupted; the same command goes on")
        content = json.loads(report.read_text())
        if len(content["images"]) != len(experiment["images"]):
            raise SystemExit(f"quality: {report} tells of {len(content['images'])} images, expected {len(experiment['images'])}")
        return content

    def peer(self, name):
        if self.options.against:
            other = json.loads((self.options.against / "quality.json").read_text())[name]
            return {int(image): value for image, value in other["psnr_by_image"].items()}
        peer = EXPERIMENTS[name].get("peer")
        if isinstance(peer, str):
            with open(self.data / peer, newline="") as file:
                return {int(row["image"]): float(row["psnr_db"]) for row in csv.DictReader(file)}
        return peer


def summarise(experiment, reports, peer):
    """What the table says of one experiment; a standard deviation is the population's, over images and seeds."""
    images = experiment["images"]
    psnr = {seed: [entry["psnr"] for entry in report["images"]] for seed, report in reports.items()}
    every = [value for values in psnr.values() for value in values]
    each = {image: statistics.fmean(values[i] for values in psnr.values()) for i, image in enumerate(images)}
    first = next(iter(reports.values()))
    result = {
        "mean_psnr": statistics.fmean(every), "std_psnr": statistics.pstdev(every),
        "mean_ssim": statistics.fmean(entry["ssim"] for report in reports.values() for entry in report["images"]),
        "mean_constant_psnr": statistics.fmean(entry["constant_psnr"] for entry in first["images"]),
        "interval_of_mean": interval(list(each.values())),
        "mean_by_seed": {seed: statistics.fmean(values) for seed, values in psnr.items()},
        "psnr_by_image": each,
        "constant_psnr_by_image": {image: first["images"][i]["constant_psnr"] for i, image in enumerate(images)},
        "seconds_per_iteration_per_trial": first["timings"].get("seconds_per_iteration_per_trial"),
        "device": first.get("device"), "plan": first.get("plan"), "revision": first.get("revision"),
    }
    if peer:
        differences = [each[image] - peer[image] for image in images]
        result |= {"peer_psnr_by_image": {image: peer[image] for image in images}, "mean_difference": statistics.fmean(differences),
                   "interval_of_difference": interval(differences)}
    return result


def table(results):
    def signed(value, half, sign="+"):
        return f"{value:{sign}.2f}" + (f" ± {half:.2f}" if half is not None else "")

    lines = ["| experiment | runs | PSNR, mean ± deviation | required | other program | paired difference, 95 % | SSIM "
             "| constant image |",
             "|---|---|---|---|---|---|---|---|"]
    for name, result in results.items():
        experiment = EXPERIMENTS[name]
        required = experiment.get("required")
        verdict = "-" if required is None else f"{required} {'reached' if result['mean_psnr'] >= required else 'MISSED'}"
        difference = signed(result["mean_difference"], result["interval_of_difference"]) if "mean_difference" in result else "-"
        done, seeds = len(result["mean_by_seed"]), len(experiment["seeds"])
        lines.append(f"| {experiment['title']}, TV {experiment['tv']}, {experiment['steps']} iterations | {done}/{seeds} "
                     f"| {result['mean_psnr']:.2f} ± {result['std_psnr']:.2f} | {verdict} | {experiment['beside']} | {difference} "
                     f"| {result['mean_ssim']:.3f} | {result['mean_constant_psnr']:.2f} |")
    for name, result in results.items():
        lines += ["", f"{EXPERIMENTS[name]['title']}: mean by seed "
                  + ", ".join(f"{seed}: {mean:.2f}" for seed, mean in result["mean_by_seed"].items()), ""]
        lines += ["| image | PSNR | other program | constant image |", "|---|---|---|---|"]
        for image, value in result["psnr_by_image"].items():
            peer = result.get("peer_psnr_by_image", {}).get(image)
            lines.append(f"| {image} | {value:.2f} | {'-' if peer is None else f'{peer:.2f}'} "
                         f"| {result['constant_psnr_by_image'][image]:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("quality"))
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--gi", type=pathlib.Path, default=ROOT / "build/release/bin/gi_invert")
    parser.add_argument("--threads", type=int, default=0, help="default: gi_invert's")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of each experiment's own")
    parser.add_argument("--impl", help="gi_invert's option of that name")
    parser.add_argument("--against", type=pathlib.Path, help="another run's folder, instead of the authors' program")
    options = parser.parse_args()
    for name in options.only:
        experiment = EXPERIMENTS[name]
        experiment["seeds"] = options.seeds or experiment["seeds"]
        if options.against:
            experiment["beside"] = f"the run in {options.against}"
    data = pathlib.Path(os.environ.get("GI_DATA") or ROOT / "../shared/data").resolve()
    if not (data / "cifar10/labels.csv").exists():
        raise SystemExit(f"quality: no {data}/cifar10; set GI_DATA")
    protocol, results, reports = Protocol(options, data), {}, {}
    for name in EXPERIMENTS:
        for seed in EXPERIMENTS[name]["seeds"]:
            if name not in options.only and not protocol.completed(name, seed):
                continue
            reports.setdefault(name, {})[seed] = protocol.run(name, seed)
            results[name] = summarise(EXPERIMENTS[name], reports[name], protocol.peer(name))
            (options.output / "quality.json").write_text(json.dumps(results, indent=1) + "\n")
            (options.output / "quality.md").write_text(table(results))
    print(table(results))
    return 1 if any(results[n]["mean_psnr"] < EXPERIMENTS[n].get("required", 0) for n in results) else 0


if __name__ == "__main__":
    sys.exit(main())
