"""Character GPTs: whole training steps, and tokens per second of generation with the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import samara
from benchmarks.convolution import peak
from benchmarks.image_workloads import network
from benchmarks.measure import Row, compare

GROUP = "language models"
VOCABULARY = 65

WORKLOADS: list[tuple[str, dict[str, int], int, float]] = [
    (
        "GPT 6 layers, 384 wide, context 256, batch 8, AdamW step",
        {"context": 256, "layers": 6, "heads": 6, "width": 384},
        8,
        0.6,
    ),
    (
        "GPT 4 layers, 128 wide, context 64, batch 12, AdamW step",
        {"context": 64, "layers": 4, "heads": 4, "width": 128},
        12,
        0.5,
    ),
]


def step_of(library: Any, model: Any, context: int, batch: int) -> Callable[[], None]:
    """Forward, loss, backward and AdamW."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, size=(batch, context + 1))
    x, y = library.tensor(tokens[:, :-1]), library.tensor(tokens[:, 1:])
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
    loss = library.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        logits, _ = model(x)
        loss(logits.reshape(-1, VOCABULARY), y.reshape(-1)).backward()
        optimizer.step()

    return step


def tokens_per_second(library: Any, model: Any, count: int = 200) -> float:
    """Greedy generation of one sequence, keys and values kept."""
    model.eval()
    with library.no_grad():
        logits, past = model(library.tensor([[0]]))
        start = time.perf_counter()
        for _ in range(count):
            chosen = int(logits[0, -1].argmax())
            logits, past = model(library.tensor([[chosen]]), past)
        return count / (time.perf_counter() - start)


def operations(size: dict[str, int], batch: int) -> float:
    """Floating-point operations of a step: three times those of the products forward."""
    width, context = size["width"], size["context"]
    per_layer = 12 * width * width + 2 * context * width / 2
    total = size["layers"] * per_layer + VOCABULARY * width
    return 3 * 2 * batch * context * total


def rows() -> Iterator[Row]:
    """One row per model, and one for generation."""
    highest = peak()
    for name, size, batch, mark in WORKLOADS:
        steps = [
            step_of(
                library,
                network("gpt", "GPT", text, vocabulary=VOCABULARY, **size),
                size["context"],
                batch,
            )
            for library, text in ((samara, "samara"), (torch, "torch"))
        ]
        row = compare(GROUP, name, *steps, mark, rounds=7, seconds=0.2)
        share = operations(size, batch) / row.samara / highest
        yield replace(row, note=f"{100 * share:.0f} % of the GEMM peak")
    size = {"context": 256, "layers": 6, "heads": 6, "width": 384}
    speeds = [
        tokens_per_second(library, network("gpt", "GPT", text, vocabulary=VOCABULARY, **size))
        for library, text in ((samara, "samara"), (torch, "torch"))
    ]
    seconds = [1 / speed for speed in speeds]
    ratio = seconds[0] / seconds[1]
    note = f"{speeds[0]:.0f} and {speeds[1]:.0f} tokens per second"
    yield Row(GROUP, "generation with the cache, 384 wide", *seconds, None, ratio, ratio, "s", note)
