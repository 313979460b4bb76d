#!/usr/bin/env python3
"""Checks networks.py against the stored float64 values: what is timed here is the attack that those values describe.

    ~/.cache/gi/peers/bin/python bench/peers/golden.py [FILE...]     default: every *_matching_* file of the data
"""
import sys

import torch

import networks

BOUND = 1e-10  # relative, norm of the difference over norm
MODELS = {"LeNetZhu": "lenetzhu", "ConvNet": "convnet64", "ResNet20": "resnet20"}


def relative(value, expected):
    return ((value.detach() - expected).norm() / expected.norm()).item()


def errors(path):
    """{quantity: relative error} of one golden file."""
    stored, metadata = networks.read_safetensors(path)
    model = networks.network(MODELS[metadata["network"]], torch.float64, metadata["mode"])
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0  # the buffers stay what the file says
    labels, x = stored["labels"], stored["x"].clone().requires_grad_()
    loss_true, target = networks.loss_gradient(model, stored["x_true"], labels)
    target = [t.detach() for t in target]
    loss, gradient = networks.loss_gradient(model, x, labels, create_graph=True)
    found = {
        "loss_true": loss_true,
        "loss": loss,
        "grad_norms_true": torch.stack([t.norm() for t in target]),
        "grad_norms": torch.stack([g.norm() for g in gradient]),
    }
    for name in ("cosine_distance", "l2_distance"):
        value = getattr(networks, name)(gradient, target)
        found[name] = value
        found[f"d_{name}_d_x"] = torch.autograd.grad(value, x, retain_graph=True)[0]
    found["total_variation"] = networks.total_variation(x)
    found["d_total_variation_d_x"] = torch.autograd.grad(found["total_variation"], x)[0]
    return metadata, {name: relative(value.reshape(stored[name].shape), stored[name]) for name, value in found.items()}


def main():
    torch.set_num_threads(1)
    folder = networks.data_folder() / "weights/golden"
    failed = 0
    for path in sys.argv[1:] or sorted(map(str, folder.glob("*_matching_*.safetensors"))):
        metadata, found = errors(path)
        good = all(error <= BOUND for error in found.values())  # a NaN is not good
        failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {path.rsplit('/', 1)[-1]}, {metadata['mode']} mode (bound {BOUND:g})")
        for name, error in found.items():
            print(f"         {name:24} {error:.2e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
