"""What `fit` accepts as optimizer and as schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from samara import optim
from samara.errors import ArgumentError
from samara.lookup import choose

__all__ = ["Schedule", "make_optimizer", "make_schedule"]


def make_optimizer(choice: Any, trainable: Mapping[str, Any], lr: float | None) -> Any:
    """An optimizer over the named parameters, or the user's own after a look at what it trains."""
    if isinstance(choice, optim.Optimizer):
        _check_trains(choice, trainable)
        return choice
    if not isinstance(choice, str) and not (
        isinstance(choice, type) and issubclass(choice, optim.Optimizer)
    ):
        raise ArgumentError(
            f"fit: optimizer is a {type(choice).__name__}. Expected a name, a class of "
            "samara.optim or one of its objects. Fix: optimizer='adamw'."
        )
    options = {} if lr is None else {"lr": lr}
    return optim.get(choice, list(trainable.items()), **options)


def _check_trains(optimizer: Any, trainable: Mapping[str, Any]) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in trainable.values()}:
        names = ", ".join(list(trainable)[:4])
        raise ArgumentError(
            f"fit: the optimizer holds none of the model's parameters ({names}). Expected the "
            "parameters of this model. Fix: make it with model.parameters()."
        )


class Schedule:
    """Sets the learning rate of every group before each step to its first value times a factor.

    `factor` maps a step's number (from 0) to a number above 0.
    """

    def __init__(self, optimizer: Any, factor: Callable[[int], float]) -> None:
        self._groups = optimizer.param_groups
        self._first = [group["lr"] for group in self._groups]
        self._factor = factor

    def before_step(self, step: int) -> None:
        """Set the rates for this step."""
        factor = float(self._factor(step))
        if not math.isfinite(factor) or factor <= 0:
            raise ArgumentError(
                f"fit: the schedule gave {factor:g} at step {step}. Expected a finite factor "
                "above 0. Fix: schedule=lambda step: 0.99**step."
            )
        for group, first in zip(self._groups, self._first, strict=True):
            group["lr"] = first * factor

    def after_epoch(self, loss: float) -> None:
        """Nothing to do: the step's number says it all."""


class EpochSchedule:
    """A scheduler object of `samara.optim.lr_scheduler`, stepped once after every epoch."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def before_step(self, step: int) -> None:
        """Nothing to do: the scheduler counts epochs."""

    def after_epoch(self, loss: float) -> None:
        """Step; a scheduler that watches a plateau gets the loss (validation's where there is)."""
        if type(self._scheduler).__name__ == "ReduceLROnPlateau":
            self._scheduler.step(loss)
        else:
            self._scheduler.step()


def cosine(total: int) -> Callable[[int], float]:
    """Half a cosine from 1 to nearly 0: (1 + cos(pi t / T)) / 2 (Loshchilov and Hutter, 2017).

    >>> [round(cosine(4)(t), 2) for t in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    """
    return lambda step: 0.5 * (1.0 + math.cos(math.pi * min(step, total - 0.5) / total))


def linear(total: int) -> Callable[[int], float]:
    """A straight line from 1 to nearly 0: 1 - t / T.

    >>> [linear(4)(t) for t in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return lambda step: 1.0 - min(step, total - 0.5) / total


_BY_NAME = {"cosine": cosine, "linear": linear}


def make_schedule(
    choice: Any, optimizer: Any, total_steps: int | None
) -> Schedule | EpochSchedule | None:
    """A schedule from a name, a callable step -> factor, or a scheduler object."""
    if choice is None:
        return None
    if isinstance(choice, str):
        shape = choose("fit: schedule", choice, _BY_NAME)
        if total_steps is None:
            raise ArgumentError(
                f"fit: schedule {choice!r} needs the number of steps, and the loader has no "
                "len(). Expected a loader with len(). Fix: schedule=callable step -> factor."
            )
        return Schedule(optimizer, shape(total_steps))
    if hasattr(choice, "step") and getattr(choice, "optimizer", None) is not None:
        if choice.optimizer is not optimizer:
            raise ArgumentError(
                "fit: the schedule belongs to another optimizer. Expected one made for the "
                "optimizer that trains. Fix: pass that optimizer too, fit(..., optimizer=opt, "
                "schedule=scheduler)."
            )
        return EpochSchedule(choice)
    if callable(choice):
        return Schedule(optimizer, choice)
    raise ArgumentError(
        f"fit: schedule is a {type(choice).__name__}. Expected 'cosine', 'linear', a callable "
        "step -> factor or a scheduler object. Fix: schedule='cosine'."
    )
