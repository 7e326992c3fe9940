"""Character GPTs: whole training steps, and tokens per second of generation with the cache."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.utils.checkpoint

import samara
from benchmarks.convolution import peak
from benchmarks.language_workloads import LARGE, SMALL, VOCABULARY, gpt, step_of
from benchmarks.measure import Row, compare

GROUP = "language models"
LARGE_STEP = "GPT 6 layers, 384 wide, context 256, batch 8, AdamW step"
WORKLOADS: list[tuple[str, dict[str, int], int, float]] = [
    (LARGE_STEP, LARGE, 8, 0.6),
    ("GPT 4 layers, 128 wide, context 64, batch 12, AdamW step", SMALL, 12, 0.5),
]

# Peak memory of two steps, in a process of its own.
PEAK = """
import sys; sys.path.insert(0, {root!r})
import {library} as library
from benchmarks import language_workloads as w
if "{library}" == "torch":
    from torch.utils.checkpoint import checkpoint
else:
    checkpoint = library.checkpoint
model = w.gpt("{library}", w.LARGE, checkpoint if {again} else None)
step = w.step_of(library, model, w.LARGE["context"], 8)
step(); step()
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024)
"""


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


def peak_memory(library: str, again: bool) -> float:
    """Peak memory in MB of the large GPT's step, ordinary or with checkpointed blocks."""
    code = PEAK.format(root=str(Path(__file__).parents[1]), library=library, again=again)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def training() -> Iterator[Row]:
    """One row per model."""
    highest = peak()
    for name, size, batch, mark in WORKLOADS:
        steps = [
            step_of(library, gpt(text, size), size["context"], batch)
            for library, text in ((samara, "samara"), (torch, "torch"))
        ]
        row = compare(GROUP, name, *steps, mark, rounds=7, seconds=0.2)
        share = operations(size, batch) / row.samara / highest
        yield replace(row, note=f"{100 * share:.0f} % of the GEMM peak")


def checkpointing() -> Iterator[Row]:
    """The large GPT with checkpointed blocks: the time paid and the memory saved."""
    context = LARGE["context"]
    ordinary = step_of(samara, gpt("samara", LARGE), context, 8)
    own = step_of(samara, gpt("samara", LARGE, samara.checkpoint), context, 8)
    peer = step_of(torch, gpt("torch", LARGE, torch.utils.checkpoint.checkpoint), context, 8)
    paid = compare(GROUP, "", own, ordinary, None, rounds=5, seconds=0.2).ratio
    row = compare(GROUP, "the same step, blocks checkpointed", own, peer, None, rounds=5)
    yield replace(row, note=f"{paid:.2f} times Samara's ordinary step")
    before = [peak_memory(library, again=False) for library in ("samara", "torch")]
    after = [peak_memory(library, again=True) for library in ("samara", "torch")]
    for name, (own_peak, peer_peak) in (
        ("the same step, peak memory", before),
        ("the same step, blocks checkpointed, peak memory", after),
    ):
        ratio = own_peak / peer_peak
        yield Row(GROUP, name, own_peak, peer_peak, None, ratio, ratio, "MB")


def generation() -> Row:
    """Greedy tokens per second of the large GPT."""
    speeds = [
        tokens_per_second(library, gpt(text, LARGE))
        for library, text in ((samara, "samara"), (torch, "torch"))
    ]
    seconds = [1 / speed for speed in speeds]
    ratio = seconds[0] / seconds[1]
    note = f"{speeds[0]:.0f} and {speeds[1]:.0f} tokens per second"
    return Row(
        GROUP, "generation with the cache, 384 wide", *seconds, None, ratio, ratio, "s", note
    )


def rows() -> Iterator[Row]:
    """Training, checkpointed training, generation."""
    yield from training()
    yield from checkpointing()
    yield generation()
