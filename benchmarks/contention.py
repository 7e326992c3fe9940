"""One of the cores is kept busy by another process: how much slower than when it is quiet?"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

import samara
from benchmarks import training_steps
from benchmarks.measure import Row

GROUP = "with one core kept busy, against its own quiet time"
SAMPLES = 3000  # a 99th percentile needs many


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that computes on one core until the block ends."""
    core = max(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.3)
        yield
    finally:
        process.kill()
        process.wait()


def samples(step: Callable[[], object], seconds: float) -> list[float]:
    """Times of single calls, for at most that long."""
    for _ in range(5):
        step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < SAMPLES and (time.perf_counter() < end or len(times) < 10):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def slowdown(step: Callable[[], object]) -> tuple[float, float]:
    """Mean and 99th percentile under load, over the quiet median."""
    quiet = statistics.median(samples(step, 4.0))
    with busy_core():
        loaded = samples(step, 12.0)
    return statistics.fmean(loaded) / quiet, float(np.quantile(loaded, 0.99)) / quiet


def rows() -> Iterator[Row]:
    """The MLP step and a product of 1024: mean and p99 for both libraries."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    own_step, peer_step = training_steps.pair((784, 256, 128, 10), 64, "Adam", "cross_entropy")
    a = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    x, tx = samara.tensor(a), torch.tensor(a)
    for name, own, peer in (
        ("MLP 784-256-128-10 step", own_step, peer_step),
        ("matmul 1024", lambda: x @ x, lambda: tx @ tx),
    ):
        own_mean, own_tail = slowdown(own)
        peer_mean, peer_tail = slowdown(peer)
        for label, mine, theirs, mark in (
            ("mean", own_mean, peer_mean, 2.5),
            ("p99", own_tail, peer_tail, 5.0),
        ):
            yield Row(
                GROUP,
                f"{name}, {label}",
                mine,
                theirs,
                mark,
                mine,
                mine,
                unit="x",
                note="the mark is for Samara's own slowdown",
            )
