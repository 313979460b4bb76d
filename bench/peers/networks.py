"""The networks of the attack in PyTorch, the attack's objective, and safetensors: the rival's side of every comparison.

Names of parameters are those of the weight files; golden.py proves networks and objective against stored float64 values.
"""
import json
import os
import pathlib
import struct

import torch
from torch import nn

CIFAR10_MEAN = (0.4914672374725342, 0.4822617471218109, 0.4467701315879822)
CIFAR10_STD = (0.24703224003314972, 0.24348513782024384, 0.26158785820007324)
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "I64": torch.int64}


def data_folder():
    return pathlib.Path(os.environ.get("GI_DATA") or pathlib.Path(__file__).resolve().parents[2] / "../shared/data")


def read_safetensors(path):
    """({name: tensor}, metadata)."""
    content = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    metadata = header.pop("__metadata__", {})
    body = memoryview(bytearray(content[8 + size:]))
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(body[begin:end], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"]).clone()
    return tensors, metadata


def write_safetensors(path, tensors):
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, body = {}, b""
    for name, tensor in tensors.items():
        content = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(head)) + head + body)


class LeNetZhu(nn.Module):
    def __init__(self, classes=10, size=32):
        super().__init__()
        layers, channels = [], 3
        for stride in (2, 2, 1):
            layers += [nn.Conv2d(channels, 12, 5, stride, padding=2), nn.Sigmoid()]
            channels = 12
        self.body = nn.Sequential(*layers)
        self.fc = nn.Sequential(nn.Linear(12 * (size // 4) ** 2, classes))

    def forward(self, x):
        return self.fc(self.body(x).flatten(1))


class ConvNet(nn.Module):
    def __init__(self, classes=10, width=64):
        super().__init__()
        self.model = nn.Sequential()
        channels = 3
        for i, factor in enumerate((1, 2, 2, 4, 4, 4, 4, 4)):
            self.model.add_module(f"conv{i}", nn.Conv2d(channels, factor * width, 3, padding=1))
            self.model.add_module(f"bn{i}", nn.BatchNorm2d(factor * width))
            self.model.add_module(f"relu{i}", nn.ReLU())
            channels = factor * width
            if i in (5, 7):
                self.model.add_module(f"pool{i}", nn.MaxPool2d(3))
        self.model.add_module("flatten", nn.Flatten())
        self.model.add_module("linear", nn.Linear(9 * channels, classes))

    def forward(self, x):
        return self.model(x)


class BasicBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """`blocks` basic blocks a stage; the stages after the first halve the image. ImageNet stem: 7x7 stride 2 and a max-pool."""

    def __init__(self, blocks, widths, classes=10, imagenet_stem=False):
        super().__init__()
        stem = dict(kernel_size=7, stride=2, padding=3) if imagenet_stem else dict(kernel_size=3, padding=1)
        self.conv1 = nn.Conv2d(3, widths[0], bias=False, **stem)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1) if imagenet_stem else nn.Identity()
        self.layers, channels = nn.ModuleList(), widths[0]
        for stage, width in enumerate(widths):
            row = []
            for block in range(blocks):
                row.append(BasicBlock(channels, width, 2 if stage > 0 and block == 0 else 1))
                channels = width
            self.layers.append(nn.Sequential(*row))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        for stage in self.layers:
            x = stage(x)
        return self.fc(x.mean((2, 3)))


NETWORKS = {  # name on the command line: (constructor, parameters, file of the seed-42 weights, size of the image)
    "lenetzhu": (LeNetZhu, 15826, "lenetzhu_seed42.safetensors", 32),
    "convnet64": (ConvNet, 2904970, "convnet_seed42.safetensors", 32),
    "resnet20": (lambda: ResNet(3, (16, 32, 64)), 272474, "resnet20_seed42.safetensors", 32),
    "resnet20-4": (lambda: ResNet(3, (64, 128, 256)), 4327754, None, 32),
    "resnet18": (lambda: ResNet(2, (64, 128, 256, 512)), 11173962, None, 32),
    "resnet18-imagenet": (lambda: ResNet(2, (64, 128, 256, 512), 1000, True), 11689512, None, 224),
}


def network(name, dtype=torch.float32, mode="eval"):
    """The network with its stored weights, or with weights drawn from seed 42 where none are stored."""
    torch.manual_seed(42)
    build, parameters, file, _ = NETWORKS[name]
    model = build()
    if (count := sum(p.numel() for p in model.parameters())) != parameters:
        raise RuntimeError(f"{name} has {count} parameters, expected {parameters}")
    if file:
        stored, _ = read_safetensors(data_folder() / "weights/untrained" / file)
        missing, unexpected = model.load_state_dict(stored, strict=False)
        if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
            raise RuntimeError(f"{file}: missing {missing}, unexpected {unexpected}")
    return model.to(dtype).train(mode == "train")


def loss_gradient(model, x, labels, create_graph=False):
    loss = nn.functional.cross_entropy(model(x), labels)
    return loss, torch.autograd.grad(loss, list(model.parameters()), create_graph=create_graph)


def cosine_distance(gradient, target):
    dot = sum((g * t).sum() for g, t in zip(gradient, target))
    return 1 - dot / (sum(g.square().sum() for g in gradient).sqrt() * sum(t.square().sum() for t in target).sqrt())


def l2_distance(gradient, target):
    return sum((g - t).square().sum() for g, t in zip(gradient, target))


def total_variation(x):
    return (x[..., :, 1:] - x[..., :, :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()
