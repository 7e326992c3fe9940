"""Convolutions of ResNet-50 and a depthwise one: forward, and forward with both gradients."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

import samara
from benchmarks.measure import Row, calls_for, compare, seconds_per_call

FORWARD = "convolution, forward, batch 4"
BOTH = "convolution, forward + backward, batch 4"
BATCH = 4

# name, input channels, side, output channels, kernel, stride, padding, groups
SHAPES = (
    ("7x7 3-64, stride 2, of 224", 3, 224, 64, 7, 2, 3, 1),
    ("1x1 64-64 of 56", 64, 56, 64, 1, 1, 0, 1),
    ("3x3 64-64 of 56", 64, 56, 64, 3, 1, 1, 1),
    ("1x1 64-256 of 56", 64, 56, 256, 1, 1, 0, 1),
    ("1x1 256-64 of 56", 256, 56, 64, 1, 1, 0, 1),
    ("3x3 128-128, stride 2, of 56", 128, 56, 128, 3, 2, 1, 1),
    ("1x1 256-512, stride 2, of 56", 256, 56, 512, 1, 2, 0, 1),
    ("3x3 256-256 of 14", 256, 14, 256, 3, 1, 1, 1),
    ("1x1 1024-256 of 14", 1024, 14, 256, 1, 1, 0, 1),
    ("3x3 512-512 of 7", 512, 7, 512, 3, 1, 1, 1),
    ("3x3 128 depthwise of 56", 128, 56, 128, 3, 1, 1, 128),
)


def peak() -> float:
    """Multiplications and additions per second of a large matrix product."""
    a = samara.tensor(np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32))
    best = min(seconds_per_call(lambda: a @ a, 3) for _ in range(5))
    return 2 * 2048**3 / best


def faster(steps: list[Callable[[], object]]) -> Callable[[], object]:
    """The one that takes less time."""
    times = [min(seconds_per_call(step, calls_for(step, 0.02)) for _ in range(3)) for step in steps]
    return steps[times.index(min(times))]


def own_steps(
    x: np.ndarray, weight: np.ndarray, options: tuple[int, ...], first: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward, and forward with the gradients; the input lies as another layer would leave it."""
    stride, padding, groups = options
    image = samara.tensor(x.transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
    if first:  # a batch of images as they are loaded
        image = image.contiguous()
    w = samara.tensor(weight).clone()

    def forward(image: samara.Tensor = image, w: samara.Tensor = w) -> samara.Tensor:
        result: samara.Tensor = samara.conv2d(image, w, None, stride, padding, 1, groups)
        return result

    leaves = [w.detach().clone().requires_grad_(True)]
    given = image.detach() if first else image.detach().requires_grad_(True)
    leaves += [] if first else [given]
    gradient = forward() * 0.5

    def both() -> object:
        return samara.autograd.grad(forward(given, leaves[0]), leaves, gradient)

    return forward, both


def peer_steps(
    x: np.ndarray, weight: np.ndarray, options: tuple[int, ...], first: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same in PyTorch, each in the faster of its two memory formats."""
    stride, padding, groups = options
    forwards, boths = [], []
    for layout in (torch.contiguous_format, torch.channels_last):
        image = torch.tensor(x).contiguous(memory_format=layout)
        w = torch.tensor(weight).contiguous(memory_format=layout).requires_grad_(True)
        given = image.detach().requires_grad_(not first)
        leaves = (w,) if first else (w, given)

        def forward(image: torch.Tensor = image, w: torch.Tensor = w) -> torch.Tensor:
            with torch.no_grad():
                return torch.conv2d(image, w, None, stride, padding, 1, groups)

        gradient = forward() * 0.5

        def both(
            image: torch.Tensor = given,
            leaves: tuple[torch.Tensor, ...] = leaves,
            gradient: torch.Tensor = gradient,
        ) -> object:
            y = torch.conv2d(image, leaves[0], None, stride, padding, 1, groups)
            return torch.autograd.grad(y, leaves, gradient)

        forwards.append(forward)
        boths.append(both)
    return faster(forwards), faster(boths)


def mean_row(group: str, ratios: list[float]) -> Row:
    """The geometric mean of the rows above."""
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return Row(group, "geometric mean", mean, 1.0, 0.85, mean, mean, unit="x")


def rows() -> Iterator[Row]:
    """Eleven shapes twice, with the share of the matrix product's speed that each reaches."""
    most = peak()
    measured: dict[str, list[Row]] = {FORWARD: [], BOTH: []}
    rng = np.random.default_rng(0)
    for name, channels, side, out, kernel, stride, padding, groups in SHAPES:
        first = channels == 3
        x = rng.normal(size=(BATCH, channels, side, side)).astype(np.float32)
        weight = rng.normal(size=(out, channels // groups, kernel, kernel)).astype(np.float32)
        options = (stride, padding, groups)
        own, peer = own_steps(x, weight, options, first), peer_steps(x, weight, options, first)
        pixels = ((side + 2 * padding - kernel) // stride + 1) ** 2
        work = 2 * BATCH * out * pixels * channels // groups * kernel**2
        passes = 2 if first else 3
        for group, index, count in ((FORWARD, 0, 1), (BOTH, 1, passes)):
            row = compare(group, name, own[index], peer[index], 0.95)
            share = work * count / row.samara / most
            measured[group].append(dataclasses.replace(row, note=f"{share:.0%} of matmul"))
    for group, found in measured.items():
        yield from found
        yield mean_row(group, [row.ratio for row in found])
    everything = [row.ratio for found in measured.values() for row in found]
    yield mean_row("convolution, both", everything)
