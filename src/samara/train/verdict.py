"""Watch a run and say in words how it went."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samara.train.history import Baseline, History

__all__ = ["GradientWatch", "judge", "layer_of"]

# A final loss this many times the first one is divergence even while it is still finite.
_DIVERGED_FACTOR = 2.0
# A fall smaller than this share of the first loss is called flat.
_LEAST_FALL = 0.01
# Validation loss this far above its best is called overfitting.
_OVERFIT_FACTOR = 1.2


def layer_of(parameter_name: str) -> str:
    """The path of the layer that holds a parameter: `encoder.0.weight` -> `encoder.0`.

    The path of a model that is one layer is empty.
    """
    return parameter_name.rpartition(".")[0]


class GradientWatch:
    """Keep track of which parameters ever received a gradient that is not zero.

    Reading a gradient costs a pass over it, so a parameter is looked at until it has shown one
    non-zero gradient, and then only when `look_again` asks (once per epoch).
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = dict(parameters)
        self._waiting = set(self._parameters)
        self._reached: set[str] = set()
        self._zero_now: set[str] = set()

    def after_backward(self) -> None:
        """Look at the parameters that have shown no gradient yet."""
        for name in list(self._waiting):
            grad = self._parameters[name].grad
            if grad is None:
                continue
            self._reached.add(name)
            if _is_nonzero(grad):
                self._waiting.discard(name)

    def look_again(self) -> None:
        """Look at every parameter's present gradient: a layer may die in mid-run."""
        self._zero_now = {
            name
            for name, p in self._parameters.items()
            if p.grad is not None and not _is_nonzero(p.grad)
        }

    @property
    def unreached(self) -> list[str]:
        """Parameters that no backward pass ever reached."""
        return [name for name in self._parameters if name not in self._reached]

    @property
    def dead_layers(self) -> list[str]:
        """Layers reached by backward whose every gradient is zero, always or by now."""
        zero = (self._waiting & self._reached) | self._zero_now
        layers: dict[str, bool] = {}
        for name in self._parameters:
            if name in self._reached:
                layer = layer_of(name)
                layers[layer] = layers.get(layer, True) and name in zero
        return [layer for layer, dead in layers.items() if dead]


def _is_nonzero(grad: Any) -> bool:
    return bool((grad != 0).any().item())


def diverged_at(losses: Sequence[float]) -> int | None:
    """The step (from 0) at which the loss left for good, or None if it did not.

    >>> diverged_at([1.0, 0.9, 5.0, 80.0, 1e9])
    2
    >>> diverged_at([1.0, 30.0, 0.5]) is None
    True
    """
    for step, value in enumerate(losses):
        if not math.isfinite(value):
            return step
    if len(losses) < 2:
        return None
    # Around a loss of zero only the absolute size means anything.
    limit = losses[0] + (_DIVERGED_FACTOR - 1.0) * max(abs(losses[0]), 1e-3)
    tail = losses[-max(1, len(losses) // 10) :]
    if min(tail) <= limit:
        return None
    below = [step for step, value in enumerate(losses) if value <= limit]
    return below[-1] + 1


def judge(
    history: History,
    step_losses: array[float],
    *,
    watch: GradientWatch | None,
    steps_per_epoch: int,
    all_frozen: int = 0,
    constant_target: str | None = None,
) -> str:
    """Put the run in one sentence that begins with the word for it.

    The first word(s) are one of "learning", "flat", "diverged at step k" and
    "all gradients zero in layer p".
    """
    if all_frozen:
        return (
            f"flat: all {all_frozen} parameters are frozen (requires_grad=False), "
            "so nothing was trained"
        )
    step = diverged_at(step_losses)
    if step is not None:
        value = step_losses[min(step, len(step_losses) - 1)]
        return (
            f"diverged at step {step}: the loss went from {step_losses[0]:.4g} to {value:.4g}"
            f" (last {step_losses[-1]:.4g}); lower lr or clip gradients"
        )
    dead = watch.dead_layers if watch is not None else []
    if constant_target is not None:
        return f"flat: {constant_target}, so there is nothing to learn"
    if dead:
        return (
            f"all gradients zero in layer {short(dead)}: its parameters do not change; "
            "look for a dead ReLU, a saturated activation or a factor of zero after it"
        )
    return _learning_or_flat(history, step_losses, steps_per_epoch)


def _learning_or_flat(history: History, step_losses: Sequence[float], steps_per_epoch: int) -> str:
    first, last = _ends(step_losses, steps_per_epoch)
    fall = first - last
    if not step_losses or fall <= _LEAST_FALL * max(abs(first), 1e-12):
        return f"flat: the loss stayed near {first:.4g} (now {last:.4g})"
    share = 100.0 * fall / abs(first)
    # A loss that all but vanished reads better without "-100%".
    percent = f" (-{share:.0f}%)" if first > 0 and last >= 0 and share < 99.5 else ""
    said = f"the loss fell from {first:.4g} to {last:.4g}{percent}"
    if history.baseline is not None and not history.baseline.beaten:
        return f"learning, but no better than the baseline on validation: {said}; " + _beaten_by(
            history.baseline
        )
    best = history.best_epoch
    curve = history.validation_loss
    if curve and best is not None and best < len(curve):
        low = curve[best - 1]
        if curve[-1] > low + (_OVERFIT_FACTOR - 1.0) * abs(low) and history.loss[-1] < low:
            return (
                f"learning, but overfitting since epoch {best}: {said}, while the validation "
                f"loss rose from {low:.4g} to {curve[-1]:.4g}"
            )
    return f"learning: {said}"


def _beaten_by(baseline: Baseline) -> str:
    return (
        f"{baseline.metric} {baseline.model_score:.4g} against {baseline.score:.4g} "
        f"for the {baseline.name}"
    )


def _ends(losses: Sequence[float], steps_per_epoch: int) -> tuple[float, float]:
    """The loss before training shows and the loss at the end, each averaged over some steps."""
    n = len(losses)
    if n == 0:
        return math.nan, math.nan
    head = losses[: 1 + min(4, n // 20)]
    tail = losses[-max(1, min(n // 2, steps_per_epoch)) :]
    return sum(head) / len(head), sum(tail) / len(tail)


def short(items: Iterable[str], most: int = 6) -> str:
    """Names in a row, the first few of many."""
    names = [name or "(the model itself)" for name in items]
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
