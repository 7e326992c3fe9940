"""Draw a History with matplotlib, which is an extra and imported only here."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

from samara.errors import ArgumentError, SamaraError
from samara.train.history import spans_magnitudes

if TYPE_CHECKING:
    from samara.train.history import History

__all__ = ["plot_history"]

_SUFFIXES = (".png", ".svg", ".pdf")
_TRAIN, _VALIDATION, _REFERENCE = "#1f6f8b", "#d1495b", "#7a7a7a"


def plot_history(history: History, path: str) -> str:
    """Write `history` as an image to `path` and return the path."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _SUFFIXES:
        raise ArgumentError(
            f"History.plot: the file name {path!r} ends in {suffix or 'no suffix'}. "
            f"Expected one of {', '.join(_SUFFIXES)}. Fix: plot('loss.png')."
        )
    if not history.loss:
        raise ArgumentError(
            "History.plot: the history has no completed epoch. Expected at least one. "
            "Fix: train first, then plot."
        )
    figure = _figure(2 if history.metrics else 1)
    axes = figure.subplots(2 if history.metrics else 1, 1, squeeze=False, sharex=True)[:, 0]
    _draw_losses(axes[0], history)
    if history.metrics:
        _draw_metrics(axes[1], history)
    axes[-1].set_xlabel("epoch")
    axes[0].set_title(textwrap.fill(history.verdict or "training", 95), loc="left", fontsize=10)
    figure.savefig(path, dpi=130)
    return path


def _figure(rows: int) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SamaraError(
            "History.plot: matplotlib is not installed. Expected matplotlib 3 or newer. "
            "Fix: pip install matplotlib, or print(history.sparkline())."
        ) from error
    figure = Figure(figsize=(7.0, 2.4 + 1.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _style(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(True, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_losses(axis: Any, history: History) -> None:
    marker = "o" if history.epochs <= 30 else None
    style = {"marker": marker, "markersize": 3}
    axis.plot(range(1, history.epochs + 1), history.loss, color=_TRAIN, label="training", **style)
    if history.validation_loss:
        epochs = range(1, len(history.validation_loss) + 1)
        axis.plot(epochs, history.validation_loss, color=_VALIDATION, label="validation", **style)
        axis.legend(frameon=False)
    if spans_magnitudes(history.loss + history.validation_loss):
        axis.set_yscale("log")
    axis.set_ylabel(history.loss_name)
    _style(axis)


def _draw_metrics(axis: Any, history: History) -> None:
    palette = (_VALIDATION, "#e0a458", "#6a4c93", "#2f9e44")
    for i, (name, curve) in enumerate(history.metrics.items()):
        axis.plot(range(1, len(curve) + 1), curve, color=palette[i % len(palette)], label=name)
    base = history.baseline
    if base is not None and base.metric in history.metrics:
        label = f"baseline ({base.name})"
        axis.axhline(base.score, color=_REFERENCE, linestyle="--", linewidth=1, label=label)
    axis.set_ylabel("validation")
    axis.legend(frameon=False)
    _style(axis)
