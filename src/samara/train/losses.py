"""Losses by name, and the checks that stand between a loss and a silent mistake."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import ArgumentError, DataError, GradientError, ShapeError
from samara.train import core

__all__ = ["Loss", "resolve_loss"]

IGNORE_INDEX = -100

# Loss modules of samara.nn -> (name, what the target must look like).
_KINDS = {
    "MSELoss": ("mse", "same shape"),
    "L1Loss": ("mae", "same shape"),
    "HuberLoss": ("huber", "same shape"),
    "SmoothL1Loss": ("smooth_l1", "same shape"),
    "BCELoss": ("bce", "same shape"),
    "BCEWithLogitsLoss": ("bce_with_logits", "same shape"),
    "CrossEntropyLoss": ("cross_entropy", "labels"),
    "NLLLoss": ("nll", "labels"),
}


class Loss:
    """A loss function with its name, its kind of target and the checks on its use.

    `kind` is "same shape" (elementwise), "labels" (cross entropy) or "callable" (anything).
    """

    def __init__(self, name: str, function: Callable[..., Any], kind: str) -> None:
        self.name = name
        self.kind = kind
        self._function = function
        self._shapes_seen: set[tuple[Any, Any]] = set()

    @property
    def is_classification(self) -> bool:
        """True for a loss over class labels."""
        return self.kind == "labels"

    def __call__(self, output: Any, target: Any) -> Any:
        """The scalar loss of one batch; raises rather than broadcast, and keeps the graph."""
        shapes = (_shape(output), _shape(target))
        first = shapes not in self._shapes_seen
        if first:
            self._check_shapes(output, target)
        value = self._function(output, target)
        self._check_value(value)
        if first:
            if self.kind == "callable":
                self._check_silent_broadcast(output, target, value)
            self._shapes_seen.add(shapes)
        return value

    def _check_shapes(self, output: Any, target: Any) -> None:
        if not core.is_tensor(output):
            if self.kind == "callable":
                return
            raise ShapeError(
                f"fit: the model returned {_kind_of(output)}, which loss {self.name!r} cannot "
                "read. Expected one tensor. Fix: return a tensor from forward, or pass "
                "loss=callable(output, target)."
            )
        out, want = _shape(output), _shape(target)
        if self.kind == "same shape" and out != want:
            raise _broadcast_error(self.name, out, want)
        if self.kind == "labels":
            _check_logits(self.name, out, want, target)

    def _check_value(self, value: Any) -> None:
        if isinstance(value, (bool, int, float, np.generic, np.ndarray)):
            raise GradientError(
                f"fit: loss {self.name!r} returned a {type(value).__name__}, so the graph to the "
                "parameters is lost. Expected a scalar tensor. Fix: leave out .item(), float() "
                "and .numpy() inside the loss."
            )
        if not core.is_tensor(value):
            raise GradientError(
                f"fit: loss {self.name!r} returned {_kind_of(value)}. Expected a scalar tensor. "
                "Fix: return one tensor with one element."
            )
        if value.numel() != 1:
            raise ShapeError(
                f"fit: loss {self.name!r} returned a non-scalar tensor of shape "
                f"{_shape(value)}. Expected a scalar. Fix: reduce it, for example with .mean()."
            )

    def _check_silent_broadcast(self, output: Any, target: Any, value: Any) -> None:
        """Ask a user's loss whether it broadcasts (n,) against (n, 1).

        It does when the value is that of the two tensors spelt out to (n, n), and another one
        when either is given the other's shape.
        """
        out, want = _shape(output), _shape(target)
        if want is None or out == want or math.prod(out or ()) != math.prod(want):
            return
        try:
            whole = np.broadcast_shapes(out, want)
            with core.no_grad():
                free = output.detach()
                spelt_out = self._function(free.expand(whole), target.expand(whole))
                matched = (
                    self._function(free, target.reshape(out)),
                    self._function(free.reshape(want), target),
                )
        except Exception:
            # The loss insists on the shapes it was given: it knows what it does.
            return
        if _close(spelt_out, value) and not any(_close(right, value) for right in matched):
            raise _broadcast_error(self.name, out, want)


def resolve_loss(loss: Any) -> Loss:
    """A `Loss` from a name, an nn loss module or any callable `(output, target) -> scalar`.

    >>> resolve_loss("mse").name
    'mse'
    """
    if isinstance(loss, Loss):
        return loss
    function = core.loss_module(loss) if isinstance(loss, str) else loss
    known = _KINDS.get(type(function).__name__) if core.is_module(function) else None
    if known is not None:
        return Loss(known[0], function, known[1])
    if callable(loss):
        return Loss(getattr(loss, "__name__", type(loss).__name__), loss, "callable")
    raise ArgumentError(
        f"fit: loss is {_kind_of(loss)}. Expected a name, a loss module or a callable "
        "(output, target) -> scalar tensor. Fix: loss='mse'."
    )


def check_labels(
    labels: NDArray[Any], n_classes: int, name: str = "y", rows: NDArray[Any] | None = None
) -> None:
    """Raise `DataError` unless every integer label lies in 0 .. n_classes - 1.

    Labels that run 1 .. K are told apart from labels that are merely too large. `rows` gives the
    labels' row numbers in the user's own array.
    """
    kept = labels[labels != IGNORE_INDEX]
    if kept.size == 0:
        return
    low, high = int(kept.min()), int(kept.max())
    if low >= 0 and high < n_classes:
        return
    if low < 0:
        raise DataError(
            f"fit: {name} row {_row_of(labels, low, rows)} holds the negative label {low}. "
            f"Expected class codes 0..{n_classes - 1}. Fix: map the labels with "
            "np.unique(y, return_inverse=True)[1]."
        )
    if low >= 1 and high == n_classes:
        raise DataError(
            f"fit: the labels in {name} run {low}..{high} for {n_classes} outputs: they count "
            f"from 1. Expected 0..{n_classes - 1}. Fix: pass {name} - 1."
        )
    row = _row_of(labels, high, rows)
    raise DataError(
        f"fit: {name} row {row} holds label {high}, but the model has {n_classes} outputs. "
        f"Expected class codes 0..{n_classes - 1}. Fix: give the last layer {high + 1} outputs, "
        "or map the labels with np.unique(y, return_inverse=True)[1]."
    )


def _row_of(labels: NDArray[Any], value: int, rows: NDArray[Any] | None) -> int:
    row = int(np.argwhere(labels == value)[0][0])
    return row if rows is None else int(rows[row])


def _check_logits(
    name: str, out: tuple[int, ...], want: tuple[int, ...] | None, target: Any
) -> None:
    if len(out) < 2:
        raise ShapeError(
            f"fit: loss {name!r} got logits of shape {out}. Expected (n, classes). "
            "Fix: end the model with one output per class."
        )
    if want is None or out == want:
        return
    labels_shape = (out[0], *out[2:])
    if want != labels_shape:
        fix = "y.reshape(-1)" if want == (*labels_shape, 1) else "one class code per row"
        raise ShapeError(
            f"fit: loss {name!r} got output {out} and target {want}. Expected a target of shape "
            f"{labels_shape} (class codes) or {out} (probabilities). Fix: {fix}."
        )


def _broadcast_error(name: str, out: Any, want: Any) -> ShapeError:
    try:
        gives = f", which would broadcast to {np.broadcast_shapes(out, want)}"
    except (ValueError, TypeError):
        gives = ", which do not match"
    if want is not None and math.prod(out) == math.prod(want):
        fix = f"y = y.reshape({', '.join(['-1', *map(str, out[1:])])})"
        if len(out) > len(want):
            fix += ", or squeeze the model's output"
    else:
        fix = f"give the model {want[-1] if want else 1} output(s) or y the shape {out}"
    return ShapeError(
        f"fit: loss {name!r} got output {out} and target {want}{gives}. "
        f"Expected equal shapes. Fix: {fix}."
    )


def _close(a: Any, b: Any) -> bool:
    return math.isclose(float(a.item()), float(b.item()), rel_tol=1e-4, abs_tol=1e-6)


def _shape(value: Any) -> Any:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(int(n) for n in shape)


def _kind_of(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
