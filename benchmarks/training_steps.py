"""Whole training steps of small models: forward, loss, backward, optimizer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import samara
from benchmarks.measure import Row, compare

GROUP = "training steps"


def train_step(model: Any, loss: Callable[..., Any], optimizer: Any, x: Any, y: Any) -> Any:
    """The explicit loop's body, the same for both."""

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def mlp(nn: Any, *sizes: int) -> Any:
    """Linear layers with ReLU between them."""
    layers: list[Any] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(inputs, outputs))
        if i + 2 < len(sizes):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def pair(
    sizes: tuple[int, ...], batch: int, optimizer: str, loss: str, **options: Any
) -> tuple[Any, Any]:
    """The same step for Samara and PyTorch on the same random data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    if loss == "cross_entropy":
        y: Any = rng.integers(0, sizes[-1], size=batch)
    else:
        y = rng.normal(size=(batch, sizes[-1])).astype(np.float32)
    steps = []
    for library in (samara, torch):
        model = mlp(library.nn, *sizes)
        functional = library.nn.functional
        made = getattr(library.optim, optimizer)(model.parameters(), **options)
        steps.append(
            train_step(model, getattr(functional, loss), made, library.tensor(x), library.tensor(y))
        )
    return steps[0], steps[1]


WORKLOADS: list[tuple[str, tuple[Any, ...], dict[str, Any], float]] = [
    ("linear regression, batch 32, SGD", ((10, 1), 32, "SGD", "mse_loss"), {"lr": 1e-3}, 0.25),
    ("MLP 20-64-64-1, batch 256, AdamW", ((20, 64, 64, 1), 256, "AdamW", "mse_loss"), {}, 0.35),
    (
        "MLP 784-256-128-10, batch 64, Adam",
        ((784, 256, 128, 10), 64, "Adam", "cross_entropy"),
        {},
        0.5,
    ),
]


def rows() -> Iterator[Row]:
    """One row per model."""
    for name, arguments, options, mark in WORKLOADS:
        own, peer = pair(*arguments, **options)
        yield compare(GROUP, name, own, peer, mark, seconds=0.1)
