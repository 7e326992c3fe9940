"""Who is trained on and who is held out: splits that are pure functions of the seed."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from . import problems

STRATEGIES = ("auto", "random", "stratified", "group", "time")
Rows = NDArray[np.int64]


def permutation(rows: int, seed: int, purpose: str, epoch: int = 0) -> Rows:
    """A random order of ``rows`` rows that depends on nothing but the arguments.

    The order sorts raw 64-bit words of the Philox-4x64-10 counter generator, whose key is a hash
    of (seed, purpose, epoch). The raw words are fixed by the algorithm, so the order is the same
    on every machine and with every NumPy release.

    Returns:
        int64 [rows], each of 0 .. rows - 1 once.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11.

    >>> bool((permutation(100, seed=3, purpose="shuffle") == permutation(100, 3, "shuffle")).all())
    True
    """
    text = f"samara {int(seed)} {purpose} {int(epoch)}".encode()
    key = int.from_bytes(hashlib.sha256(text).digest()[:16], "little")
    words = np.random.Philox(key=key).random_raw(rows)
    return np.argsort(np.asarray(words), kind="stable").astype(np.int64, copy=False)


def split_rows(
    rows: int,
    validation: float,
    seed: int = 0,
    strategy: str = "random",
    by: NDArray[np.generic] | None = None,
    label: str = "split",
) -> tuple[Rows, Rows]:
    """Splits 0 .. rows - 1 into training and validation rows, both in ascending order.

    Args:
        rows: number of rows.
        validation: fraction to hold out, 0 <= validation < 1.
        seed: same seed, same split.
        strategy: ``random``; ``stratified`` (``by``: classes [rows]; every class keeps at least
            one training row); ``group`` (``by``: groups [rows], never divided); ``time``
            (``by``: times [rows]; the latest are held out, equal times stay together).
        by: classes, groups or times.
        label: what to call the data in an error.

    Returns:
        (training rows, validation rows), int64.

    Raises:
        DataError: a fraction outside [0, 1), or a split that would leave no training rows.

    >>> train, held_out = split_rows(10, 0.3, seed=1)
    >>> len(train), len(held_out), sorted([*train, *held_out]) == list(range(10))
    (7, 3, True)
    """
    if not 0 <= validation < 1:
        raise problems.error(
            label, f"validation={validation!r} is not a fraction", "pass 0 <= validation < 1"
        )
    if strategy not in STRATEGIES[1:]:
        raise problems.error(
            label, f"split={strategy!r} is unknown", f"use one of {', '.join(STRATEGIES)}"
        )
    if validation == 0:
        return np.arange(rows), np.arange(0)
    if rows < 2:
        raise problems.error(label, f"{rows} row cannot be split", "add rows, or pass validation=0")
    wanted = min(rows - 1, max(1, round(rows * validation)))
    if strategy == "random" or by is None:
        held_out = permutation(rows, seed, "split")[:wanted]
    elif strategy == "stratified":
        held_out = _stratified(np.asarray(by), wanted, seed)
    elif strategy == "group":
        held_out = _grouped(np.asarray(by), wanted, seed, label)
    else:
        held_out = _latest(np.asarray(by), wanted, label)
    chosen = np.zeros(rows, bool)
    chosen[held_out] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _stratified(classes: NDArray[np.generic], wanted: int, seed: int) -> Rows:
    """Largest-remainder shares of ``wanted`` over the classes, at most count - 1 each."""
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    exact = counts * (wanted / len(classes))
    shares = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    for code in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if shares.sum() >= wanted:
            break
        shares[code] += shares[code] < counts[code] - 1
    order = permutation(len(classes), seed, "split")
    by_class = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    parts = [by_class[s : s + k] for s, k in zip(starts, shares, strict=True)]
    return np.concatenate(parts)


def _grouped(groups: NDArray[np.generic], wanted: int, seed: int, label: str) -> Rows:
    """Whole groups in random order, while they bring the total nearer to ``wanted``."""
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise problems.error(
            label, "all rows are of one group and groups are not divided", "split by another column"
        )
    taken = np.zeros(len(counts), bool)
    total = 0
    for code in permutation(len(counts), seed, "split"):
        better = abs(total + counts[code] - wanted) < abs(total - wanted)
        if better and taken.sum() < len(counts) - 1:
            taken[code] = True
            total += int(counts[code])
    if not taken.any():
        taken[np.argmin(counts)] = True
    return np.flatnonzero(taken[codes])


def _latest(times: NDArray[np.generic], wanted: int, label: str) -> Rows:
    values = np.sort(times)
    first = values[len(times) - wanted]
    held_out = times >= first
    if held_out.all():
        held_out = times > first
    if not held_out.any():
        raise problems.error(
            label, f"all rows have the same time, {first}", "split by another column"
        )
    return np.flatnonzero(held_out)
