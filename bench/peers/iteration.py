#!/usr/bin/env python3
"""Times one attack iteration in PyTorch: loss, its gradient, cosine distance + TV, the derivative by the image, signed Adam, box.

    OMP_NUM_THREADS=1 ~/.cache/gi/peers/bin/python bench/peers/iteration.py --model lenetzhu --form eager --processors 0
    python3 bench/peers/iteration.py --model lenetzhu --form cuda-graph --device cuda --precision tf32

Forms:
  closure         the usual program: cost.backward() (which also differentiates by every weight) and torch.optim.Adam
  eager           torch.autograd.grad to the image only, constants of the target computed once, Adam by hand in place; four
                  variants (one flat gradient or a sum over tensors, channels last or first) are tried, the fastest is timed
  compiled        the whole step as torch.func.grad of torch.func.grad, compiled by inductor
  compiled-last   the same with channels last
  vmap            the same under torch.func.vmap over --trials restarts, compiled
  cuda-graph      on a GPU: the fastest eager variant, recorded once and replayed, so that Python and launches cost nothing
On a GPU compiled forms are compiled with mode="max-autotune", which replays a CUDA graph as well; --precision f32 keeps products off
TF32, tf32 lets them use it. Time is wall time there too, from when the GPU is idle until it is idle again.
Prints one JSON object; seconds are medians and minima over blocks of iterations, compiling counts on its own. Compiling that
takes longer than --compile-limit ends with {"error": ...}; it may use every processor, what is timed those of --processors only.
compare.py sets the environment that makes the figures fair (threads, allocator).
"""
import argparse
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import signal
import statistics
import sys
import time

import torch
from torch import nn

import networks

TV, RATE, BETA1, BETA2, EPSILON = 1e-2, 0.1, 0.9, 0.999, 1e-8


class Problem:
    """A network, the gradient received from it, starts and the pixel box."""

    def __init__(self, options, layout=torch.contiguous_format):
        _, _, file, size = networks.NETWORKS[options.model]
        self.model = networks.network(options.model, torch.float32, options.mode)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
        self.model = self.model.to(options.device)
        mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (networks.CIFAR10_MEAN, networks.CIFAR10_STD))
        self.low, self.high = (-mean / std).to(options.device), ((1 - mean) / std).to(options.device)
        random = torch.Generator().manual_seed(0)
        shape = (options.batch, 3, size, size)
        # Drawn on the CPU, so that all devices have the same problem.
        truth = ((torch.rand(shape, generator=random) - mean) / std).to(options.device)
        self.labels = (torch.arange(options.batch) % 10).to(options.device)
        self.start = torch.randn((options.trials, *shape), generator=random).to(options.device)
        self.layout = layout
        self.model = self.model.to(memory_format=layout)
        _, target = networks.loss_gradient(self.model, truth.contiguous(memory_format=layout), self.labels)
        self.target = [t.detach() for t in target]

    def first(self):
        return self.start[0].clone(memory_format=self.layout)


def closure(options):
    problem = Problem(options)
    x = problem.first().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=RATE)

    def step():
        def evaluate():
            optimizer.zero_grad()
            problem.model.zero_grad()
            _, gradient = networks.loss_gradient(problem.model, x, problem.labels, create_graph=True)
            cost = networks.cosine_distance(gradient, problem.target) + TV * networks.total_variation(x)
            cost.backward()
            x.grad.sign_()
            return cost

        cost = optimizer.step(evaluate)
        with torch.no_grad():
            x.data = torch.max(torch.min(x, problem.high), problem.low)
        return cost

    return step


VARIANTS = {f"{'flat' if flat else 'by tensor'}, {layout}": (flat, getattr(torch, layout))
            for layout, flat in itertools.product(("contiguous_format", "channels_last"), (True, False))}


def eager(options):
    """The fastest variant; the others ran in processes of their own, so that the peak of this one's memory is its own, but not on a
    GPU, which a forked process cannot use."""
    if options.device == "cuda":
        options.variant = min(VARIANTS, key=lambda name: variant_seconds(options, name))
        return eager_variant(options, options.variant)
    tasks = [(options, name) for name in VARIANTS]
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        seconds = pool.starmap(variant_seconds, tasks, chunksize=1)
    options.variant = min(zip(seconds, VARIANTS))[1]
    return eager_variant(options, options.variant)


def variant_seconds(options, name):
    figures, _ = measure(eager_variant(options, name), 0.1 * options.seconds, 2, waiting(options))
    return min(wall for wall, _ in figures)


def eager_variant(options, name, recordable=False):
    """`recordable`: the step number lies where x does, since a recorded step is the same launches with the same arguments again."""
    flat_gradient, layout = VARIANTS[name]
    problem = Problem(options, layout)
    x = problem.first()
    parameters = list(problem.model.parameters())
    target = [t / sum(t.square().sum() for t in problem.target).sqrt() for t in problem.target]
    flat = torch.cat([t.reshape(-1) for t in target])
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    state = {"step": torch.zeros((), device=x.device) if recordable else 0}

    def cosine_per_tensor(gradient):
        dot = torch.stack([(g * t).sum() for g, t in zip(gradient, target)]).sum()
        return 1 - dot / torch.stack([g.square().sum() for g in gradient]).sum().sqrt()

    def cosine_flat(gradient):
        g = torch.cat([g.reshape(-1) for g in gradient])
        return 1 - torch.dot(g, flat) / torch.dot(g, g).sqrt()

    cosine = cosine_flat if flat_gradient else cosine_per_tensor

    def step():
        x.requires_grad_(True)
        loss = nn.functional.cross_entropy(problem.model(x), problem.labels)
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        cost = cosine(gradient) + TV * networks.total_variation(x)
        direction = torch.autograd.grad(cost, x)[0].sign_()
        x.requires_grad_(False)
        state["step"] += 1
        first.lerp_(direction, 1 - BETA1)
        second.mul_(BETA2).addcmul_(direction, direction, value=1 - BETA2)
        scale, rate = (1 - BETA2 ** state["step"]) ** 0.5, -RATE / (1 - BETA1 ** state["step"])
        if recordable:
            x.addcdiv_(first * rate, second.sqrt().div_(scale).add_(EPSILON))
        else:
            x.addcdiv_(first, second.sqrt().div_(scale).add_(EPSILON), value=rate)
        torch.clamp(x, problem.low, problem.high, out=x)
        return cost

    return step


def cuda_graph(options):
    eager(options)
    step = eager_variant(options, options.variant, recordable=True)
    first_cost = step().detach().clone()
    side = torch.cuda.Stream()  # PyTorch wants what is recorded to have run on a stream of its own
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        cost = step()
    costs = iter([first_cost])

    def replay():
        graph.replay()
        return next(costs, cost)

    return replay


class FormulaBatchNorm(nn.BatchNorm2d):
    """Its definition: torch.func.vmap has no rule for the built-in operator and would fall back to a loop over the trials."""

    def forward(self, x):
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def functional(options):
    """compiled, compiled-last, vmap: a pure function (x, first, second, step) -> the same after one iteration."""
    problem = Problem(options, torch.channels_last if options.form == "compiled-last" else torch.contiguous_format)
    model, labels = problem.model, problem.labels
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = FormulaBatchNorm
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())
    norm = sum(t.square().sum() for t in problem.target).sqrt()
    target = {name: t / norm for name, t in zip(parameters, problem.target)}

    def loss(weights, x):
        return nn.functional.cross_entropy(torch.func.functional_call(model, (weights, buffers), (x,)), labels)

    def cost(x):
        gradient = torch.func.grad(loss)(parameters, x)
        dot = sum((gradient[name] * target[name]).sum() for name in target)
        distance = 1 - dot / sum(g.square().sum() for g in gradient.values()).sqrt()
        return distance + TV * networks.total_variation(x)

    def advance(x, first, second, step):
        direction, value = torch.func.grad_and_value(cost)(x)
        direction = direction.sign()
        first = BETA1 * first + (1 - BETA1) * direction
        second = BETA2 * second + (1 - BETA2) * direction * direction
        change = first / (1 - BETA1 ** step) / ((second / (1 - BETA2 ** step)).sqrt() + EPSILON)
        return torch.clamp(x - RATE * change, problem.low, problem.high), first, second, value

    population, cuda = options.form == "vmap", options.device == "cuda"
    call = torch.compile(torch.func.vmap(advance, in_dims=(0, 0, 0, None)) if population else advance, fullgraph=True,
                         mode="max-autotune" if cuda else None)
    x = problem.start.clone() if population else problem.first()
    state = {"values": (x, torch.zeros_like(x), torch.zeros_like(x)), "step": torch.zeros((), device=x.device)}

    def step():
        state["step"] += 1
        if cuda:
            torch.compiler.cudagraph_mark_step_begin()
        *values, cost_now = call(*state["values"], state["step"])
        if cuda:  # the next replay writes where these are
            torch._foreach_copy_(list(state["values"]), values)
        else:
            state["values"] = tuple(values)
        return cost_now

    return step


FORMS = {"closure": closure, "eager": eager, "compiled": functional, "compiled-last": functional, "vmap": functional,
         "cuda-graph": cuda_graph}


def waiting(options):
    """What waits for the device."""
    return torch.cuda.synchronize if options.device == "cuda" else lambda: None


def measure(step, seconds, blocks, wait=lambda: None):
    """(wall seconds, processor seconds) of an iteration, one pair a block; blocks of equal length fill `seconds`. `wait`: for the
    device, at both ends of a block."""
    begin, warm = time.perf_counter(), 0
    while warm < 2 or time.perf_counter() - begin < 0.2 * seconds:
        step()
        wait()
        warm += 1
    begin = time.perf_counter()
    step()
    wait()
    one = time.perf_counter() - begin
    length = max(1, round(seconds / blocks / one))
    figures = []
    for _ in range(blocks):
        begin, processor = time.perf_counter(), time.process_time()
        for _ in range(length):
            step()
        wait()
        figures.append(((time.perf_counter() - begin) / length, (time.process_time() - processor) / length))
    return figures, length


def peak_memory():
    """Bytes. Not ru_maxrss: that one starts from what the parent held when it forked."""
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


def give_up(options):
    """At the alarm, wherever the compiler is: its helpers end with this process."""
    print(json.dumps({**vars(options), "error": f"compiling takes more than {options.compile_limit} s"}), flush=True)
    os._exit(0)


def pin(processors):
    for thread in os.listdir("/proc/self/task") if processors else ():
        os.sched_setaffinity(int(thread), processors)


def add_options(parser):
    parser.add_argument("--model", choices=networks.NETWORKS, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("f32", "tf32"), default="f32", help="of a GPU's products of f32")
    parser.add_argument("--mode", choices=("eval", "train"), default="eval")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--processors", type=lambda text: [int(p) for p in text.split(",")], help="to run on: 0,1")
    parser.add_argument("--compile-limit", type=int, default=300, help="seconds")


def report(options, peer, figures, length, **more):
    wall, processor = zip(*figures)
    median = statistics.median(wall)
    json.dump({
        "peer": peer, **vars(options), "processors": sorted(os.sched_getaffinity(0)), **more,
        "blocks_of": length, "peak_memory_bytes": peak_memory(),
        "seconds_per_iteration": median, "least_seconds_per_iteration": min(wall),
        "cpu_seconds_per_iteration": statistics.median(processor),
        "seconds_per_iteration_per_trial": median / options.trials,
    }, sys.stdout)
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=FORMS, default="eager")
    add_options(parser)
    options = parser.parse_args()
    if options.trials != 1 and options.form != "vmap":
        parser.error("only the form vmap runs several trials; the others run one after another")
    cuda = options.device == "cuda"
    if options.form == "cuda-graph" and not cuda:
        parser.error("the form cuda-graph is one of --device cuda")
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    options.variant = None
    compiles = FORMS[options.form] is functional
    if compiles:
        signal.signal(signal.SIGALRM, lambda *_: give_up(options))
        signal.alarm(options.compile_limit)
    else:
        pin(options.processors)
    step = FORMS[options.form](options)
    begin = time.perf_counter()
    cost = float(torch.as_tensor(step()).detach().flatten()[0])
    first = time.perf_counter() - begin
    signal.alarm(0)
    pin(options.processors)
    figures, length = measure(step, options.seconds, options.blocks, waiting(options))
    report(options, f"PyTorch {torch.__version__}", figures, length, cost=cost, compile_seconds=first if compiles else None,
           device_name=torch.cuda.get_device_name() if cuda else None,
           device_memory_bytes=torch.cuda.max_memory_allocated() if cuda else None)


if __name__ == "__main__":
    main()
