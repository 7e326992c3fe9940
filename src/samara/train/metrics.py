"""Scores on whole validation sets, computed in NumPy float64, and the simple rules beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import ArgumentError
from samara.lookup import choose
from samara.train.history import Baseline

__all__ = ["Metric", "baseline_for", "resolve_metrics"]

Array = NDArray[Any]
Score = Callable[[Array, Array], float]


@dataclass(frozen=True)
class Metric:
    """A named score `function(outputs, targets) -> float` over all rows.

    `unit` scales the result into the target's own units when the target was standardised.
    """

    name: str
    function: Score
    higher_is_better: bool = False
    scales: bool = False
    unit: float = 1.0

    def __call__(self, outputs: Array, targets: Array) -> float:
        """The score of all rows."""
        value = float(self.function(outputs, targets))
        return value * self.unit if self.scales else value


def _accuracy(outputs: Array, targets: Array) -> float:
    if outputs.ndim > 1 and outputs.shape[1] > 1:
        said = outputs.argmax(axis=1)
        truth = targets.argmax(axis=1) if targets.shape == outputs.shape else targets
        kept = truth != -100
        return float((said[kept] == truth[kept]).mean()) if kept.any() else float("nan")
    return float(((outputs.reshape(-1) > 0) == (targets.reshape(-1) > 0.5)).mean())


def _mse(outputs: Array, targets: Array) -> float:
    return float(np.mean(np.square(outputs.astype(np.float64) - targets.reshape(outputs.shape))))


def _rmse(outputs: Array, targets: Array) -> float:
    return float(np.sqrt(_mse(outputs, targets)))


def _mae(outputs: Array, targets: Array) -> float:
    return float(np.mean(np.abs(outputs.astype(np.float64) - targets.reshape(outputs.shape))))


def _r2(outputs: Array, targets: Array) -> float:
    truth = targets.astype(np.float64).reshape(outputs.shape)
    spread = float(np.mean(np.square(truth - truth.mean(axis=0))))
    return 1.0 - _mse(outputs, targets) / spread if spread > 0 else float("nan")


_BY_NAME = {
    "accuracy": Metric("accuracy", _accuracy, higher_is_better=True),
    "mse": Metric("mse", _mse),
    "rmse": Metric("rmse", _rmse, scales=True),
    "mae": Metric("mae", _mae, scales=True),
    "r2": Metric("r2", _r2, higher_is_better=True),
}


# The loss's name -> the metrics of a run that asks for none.
_DEFAULTS = {
    "cross_entropy": ("accuracy",),
    "nll": ("accuracy",),
    "bce_with_logits": ("accuracy",),
    "mse": ("rmse",),
    "mae": ("mae",),
    "huber": ("mae",),
    "smooth_l1": ("mae",),
}


def resolve_metrics(metrics: Any, loss_name: str, unit: float = 1.0) -> list[Metric]:
    """Metrics from names and callables; None picks one that suits the loss.

    >>> [m.name for m in resolve_metrics(None, "cross_entropy")]
    ['accuracy']
    """
    if metrics is None:
        metrics = _DEFAULTS.get(loss_name, ())
    if isinstance(metrics, str) or callable(metrics):
        metrics = (metrics,)
    return [_resolve(m, unit) for m in metrics]


def _resolve(metric: Any, unit: float) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        found = choose("fit: metric", metric, _BY_NAME)
        return Metric(found.name, found.function, found.higher_is_better, found.scales, unit)
    if callable(metric):
        return Metric(getattr(metric, "__name__", type(metric).__name__), metric)
    raise ArgumentError(
        f"fit: a metric is a {type(metric).__name__}. Expected a name or a callable "
        "(outputs, targets) -> float on NumPy arrays. Fix: metrics=('mae',)."
    )


def baseline_for(
    loss_name: str,
    train_target: Array | None,
    validation_target: Array | None,
    metrics: Sequence[Metric],
    latest: Callable[[str], float | None],
) -> Baseline | None:
    """Score the simple rule (mean or majority of the training rows) on the validation rows.

    Regression: predict the training mean everywhere, scored with the first of the run's rmse,
    mae or mse. Classification: predict the most frequent training class, scored by accuracy.
    """
    if train_target is None or validation_target is None or validation_target.size == 0:
        return None
    if loss_name in ("mse", "mae", "huber", "smooth_l1"):
        metric = _first(metrics, ("rmse", "mae", "mse"))
        if metric is None:
            return None
        mean = train_target.astype(np.float64).mean(axis=0, keepdims=True)
        constant = np.broadcast_to(mean, validation_target.shape)
        score, name = metric(constant, validation_target), "mean"
    elif loss_name in ("cross_entropy", "nll") and train_target.dtype.kind in "iu":
        metric = _first(metrics, ("accuracy",))
        if metric is None:
            return None
        kept = validation_target[validation_target != -100]
        train = train_target[train_target >= 0]
        if kept.size == 0 or train.size == 0:
            return None
        score, name = float((kept == np.bincount(train.reshape(-1)).argmax()).mean()), "majority"
    else:
        return None
    own = latest(metric.name)
    if own is None:
        return None
    return Baseline(name, metric.name, score, own, metric.higher_is_better)


def _first(metrics: Iterable[Metric], names: Sequence[str]) -> Metric | None:
    return next((m for m in metrics if m.name in names), None)
