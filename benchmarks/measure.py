"""Interleaved timing: both sides in turn, so that a drifting machine shifts both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Step = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds, other quantities in their own unit."""

    group: str
    name: str
    samara: float
    peer: float
    mark: float | None
    low: float
    high: float
    unit: str = "s"
    note: str = ""

    @property
    def ratio(self) -> float:
        """Samara / PyTorch: smaller is better."""
        return self.samara / self.peer


def seconds_per_call(step: Step, calls: int) -> float:
    """Mean time of `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls


def settled(step: Step, calls: int) -> float:
    """As above, after a pause: the other side's threads spin on for a while when its turn ends."""
    time.sleep(0.03)
    step()
    return seconds_per_call(step, calls)


def calls_for(step: Step, seconds: float) -> int:
    """How many calls fill about that time."""
    step()
    once = max(seconds_per_call(step, 1), 1e-8)
    trial = max(1, min(1000, int(0.01 / once)))
    return max(1, int(seconds / max(seconds_per_call(step, trial), 1e-9)))


def compare(
    group: str,
    name: str,
    samara: Step,
    peer: Step,
    mark: float | None,
    *,
    rounds: int = 11,
    seconds: float = 0.04,
) -> Row:
    """Medians over interleaved rounds; the spread is the quartiles of the rounds' ratios."""
    own_calls, peer_calls = calls_for(samara, seconds), calls_for(peer, seconds)
    own, other = [], []
    for _ in range(rounds):
        own.append(settled(samara, own_calls))
        other.append(settled(peer, peer_calls))
    ratios = sorted(a / b for a, b in zip(own, other, strict=True))
    quarter = len(ratios) // 4
    return Row(
        group,
        name,
        statistics.median(own),
        statistics.median(other),
        mark,
        ratios[quarter],
        ratios[-1 - quarter],
    )


def show(value: float, unit: str) -> str:
    """A quantity with a fitting prefix."""
    if unit == "x":
        return f"{value:.2f} x"
    if unit == "MB":
        return f"{value:.1f} MB"
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def show_row(row: Row) -> str:
    """One line for the terminal."""
    return (
        f"{row.group:28.28s} {row.name:48.48s} {show(row.samara, row.unit):>10s} "
        f"{show(row.peer, row.unit):>10s}  ratio {row.ratio:5.2f}"
    )
