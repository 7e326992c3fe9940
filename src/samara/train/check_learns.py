"""Can this model learn at all? Overfit one batch on a copy and see the loss fall."""

from __future__ import annotations

import copy
import math
from array import array
from dataclasses import dataclass
from typing import Any

from samara.errors import ArgumentError
from samara.train import core
from samara.train.inputs import gather
from samara.train.losses import resolve_loss
from samara.train.optimizers import make_optimizer
from samara.train.verdict import GradientWatch, short

__all__ = ["LearnsReport", "check_learns"]


@dataclass(frozen=True)
class LearnsReport:
    """The result of `check_learns`; true in an `if` when the check passed."""

    start_loss: float
    end_loss: float
    steps: int
    passed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        said = "passed" if self.passed else "FAILED"
        return f"check_learns {said}: {self.reason}"


def check_learns(
    model: Any,
    batch: tuple[Any, Any],
    *,
    loss: Any = "mse",
    steps: int = 200,
    lr: float = 1e-2,
    optimizer: Any = "adam",
    fall: float = 0.5,
) -> LearnsReport:
    """Train a copy of `model` on one batch and report whether the loss falls.

    batch: (x, y). Passes when the loss falls by at least the share `fall` of its first value within
    `steps` steps. The model, its mode and the random stream are left as they were: the copy runs in
    eval mode (no dropout).

    Raises what `fit` raises for bad data and for a loss that would broadcast.

    >>> import numpy as np, samara
    >>> x = np.linspace(-1, 1, 16)[:, None]
    >>> report = samara.check_learns(samara.nn.Linear(1, 1), (x, 3 * x + 2))
    >>> report.passed, report.end_loss < report.start_loss
    (True, True)
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ArgumentError(
            f"check_learns: batch is a {type(batch).__name__}. Expected (x, y). "
            "Fix: check_learns(model, (x, y))."
        )
    chosen = resolve_loss(loss)
    inputs, target = _one_batch(batch, chosen.kind, model)
    twin = copy.deepcopy(model)
    twin.eval()
    if core.has_lazy_parameters(twin):
        with core.no_grad():
            twin(*inputs)
    trainable = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    first = float(chosen(twin(*inputs), target).item())
    if not trainable:
        return LearnsReport(first, first, 0, False, "the model has no trainable parameter")
    step_optimizer = make_optimizer(optimizer, trainable, lr)
    watch = GradientWatch(trainable)
    losses = array("d")
    for _ in range(steps):
        value = chosen(twin(*inputs), target)
        losses.append(float(value.item()))
        if not math.isfinite(losses[-1]) or not value.requires_grad:
            break
        step_optimizer.zero_grad()
        value.backward()
        watch.after_backward()
        step_optimizer.step()
    with core.no_grad():
        last = float(chosen(twin(*inputs), target).item())
    passed = math.isfinite(last) and first - last >= fall * abs(first)
    return LearnsReport(first, last, len(losses), passed, _reason(first, last, losses, watch))


def _one_batch(batch: Any, kind: str, model: Any) -> tuple[tuple[Any, ...], Any]:
    from samara.train.fit import reading_for

    x, y = batch
    data = gather(
        x,
        y,
        batch_size=2**31,
        validation=None,
        shuffle=False,
        seed=0,
        reading=reading_for(model, kind),
    )
    inputs, target = data.train.peek()
    return tuple(core.tensor(part) for part in inputs), core.tensor(target)


def _reason(first: float, last: float, losses: array[float], watch: GradientWatch) -> str:
    said = f"the loss went from {first:.4g} to {last:.4g} in {len(losses)} steps on one batch"
    if watch.unreached:
        said += f"; no gradient reaches {short(watch.unreached)}"
    elif watch.dead_layers:
        said += f"; all gradients zero in layer {short(watch.dead_layers)}"
    return said
