#!/usr/bin/env python3
"""Checks that what is timed here is the attack, and the same attack on both sides.

    ~/.cache/gi/peers/bin/python bench/peers/golden.py [--gi build/release/bin/gi_invert] [--jax] [PART...]

First networks.py against the stored float64 values of the data; then, with --gi, every network that has no stored values:
gi_invert --evaluate on PyTorch's weights and gradient, in float64; with --jax, what jax_iteration.py differentiates. Batch normalisation has statistics of real use. Float32 is
shown, not judged, for those are ReLU networks: rounding flips decisions on either side. PART: only cases with that in the name.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch

import networks

BOUND = 1e-10  # of the stored values; relative, norm of the difference over norm
GI_BOUND = {"eval": 1e-9, "train": 1e-8}
MODELS = {"LeNetZhu": "lenetzhu", "ConvNet": "convnet64", "ResNet20": "resnet20"}


def relative(value, expected):
    return ((value.detach() - expected).norm() / expected.norm()).item()


def derivatives(model, x_true, x, labels):
    """({quantity: value}, received gradient): all that an iteration at x computes."""
    loss_true, target = networks.loss_gradient(model, x_true, labels)
    target = [t.detach() for t in target]
    x = x.clone().requires_grad_()
    loss, gradient = networks.loss_gradient(model, x, labels, create_graph=True)
    found = {
        "loss_true": loss_true,
        "loss": loss,
        "grad_norms_true": torch.stack([t.norm() for t in target]),
        "grad_norms": torch.stack([g.norm() for g in gradient]),
    }
    for name in ("cosine_distance", "l2_distance"):
        found[name] = getattr(networks, name)(gradient, target)
        found[f"d_{name}_d_x"] = torch.autograd.grad(found[name], x, retain_graph=True)[0]
    found["total_variation"] = networks.total_variation(x)
    found["d_total_variation_d_x"] = torch.autograd.grad(found["total_variation"], x)[0]
    return found, target


def fixed_statistics(model):
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    return model


def report(name, errors, bound):
    """Whether all are within the bound; a NaN is not."""
    good = all(error <= bound for error in errors.values())
    print(f"{'ok    ' if good else 'FAILED'} {name} (bound {bound:g})")
    for quantity, error in errors.items():
        print(f"         {quantity:24} {error:.2e}", flush=True)
    return good


def stored_case(path):
    stored, metadata = networks.read_safetensors(path)
    model = fixed_statistics(networks.network(MODELS[metadata["network"]], torch.float64, metadata["mode"]))
    found, _ = derivatives(model, stored["x_true"], stored["x"], stored["labels"])
    errors = {name: relative(value.reshape(stored[name].shape), stored[name]) for name, value in found.items()}
    return report(f"{path.name}, {metadata['mode']} mode", errors, BOUND)


def gi_case(gi, name, mode):
    _, _, _, size = networks.NETWORKS[name]
    model = networks.network(name, torch.float64, "train")
    count = 1 if mode == "eval" else 2
    x_true, x = torch.randn((2, count, 3, size, size), dtype=torch.float64)
    model(torch.randn((2, 3, size, size), dtype=torch.float64))  # running statistics that are not 0 and 1
    model = fixed_statistics(model.train(mode == "train"))
    labels = torch.arange(count) + 3
    expected, target = derivatives(model, x_true, x, labels)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        state = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
        networks.write_safetensors(folder / "weights", state)
        networks.write_safetensors(folder / "gradient", dict(zip((key for key, _ in model.named_parameters()), target)))
        networks.write_safetensors(folder / "x", {"x": x})
        for dtype in ("f64", "f32"):
            subprocess.run([gi, "--model", name, "--mode", mode, "--weights", folder / "weights", "--gradient", folder / "gradient",
                            "--shape", f"{count}x3x{size}x{size}", "--labels", ",".join(map(str, labels.tolist())),
                            "--evaluate", folder / "x", "--dtype", dtype, "--output", folder / "out"],
                           check=True, stdout=subprocess.DEVNULL)
            found, _ = networks.read_safetensors(folder / "out/evaluation.safetensors")
            errors = {key: relative(value.double().reshape(expected[key].shape), expected[key]) for key, value in found.items()}
            good &= report(f"gi and PyTorch: {name}, {mode} mode, {dtype}", errors,
                           GI_BOUND[mode] if dtype == "f64" else float("inf"))
    return good


def jax_case(name, mode):
    import jax

    import jax_iteration
    jax.config.update("jax_enable_x64", True)
    _, _, _, size = networks.NETWORKS[name]
    model = fixed_statistics(networks.network(name, torch.float64, mode))
    count = 1 if mode == "eval" else 2
    x_true, x = torch.randn((2, count, 3, size, size), dtype=torch.float64)
    labels = torch.arange(count) + 3
    expected, target = derivatives(model, x_true, x, labels)
    device = jax.devices("cpu")[0]
    cost, held = jax_iteration.objective(model, target, labels, device)
    value, gradient = jax.jit(jax.value_and_grad(cost))(jax_iteration.array(x, device), held)
    both = [expected[f"{prefix}cosine_distance{by}"] + jax_iteration.TV * expected[f"{prefix}total_variation{by}"]
            for prefix, by in (("", ""), ("d_", "_d_x"))]
    found = (torch.tensor(value.item(), dtype=torch.float64), torch.tensor(jax.device_get(gradient)))
    errors = {what: relative(f, e) for what, f, e in zip(("cost", "d_cost_d_x"), found, both)}
    return report(f"JAX and PyTorch: {name}, {mode} mode, f64", errors, GI_BOUND[mode])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--gi", help="the program gi_invert")
    parser.add_argument("--jax", action="store_true", help="JAX's networks and objective too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored = sorted((networks.data_folder() / "weights/golden").glob("*_matching_*.safetensors"))
    cases = [(path.name, lambda path=path: stored_case(path)) for path in stored]
    if options.gi:
        cases += [(f"{name} {mode}", lambda name=name, mode=mode: gi_case(options.gi, name, mode))
                  for name, (_, _, file, _) in networks.NETWORKS.items() if file is None for mode in ("eval", "train")]
    if options.jax:
        cases += [(f"jax {name} {mode}", lambda name=name, mode=mode: jax_case(name, mode))
                  for name in networks.NETWORKS for mode in ("eval", "train")]
    chosen = [case for name, case in cases if not options.parts or any(part in name for part in options.parts)]
    results = [case() for case in chosen]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
