"""Normalisation and pooling of images, forward and backward.

PyTorch runs in the faster of its contiguous and channels_last forms; Samara runs in both, since its
convolutions answer channels-last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import samara
from benchmarks.measure import Row, Step, calls_for, compare, settled

GROUP = "operations on images, forward and backward"
SHAPE = (8, 64, 112, 112)
MARK = 0.6

Function = Callable[..., Any]


def norm_relu(library: Any) -> Function:
    """Batch norm in training with its running statistics, then relu, as modules in a row."""
    nn = library.nn
    model = nn.Sequential(nn.BatchNorm2d(SHAPE[1]), nn.ReLU())
    return lambda x: (model(x), list(model.parameters()))


def group_norm(library: Any) -> Function:
    """Group norm in 32 groups."""
    layer = library.nn.GroupNorm(32, SHAPE[1])
    return lambda x: (layer(x), list(layer.parameters()))


def max_pool(library: Any) -> Function:
    """The pooling of a ResNet's stem."""
    return lambda x: (library.max_pool2d(x, 3, 2, 1), [])


def max_pool_halves(library: Any) -> Function:
    """The pooling between the stages of a VGG or a U-Net."""
    return lambda x: (library.max_pool2d(x, 2), [])


CASES = {
    "batch_norm + relu": norm_relu,
    "group_norm": group_norm,
    "max_pool 3x3 / 2": max_pool,
    "max_pool 2x2 / 2": max_pool_halves,
}


def channels_last(data: np.ndarray) -> np.ndarray:
    """The same values with the channels innermost in memory."""
    return np.ascontiguousarray(data.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def step(library: Any, make: Function, data: np.ndarray) -> Step:
    """One forward and backward pass in the memory order of `data`."""
    x = library.from_numpy(data).detach()
    x.requires_grad_()
    function = make(library)
    random = np.random.default_rng(1)
    size = tuple(function(x)[0].shape)
    gradient = random.normal(size=size).astype(np.float32)
    if not data.flags.c_contiguous:
        gradient = channels_last(gradient)
    g = library.from_numpy(gradient)

    def run() -> None:
        y, parameters = function(x)
        library.autograd.grad(y, [x, *parameters], g)

    return run


def faster(steps: list[Step]) -> Step:
    """The one whose best round is the shortest."""
    counts = [calls_for(one, 0.05) for one in steps]
    best = [
        min(settled(one, count) for _ in range(5)) for one, count in zip(steps, counts, strict=True)
    ]
    return steps[best.index(min(best))]


def rows() -> Iterator[Row]:
    """Each operation in both memory orders."""
    first = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    orders = {"": first, ", channels last": channels_last(first)}
    for name, make in CASES.items():
        peer = faster([step(torch, make, data) for data in orders.values()])
        for order, data in orders.items():
            yield compare(GROUP, name + order, step(samara, make, data), peer, MARK, seconds=0.1)
