#!/usr/bin/env python3
"""Times one attack iteration in JAX: that of iteration.py, with its weights, start and received gradient, and its options.

    python3 bench/peers/jax_iteration.py --model lenetzhu --form jax --device cuda --precision f32

Forms:
  jax        the whole step as jax.grad of a function that calls jax.grad, under jax.jit, states donated
  jax-vmap   the same under jax.vmap over --trials restarts
PyTorch makes the problem, on the CPU. JAX takes TF32 on a GPU unless it is told not to: --precision f32 asks for "highest".
"""
import argparse
import signal
import time

import jax
import jax.numpy as jnp
import torch
from jax import lax
from torch import nn

import iteration
import networks
from iteration import BETA1, BETA2, EPSILON, RATE, TV


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def forward(module, weights, buffers, name, x, training):
    """A module of networks.py applied to x [N,C,H,W], its parameters in `weights` by name."""
    sub = lambda child, x: forward(getattr(module, child), weights, buffers, f"{name}{child}.", x, training)
    if isinstance(module, nn.Sequential):
        for child, layer in module.named_children():
            x = forward(layer, weights, buffers, f"{name}{child}.", x, training)
        return x
    if isinstance(module, nn.Conv2d):
        y = lax.conv_general_dilated(x, weights[f"{name}weight"], pair(module.stride), [(p, p) for p in pair(module.padding)],
                                     dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=module.groups)
        return y if module.bias is None else y + weights[f"{name}bias"][:, None, None]
    if isinstance(module, nn.Linear):
        return x @ weights[f"{name}weight"].T + weights[f"{name}bias"]
    if isinstance(module, nn.BatchNorm2d):
        mean, variance = buffers[f"{name}running_mean"], buffers[f"{name}running_var"]
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        scale = weights[f"{name}weight"] * lax.rsqrt(variance + module.eps)
        return x * scale[:, None, None] + (weights[f"{name}bias"] - mean * scale)[:, None, None]
    if isinstance(module, nn.MaxPool2d):
        size, stride, pad = pair(module.kernel_size), pair(module.stride), pair(module.padding)
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, *size), (1, 1, *stride), [(0, 0), (0, 0), *((p, p) for p in pad)])
    if isinstance(module, nn.Sigmoid):
        return jax.nn.sigmoid(x)
    if isinstance(module, nn.ReLU):
        return jax.nn.relu(x)
    if isinstance(module, nn.Flatten):
        return x.reshape(x.shape[0], -1)
    if isinstance(module, nn.Identity):
        return x
    if isinstance(module, networks.LeNetZhu):
        return sub("fc", sub("body", x).reshape(x.shape[0], -1))
    if isinstance(module, networks.ConvNet):
        return sub("model", x)
    if isinstance(module, networks.BasicBlock):
        y = sub("bn2", sub("conv2", jax.nn.relu(sub("bn1", sub("conv1", x)))))
        return jax.nn.relu(y + (x if module.downsample is None else sub("downsample", x)))
    if isinstance(module, networks.ResNet):
        x = sub("pool", jax.nn.relu(sub("bn1", sub("conv1", x))))
        for stage, layer in enumerate(module.layers):
            x = forward(layer, weights, buffers, f"layers.{stage}.", x, training)
        return sub("fc", x.mean((2, 3)))
    raise TypeError(f"no rule for {type(module).__name__}")


def array(tensor, device):
    return jax.device_put(tensor.detach().cpu().numpy(), device)


def objective(model, received, labels, device):
    """(cost, held): cost(x, held) is cosine distance + TV, for a network of networks.py and tensors of PyTorch. `held` is an argument
    of what is compiled: constants of it would be folded for minutes."""
    weights = {name: array(p, device) for name, p in model.named_parameters()}
    norm = sum(t.square().sum() for t in received).sqrt()
    held = {"weights": weights, "buffers": {name: array(b, device) for name, b in model.named_buffers()},
            "target": {name: array(t / norm, device) for name, t in zip(weights, received)}}
    classes = [module for module in model.modules() if isinstance(module, nn.Linear)][-1].out_features
    held["labels"] = array(nn.functional.one_hot(labels, classes).to(received[0].dtype), device)

    def loss(weights, x, held):
        logits = forward(model, weights, held["buffers"], "", x, model.training)
        return -(held["labels"] * jax.nn.log_softmax(logits)).sum(1).mean()

    def total_variation(x):
        return jnp.abs(x[..., :, 1:] - x[..., :, :-1]).mean() + jnp.abs(x[..., 1:, :] - x[..., :-1, :]).mean()

    def cost(x, held):
        gradient = jax.grad(loss)(held["weights"], x, held)
        dot = sum((gradient[name] * held["target"][name]).sum() for name in gradient)
        return 1 - dot / jnp.sqrt(sum((g * g).sum() for g in gradient.values())) + TV * total_variation(x)

    return cost, held


def make_step(options, device):
    problem = iteration.Problem(argparse.Namespace(**{**vars(options), "device": "cpu"}))
    cost, held = objective(problem.model, problem.target, problem.labels, device)
    low, high = array(problem.low, device), array(problem.high, device)

    def advance(x, first, second, step, held):
        value, direction = jax.value_and_grad(cost)(x, held)
        direction = jnp.sign(direction)
        first = BETA1 * first + (1 - BETA1) * direction
        second = BETA2 * second + (1 - BETA2) * direction * direction
        change = first / (1 - BETA1 ** step) / (jnp.sqrt(second / (1 - BETA2 ** step)) + EPSILON)
        return jnp.clip(x - RATE * change, low, high), first, second, value

    def counted(state, held):
        x, first, second, step = state
        call = jax.vmap(advance, in_axes=(0, 0, 0, None, None)) if options.form == "jax-vmap" else advance
        *values, value = call(x, first, second, step + 1, held)
        return (*values, step + 1), value

    call = jax.jit(counted, donate_argnums=0)
    start = problem.start if options.form == "jax-vmap" else problem.start[0]
    zeros = lambda: jax.device_put(jnp.zeros(start.shape, jnp.float32), device)
    state = {"now": (array(start, device), zeros(), zeros(), jax.device_put(jnp.float32(0), device)), "value": None}

    def step():
        state["now"], state["value"] = call(state["now"], held)
        return state["value"]

    return step, lambda: jax.block_until_ready((state["now"], state["value"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("jax", "jax-vmap"), default="jax")
    iteration.add_options(parser)
    options = parser.parse_args()
    if options.trials != 1 and options.form != "jax-vmap":
        parser.error("only the form jax-vmap runs several trials")
    jax.config.update("jax_default_matmul_precision", "highest" if options.precision == "f32" else "tensorfloat32")
    torch.set_num_threads(options.threads)
    try:
        device = jax.devices({"cuda": "cuda", "cpu": "cpu"}[options.device])[0]
    except RuntimeError as error:
        raise SystemExit(f"jax_iteration.py: error: {error}")
    signal.signal(signal.SIGALRM, lambda *_: iteration.give_up(options))
    signal.alarm(options.compile_limit)
    with jax.default_device(device):
        step, wait = make_step(options, device)
        begin = time.perf_counter()
        cost = float(jnp.ravel(step())[0])
        first = time.perf_counter() - begin
        signal.alarm(0)
        iteration.pin(options.processors)
        figures, length = iteration.measure(step, options.seconds, options.blocks, wait)
    iteration.report(options, f"JAX {jax.__version__}", figures, length, cost=cost, compile_seconds=first,
                     device_name=device.device_kind if options.device == "cuda" else None,
                     device_memory_bytes=(device.memory_stats() or {}).get("peak_bytes_in_use"))


if __name__ == "__main__":
    main()
