"""Averages of a model's weights over training, under the names of `torch.optim.swa_utils`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from samara.autograd import no_grad
from samara.errors import ArgumentError
from samara.lookup import choose
from samara.optim.lr_scheduler import LRScheduler
from samara.optim.optimizer import Optimizer
from samara.tensor import Tensor

__all__ = [
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _check_decay(decay: float) -> float:
    if not 0.0 <= decay <= 1.0:
        raise ArgumentError(
            f"exponential average: decay is {decay}. Expected 0 <= decay <= 1. Fix: decay=0.999."
        )
    return decay


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """average, value, n -> decay average + (1 - decay) value.

    >>> import samara
    >>> get_ema_avg_fn(0.5)(samara.tensor(2.0), samara.tensor(4.0), 1).item()
    3.0
    """
    _check_decay(decay)

    def update(average: Tensor, value: Tensor, num_averaged: Any) -> Tensor:
        return decay * average + (1 - decay) * value

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The same for lists, in place.

    >>> import samara
    >>> average = samara.tensor(2.0)
    >>> get_ema_multi_avg_fn(0.5)([average], [samara.tensor(4.0)], 1)
    >>> average.item()
    3.0
    """
    _check_decay(decay)

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], num_averaged: Any) -> None:
        with no_grad():
            for average, value in zip(averages, values, strict=True):
                if average.dtype.is_floating_point or average.dtype.is_complex:
                    average.detach().lerp_(value.detach(), 1 - decay)
                else:
                    average.detach().copy_(average * decay + value * (1 - decay))

    return update


def get_swa_avg_fn() -> Average:
    """average, value, n -> average + (value - average) / (n + 1).

    >>> import samara
    >>> get_swa_avg_fn()(samara.tensor(2.0), samara.tensor(5.0), 2).item()
    3.0
    """

    def update(average: Tensor, value: Tensor, num_averaged: Any) -> Tensor:
        result: Tensor = average + (value - average) / (int(num_averaged) + 1)
        return result

    return update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The same for lists, in place.

    >>> import samara
    >>> average = samara.tensor(2.0)
    >>> get_swa_multi_avg_fn()([average], [samara.tensor(5.0)], 2)
    >>> average.item()
    3.0
    """
    one = get_swa_avg_fn()

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], num_averaged: Any) -> None:
        with no_grad():
            for average, value in zip(averages, values, strict=True):
                average.detach().copy_(one(average.detach(), value.detach(), num_averaged))

    return update


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Batch norm statistics of a model anew, as plain averages over the batches of `loader`.

    Batches are tensors, or tuples and lists that begin with one.

    >>> import samara
    >>> from samara import nn
    >>> model = nn.BatchNorm1d(1)
    >>> update_bn([samara.tensor([[1.0], [3.0]])], model)
    >>> model.running_mean.item(), model.running_var.item()
    (2.0, 2.0)
    """
    norms = [m for m in model.modules() if hasattr(m, "running_mean") and hasattr(m, "momentum")]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """lr goes to swa_lr over anneal_epochs steps, by a cosine or a line, and stays there.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = SWALR(opt, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(3)]
    [0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        choose("SWALR: anneal_strategy", anneal_strategy, dict.fromkeys(("cos", "linear")))
        if anneal_epochs < 0:
            raise ArgumentError(
                f"SWALR: anneal_epochs is {anneal_epochs}. Expected 0 or more. Fix: 10."
            )
        groups = len(optimizer.param_groups)
        self.swa_lrs = [float(swa_lr)] * groups if isinstance(swa_lr, (int, float)) else [*swa_lr]
        if len(self.swa_lrs) != groups:
            raise ArgumentError(
                f"SWALR: swa_lr has {len(self.swa_lrs)} values for {groups} groups. Expected one "
                "each, or one for all. Fix: swa_lr=0.05."
            )
        self.anneal_epochs = anneal_epochs
        self.anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        part = min(t / self.anneal_epochs, 1.0) if self.anneal_epochs else 1.0
        if self.anneal_strategy == "cos":
            part = (1.0 - math.cos(math.pi * part)) / 2.0
        return base + (self.swa_lrs[group] - base) * part


def __getattr__(name: str) -> Any:
    if name == "AveragedModel":
        from samara.nn.utils.averaged import AveragedModel

        return AveragedModel
    raise AttributeError(f"module 'samara.optim.swa_utils' has no attribute {name!r}")
