"""Networks on images: training steps and inference, the same source for both libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import samara
from benchmarks.contention import slowdown
from benchmarks.image_workloads import inference, labels, network, training_step
from benchmarks.measure import Row, compare

GROUP = "image models"


def better(name: str, own: Any, peers: list[Any], mark: float | None, seconds: float) -> Row:
    """Against the faster of PyTorch's forms, chosen by a short trial."""
    trials = [compare(GROUP, name, own, peer, mark, rounds=2, seconds=0.0) for peer in peers]
    fastest = min(range(len(peers)), key=lambda i: trials[i].peer)
    row = compare(GROUP, name, own, peers[fastest], mark, rounds=7, seconds=seconds)
    return replace(row, note=f"PyTorch {('contiguous', 'channels_last')[fastest]}")


def busy(name: str, own: Callable[[], None], peer: Callable[[], None]) -> Row:
    """How much slower than alone when another process takes one core."""
    mine, theirs = slowdown(own)[0], slowdown(peer)[0]
    note = "the mark is for Samara's own slowdown"
    return Row(GROUP, name, mine, theirs, 2.5, mine, mine, unit="x", note=note)


TRAINING: list[tuple[str, tuple[str, str, dict[str, Any]], tuple[int, ...], Any, float]] = [
    (
        "LeNet 28x28, batch 64, step",
        ("lenet", "lenet", {}),
        (64, 1, 28, 28),
        labels((64,), 10),
        0.6,
    ),
    (
        "ResNet-18 32x32, batch 32, step",
        ("resnet", "resnet18", {"classes": 10, "small_images": True}),
        (32, 3, 32, 32),
        labels((32,), 10),
        0.85,
    ),
    (
        "ResNet-50 224x224, batch 8, step",
        ("resnet", "resnet50", {}),
        (8, 3, 224, 224),
        labels((8,), 1000),
        0.9,
    ),
    (
        "U-Net 128x128, batch 4, step",
        ("unet", "unet", {}),
        (4, 1, 128, 128),
        labels((4, 128, 128), 2),
        0.85,
    ),
    (
        "ConvNeXt-T 224x224, batch 2, step",
        ("convnext", "convnext_tiny", {}),
        (2, 3, 224, 224),
        labels((2,), 1000),
        0.9,
    ),
]

INFERENCE: list[tuple[str, tuple[str, str], tuple[int, ...], float]] = [
    ("ResNet-18 224x224, batch 1", ("resnet", "resnet18"), (1, 3, 224, 224), 0.65),
    ("ResNet-18 224x224, batch 32", ("resnet", "resnet18"), (32, 3, 224, 224), 0.6),
    ("MobileNet-V2 224x224, batch 1", ("mobilenet_v2", "mobilenet_v2"), (1, 3, 224, 224), 0.6),
]

PEAK = (
    "import sys; sys.path.insert(0, {root!r})\n"
    "import {library} as library\n"
    "from benchmarks import image_workloads as m\n"
    "model = m.network('resnet', 'resnet50', '{library}')\n"
    "step = m.training_step(library, model, (8, 3, 224, 224), m.labels((8,), 1000), 0.01, {last})\n"
    "step(); step()\n"
    "status = open('/proc/self/status').read()\n"
    "print(int(status.split('VmHWM:')[1].split()[0]) / 1024)\n"
)


def peak_memory(library: str, channels_last: bool) -> float:
    """Peak memory in MB of two training steps of ResNet-50 in a process of its own."""
    code = PEAK.format(root=str(Path(__file__).parents[1]), library=library, last=channels_last)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def rows() -> Iterator[Row]:
    """One row per workload."""
    for name, (file, function, options), shape, target, mark in TRAINING:
        own = training_step(
            samara, network(file, function, "samara", **options), shape, target, 0.01, False
        )
        peers = [
            training_step(
                torch, network(file, function, "torch", **options), shape, target, 0.01, last
            )
            for last in (False, True)
        ]
        yield better(name, own, peers, mark, seconds=0.2)
        if name.startswith("ResNet-18"):
            yield busy(f"{name}, one core kept busy, mean", own, peers[1])
    for name, (file, function), shape, mark in INFERENCE:
        own = inference(samara, network(file, function, "samara"), shape, False)
        peers = [
            inference(torch, network(file, function, "torch"), shape, last)
            for last in (False, True)
        ]
        yield better(f"{name}, inference", own, peers, mark, seconds=0.2)
    own_peak = peak_memory("samara", False)
    peer = min(peak_memory("torch", last) for last in (False, True))
    ratio = own_peak / peer
    yield Row(
        GROUP,
        "ResNet-50 224x224, batch 8, peak memory",
        own_peak,
        peer,
        0.9,
        ratio,
        ratio,
        "MB",
    )
