"""What a training run leaves behind: the curves, the verdict, a sparkline and a plot."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any

from samara.errors import ArgumentError, SamaraError

__all__ = ["Baseline", "History", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"
FORMAT_VERSION = 1


def sparkline(
    values: Sequence[float], width: int = 40, *, log: bool = False, ascii: bool | None = None
) -> str:
    """Draw a curve as one line of text, the highest value as the tallest block.

    values: [n] floats -> a string of at most `width` characters. Longer curves are averaged
    over equal stretches. A non-finite value shows as `x`. `log=True` draws orders of magnitude
    (values above 0). `ascii=None` falls back to plain characters where the terminal's encoding has
    no block characters.

    >>> sparkline([3.0, 2.0, 1.0, 0.0], ascii=False)
    '█▆▃▁'
    """
    if width < 1:
        raise ArgumentError(f"sparkline: width is {width}. Expected at least 1. Fix: width=40.")
    if ascii is None:
        ascii = not _can_show_blocks()
    ramp = _ASCII if ascii else _BLOCKS
    points = _thin([float(v) for v in values], width)
    if log:
        points = [math.log(v) if v > 0 else math.nan for v in points]
    finite = [v for v in points if math.isfinite(v)]
    if not points:
        return ""
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    span = high - low
    top = len(ramp) - 1

    def block(v: float) -> str:
        if not math.isfinite(v):
            return "x"
        if span <= 0.0 or not math.isfinite(span):
            return ramp[0]
        return ramp[round((v - low) / span * top)]

    return "".join(block(v) for v in points)


def spans_magnitudes(values: Sequence[float]) -> bool:
    """True for positive values so far apart that a linear scale shows a wall and a floor."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) > 50 * min(finite)


def _can_show_blocks() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _thin(values: list[float], width: int) -> list[float]:
    """Average equal stretches; a stretch with a non-finite value stays non-finite."""
    n = len(values)
    if n <= width:
        return values
    edges = [i * n // width for i in range(width + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True)
class Baseline:
    """A simple named rule scored on the same validation rows as the model.

    `name` is "mean" or "majority", `metric` the score's name, `score` the rule's score and
    `model_score` the model's.
    """

    name: str
    metric: str
    score: float
    model_score: float
    higher_is_better: bool = False

    @property
    def beaten(self) -> bool:
        """True when the model's score is strictly better than the rule's."""
        if self.higher_is_better:
            return self.model_score > self.score
        return self.model_score < self.score

    def __str__(self) -> str:
        said = "better" if self.beaten else "NOT better"
        return (
            f"validation {self.metric} {self.model_score:.4g}, "
            f"baseline ({self.name}) {self.score:.4g}: {said}"
        )


@dataclass
class History:
    """The record of one `fit`: one entry per epoch in each curve.

    `loss` and `validation_loss` are mean losses per epoch; `metrics` maps a metric's name to
    its values; `seconds` is the total time; `verdict` says in words how it went; `notes` lists
    what deserves attention (frozen or never-trained parameters, casts); `baseline` compares the
    last validation score with a simple rule.

    >>> h = History(loss=[2.0, 1.0, 0.5])
    >>> h.epochs
    3
    >>> h.loss[-1] < h.loss[0]
    True
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    epoch_seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    loss_name: str = "loss"
    verdict: str = ""
    notes: list[str] = field(default_factory=list)
    baseline: Baseline | None = None

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self.loss)

    @property
    def best_epoch(self) -> int | None:
        """The epoch (counted from 1) with the lowest validation loss, else training loss."""
        curve = self.validation_loss or self.loss
        finite = [(v, i) for i, v in enumerate(curve) if math.isfinite(v)]
        return min(finite)[1] + 1 if finite else None

    def sparkline(self, width: int = 40) -> str:
        """The training loss as one line of block characters."""
        return sparkline(self.loss, width, log=spans_magnitudes(self.loss))

    def plot(self, path: str | PathLike[str]) -> str:
        """Write the loss curves (and metrics, below) to an image; the suffix picks PNG, SVG or PDF.

        Returns the path written. Needs matplotlib (`pip install matplotlib`); no display is
        needed and no global matplotlib state is changed.
        """
        from samara.train.plot import plot_history

        return plot_history(self, fspath(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of `from_dict`."""
        out: dict[str, Any] = {"format_version": FORMAT_VERSION}
        for name in _PLAIN_FIELDS:
            out[name] = getattr(self, name)
        out["baseline"] = None if self.baseline is None else dict(vars(self.baseline))
        return out

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> History:
        """Rebuild a History from `to_dict`'s result."""
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise SamaraError(
                f"History: format_version is {version!r}. Expected {FORMAT_VERSION}. "
                "Fix: upgrade samara to the version that wrote the file."
            )
        history = cls(**{name: values[name] for name in _PLAIN_FIELDS if name in values})
        if values.get("baseline") is not None:
            history.baseline = Baseline(**values["baseline"])
        return history

    def __repr__(self) -> str:
        if not self.loss:
            return f"History(0 epochs{', ' + self.verdict if self.verdict else ''})"
        parts = [
            f"{self.epochs} epoch{'s' if self.epochs != 1 else ''} in {self.seconds:.1f} s",
            f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g} {self.sparkline(20)}",
        ]
        if self.validation_loss:
            parts.append(f"validation_loss {self.validation_loss[-1]:.4g}")
        parts += [f"{name} {curve[-1]:.4g}" for name, curve in self.metrics.items() if curve]
        if self.verdict:
            parts.append(f"verdict: {self.verdict}")
        return f"History({'; '.join(parts)})"


_PLAIN_FIELDS = (
    "loss",
    "validation_loss",
    "metrics",
    "epoch_seconds",
    "learning_rate",
    "steps",
    "seconds",
    "loss_name",
    "verdict",
    "notes",
)
