"""Learning-rate schedules: lr as a closed function of the number of steps.

    optimizer.step()
    scheduler.step()

t counts the scheduler's steps and starts at 0. Every schedule but `ReduceLROnPlateau` is a function
of (base lr, t), so resuming needs t alone. When lr was changed by hand, or by another schedule on
the same optimizer, the schedule goes on from there, scaled by that change.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samara.errors import ArgumentError
from samara.lookup import choose
from samara.optim.optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """Base of the schedules: sets each group's lr to `_value(base lr, t, group)`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _check_optimizer(self, optimizer)
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: last_epoch is {last_epoch}, and group {index} has no "
                    "initial_lr. Expected an optimizer that a schedule was used on. Fix: load the "
                    "optimizer's state first, or leave last_epoch out."
                )
        self.last_epoch = last_epoch + 1
        fresh = last_epoch == -1
        self.base_lrs = [
            float(group["lr"] if fresh else group["initial_lr"]) for group in optimizer.param_groups
        ]
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]
        self._set_lr()

    def _value(self, base: float, t: float, group: int) -> float:
        """The lr after t steps."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The lr of each group at the present t."""
        return [self._value(base, self.last_epoch, i) for i, base in enumerate(self.base_lrs)]

    def get_last_lr(self) -> list[float]:
        """The lr that each group was given last."""
        return list(self._last_lr)

    def step(self) -> None:
        """Go one step further and set the lr."""
        self._follow_changes()
        self.last_epoch += 1
        self._set_lr()

    def _follow_changes(self) -> None:
        for index, group in enumerate(self.optimizer.param_groups):
            if index >= len(self.base_lrs):  # a group that was added since
                group.setdefault("initial_lr", float(group["lr"]))
                self.base_lrs.append(float(group["lr"]))
                self._last_lr.append(float(group["lr"]))
            last, now = self._last_lr[index], float(group["lr"])
            if now != last and last != 0:
                self.base_lrs[index] *= now / last

    def _set_lr(self) -> None:
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """t, the base lrs and the present ones."""
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "_last_lr": list(self._last_lr),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state; the optimizer's lr comes with the optimizer's own state."""
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._last_lr = list(state_dict["_last_lr"])


_LRScheduler = LRScheduler  # PyTorch's older name, which schedules of others still derive from


def _check_optimizer(scheduler: Any, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"{type(scheduler).__name__}: received {type(optimizer).__name__}. Expected an "
            f"Optimizer. Fix: {type(scheduler).__name__}(optimizer, ...)."
        )
    return optimizer


def _at_least(owner: str, name: str, value: Any, low: float) -> Any:
    if not value >= low:
        raise ArgumentError(
            f"{owner}: {name} is {value}. Expected {name} >= {low}. Fix: {name}={low}."
        )
    return value


class StepLR(LRScheduler):
    """lr = base gamma^(t // step_size).

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = StepLR(opt, step_size=2, gamma=0.5)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = _at_least("StepLR", "step_size", step_size, 1)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * float(self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """lr = base gamma^(number of milestones <= t).

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = MultiStepLR(opt, milestones=[1, 3], gamma=0.5)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(3)]
    [0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * float(self.gamma ** bisect.bisect_right(self.milestones, t))


class ExponentialLR(LRScheduler):
    """lr = base gamma^t.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = ExponentialLR(opt, gamma=0.5)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(3)]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * float(self.gamma**t)


class ConstantLR(LRScheduler):
    """lr = base factor while t < total_iters, then base.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = ConstantLR(opt, factor=0.5, total_iters=2)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(3)]
    [0.5, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError(
                f"ConstantLR: factor is {factor}. Expected 0 <= factor <= 1. Fix: factor=0.1."
            )
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * self.factor if t < self.total_iters else base


class LinearLR(LRScheduler):
    """lr = base (start + (end - start) min(t, total_iters) / total_iters).

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = LinearLR(opt, start_factor=0.5, total_iters=2)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(3)]
    [0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ArgumentError(
                f"LinearLR: received start_factor={start_factor}, end_factor={end_factor}. "
                "Expected 0 < start_factor <= 1 and 0 <= end_factor <= 1. Fix: start_factor=0.1."
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        part = min(t, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class PolynomialLR(LRScheduler):
    """lr = base (1 - min(t, total_iters) / total_iters)^power.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = PolynomialLR(opt, total_iters=4)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [0.75, 0.5, 0.25, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = _at_least("PolynomialLR", "total_iters", total_iters, 1)
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * float((1.0 - min(t, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter, 2017).

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = CosineAnnealingLR(opt, T_max=2)
    >>> [(schedule.step(), round(schedule.get_last_lr()[0], 6))[1] for _ in range(2)]
    [0.5, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = _at_least("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return _cosine(base, self.eta_min, t / self.T_max)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * part)) / 2.0


def _line(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine from base to eta_min over T_i steps, restarted with T_(i+1) = T_mult T_i.

    `step(epoch)` takes a fraction of an epoch too. Source: Loshchilov and Hutter, 2017 (SGDR).

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(opt, T_0=2)
    >>> [(schedule.step(), round(schedule.get_last_lr()[0], 6))[1] for _ in range(3)]
    [0.5, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = _at_least("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = _at_least("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        length, start = float(self.T_0), 0.0
        if self.T_mult == 1:
            start = math.floor(t / length) * length
        else:
            while t >= start + length:
                start += length
                length *= self.T_mult
        return _cosine(base, self.eta_min, (t - start) / length)

    def step(self, epoch: float | None = None) -> None:
        """Go one step further, or to a point in time, and set the lr."""
        if epoch is None:
            super().step()
            return
        _at_least("CosineAnnealingWarmRestarts.step", "epoch", epoch, 0)
        self._follow_changes()
        self.last_epoch = epoch  # type: ignore[assignment]  # whole again below
        self._set_lr()
        self.last_epoch = math.floor(epoch)


class LambdaLR(LRScheduler):
    """lr = base f(t), one function for all groups or a list with one each.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = LambdaLR(opt, lambda t: 1 / (1 + t))
    >>> (schedule.step(), schedule.get_last_lr())[1]
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(self, optimizer)
        self.lr_lambdas = _per_group(type(self).__name__, "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def _value(self, base: float, t: float, group: int) -> float:
        return base * float(self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)](int(t)))


def _per_group(owner: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(
            f"{owner}: {name} has {len(value)} entries. Expected {count}, one per group. "
            "Fix: pass one value for all groups, or one each."
        )
    return list(value)


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down to that over final_div_factor.

    The rise takes `pct_start` of `total_steps` (or epochs * steps_per_epoch); momentum, or beta1,
    goes the other way between max_momentum and base_momentum. `three_phase` falls to the start
    first and to the minimum after that. Source: Smith and Topin, 2018.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0, momentum=0.9)
    >>> schedule = OneCycleLR(opt, max_lr=1.0, total_steps=10)
    >>> round(schedule.get_last_lr()[0], 6), round(opt.param_groups[0]["momentum"], 6)
    (0.04, 0.95)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    "OneCycleLR: its length is missing. Expected total_steps, or epochs and "
                    "steps_per_epoch. Fix: total_steps=epochs * len(loader)."
                )
            total_steps = epochs * steps_per_epoch
        self.total_steps = int(_at_least("OneCycleLR", "total_steps", total_steps, 1))
        if not 0 <= pct_start <= 1:
            raise ArgumentError(
                f"OneCycleLR: pct_start is {pct_start}. Expected 0 <= pct_start <= 1. "
                "Fix: pct_start=0.3."
            )
        self._curve = choose(
            "OneCycleLR: anneal_strategy", anneal_strategy, {"cos": _cosine, "linear": _line}
        )
        self.max_lrs = _per_group("OneCycleLR", "max_lr", max_lr, optimizer)
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        rise = pct_start * self.total_steps - 1
        # (end, from, to) with the levels 0: start, 1: peak, 2: minimum.
        last = self.total_steps - 1
        self._phases: list[tuple[float, int, int]] = (
            [(rise, 0, 1), (2 * pct_start * self.total_steps - 2, 1, 0), (last, 0, 2)]
            if three_phase
            else [(rise, 0, 1), (last, 1, 2)]
        )
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ArgumentError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas. Expected "
                "one of them to cycle. Fix: cycle_momentum=False."
            )
        self.max_momentums = _per_group("OneCycleLR", "max_momentum", max_momentum, optimizer)
        self.base_momentums = _per_group("OneCycleLR", "base_momentum", base_momentum, optimizer)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["lr"] = group["initial_lr"] = peak / div_factor
        super().__init__(optimizer, last_epoch)

    def _position(self, t: float) -> tuple[int, int, float]:
        if t > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {int(t)} of a schedule of {self.total_steps} steps. Expected no "
                "more steps than total_steps. Fix: total_steps=epochs * len(loader)."
            )
        start = 0.0
        for end, origin, goal in self._phases:
            if t <= end or (end, origin, goal) == self._phases[-1]:
                return origin, goal, (t - start) / (end - start) if end != start else 1.0
            start = end
        raise AssertionError("the last phase takes every t")

    def _value(self, base: float, t: float, group: int) -> float:
        origin, goal, part = self._position(t)
        levels = (base, base * self.div_factor, base / self.final_div_factor)
        return float(self._curve(levels[origin], levels[goal], part))

    def _set_lr(self) -> None:
        super()._set_lr()
        if not self.cycle_momentum:
            return
        origin, goal, part = self._position(self.last_epoch)
        for group, high, low in zip(
            self.optimizer.param_groups, self.max_momentums, self.base_momentums, strict=False
        ):
            levels = (high, low, high)
            momentum = float(self._curve(levels[origin], levels[goal], part))
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class SequentialLR(LRScheduler):
    """One schedule after the other: the i-th takes over, from its own t = 0, at milestones[i - 1].

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> warm = ConstantLR(opt, factor=0.5, total_iters=9)
    >>> schedule = SequentialLR(opt, [warm, ExponentialLR(opt, gamma=0.5)], milestones=[2])
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [0.5, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(self, optimizer)
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: received {len(schedulers)} schedules and {len(milestones)} "
                "milestones. Expected one milestone fewer than schedules. Fix: "
                "SequentialLR(optimizer, [a, b], milestones=[10])."
            )
        for schedule in schedulers:
            if not isinstance(schedule, LRScheduler) or schedule.optimizer is not optimizer:
                raise ArgumentError(
                    f"SequentialLR: {type(schedule).__name__} is not a schedule of this optimizer. "
                    "Expected schedules of one optimizer, and no ReduceLROnPlateau. Fix: make them "
                    "with the same optimizer."
                )
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for schedule in schedulers:
            # Each scaled lr when it was made; they start over from the optimizer's own lr.
            schedule.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        super().__init__(optimizer, last_epoch)

    def _active(self) -> tuple[LRScheduler, int]:
        index = bisect.bisect_right(self._milestones, self.last_epoch)
        start = self._milestones[index - 1] if index else 0
        return self._schedulers[index], self.last_epoch - start

    def _set_lr(self) -> None:
        schedule, t = self._active()
        ratio = [
            now / initial if initial else 1.0
            for now, initial in zip(
                self.base_lrs,
                [float(group["initial_lr"]) for group in self.optimizer.param_groups],
                strict=True,
            )
        ]
        schedule.last_epoch = t
        schedule.base_lrs = [
            factor * float(group["initial_lr"])
            for factor, group in zip(ratio, self.optimizer.param_groups, strict=True)
        ]
        schedule._set_lr()
        self._last_lr = schedule.get_last_lr()

    def get_lr(self) -> list[float]:
        """The lr of each group at the present t."""
        schedule, t = self._active()
        return [schedule._value(base, t, i) for i, base in enumerate(self.base_lrs)]


class MultiplicativeLR(LambdaLR):
    """lr = base f(1) f(2) ... f(t), one function for all groups or a list with one each.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = MultiplicativeLR(opt, lambda t: 0.5)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(2)]
    [0.5, 0.25]
    """

    def _value(self, base: float, t: float, group: int) -> float:
        factor = self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)]
        return base * math.prod(float(factor(k)) for k in range(1, int(t) + 1))


class CyclicLR(LRScheduler):
    """lr up from base_lr to max_lr in step_size_up steps, down in step_size_down, and again.

    mode: "triangular", "triangular2" (the height halves each cycle), "exp_range" (it is scaled by
    gamma^t); or scale_fn of the cycle's number or, with scale_mode="iterations", of t.
    cycle_momentum moves momentum (Adam: beta1) the other way between base_momentum and
    max_momentum. Source: Smith, Cyclical Learning Rates for Training Neural Networks, 2017.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = CyclicLR(opt, 0.0, 1.0, step_size_up=2, cycle_momentum=False)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(self, optimizer)
        self._low = _per_group("CyclicLR", "base_lr", base_lr, optimizer)
        self._high = _per_group("CyclicLR", "max_lr", max_lr, optimizer)
        momenta = {"base_momentum": base_momentum, "max_momentum": max_momentum}
        self._momenta = [_per_group("CyclicLR", k, v, optimizer) for k, v in momenta.items()]
        self._up = float(_at_least("CyclicLR", "step_size_up", step_size_up, 1))
        self._down = self._up if step_size_down is None else float(step_size_down)
        modes: dict[str, tuple[Callable[[float], float], str]] = {
            "triangular": (lambda x: 1.0, "cycle"),
            "triangular2": (lambda x: 1.0 / 2.0 ** (x - 1), "cycle"),
            "exp_range": (lambda x: float(gamma**x), "iterations"),
        }
        chosen = choose("CyclicLR: mode", mode, modes)
        self._scale, self._scale_mode = chosen if scale_fn is None else (scale_fn, scale_mode)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and not any(
            k in optimizer.param_groups[0] for k in ("momentum", "betas")
        ):
            raise ArgumentError(
                f"CyclicLR: {type(optimizer).__name__} has no momentum. Expected one that has. "
                "Fix: cycle_momentum=False."
            )
        for group, low in zip(optimizer.param_groups, self._low, strict=True):
            group["lr"] = float(low)
        super().__init__(optimizer, last_epoch)

    def _height(self, t: float) -> float:
        """Where between low and high the lr is after t steps."""
        total = self._up + self._down
        cycle = math.floor(1 + t / total)
        x, turn = 1.0 + t / total - cycle, self._up / total
        height = x / turn if x <= turn else (x - 1) / (turn - 1)
        return height * self._scale(cycle if self._scale_mode == "cycle" else t)

    def _value(self, base: float, t: float, group: int) -> float:
        return base + (float(self._high[group]) - base) * self._height(t)

    def _set_lr(self) -> None:
        super()._set_lr()
        if not self.cycle_momentum:
            return
        height = self._height(self.last_epoch)
        for group, low, high in zip(self.optimizer.param_groups, *self._momenta, strict=True):
            new = high - (high - low) * height
            group |= (
                {"betas": (new, *group["betas"][1:])} if "betas" in group else {"momentum": new}
            )


class ChainedScheduler(LRScheduler):
    """Several schedules of one optimizer at once: their factors multiply.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = ChainedScheduler([ExponentialLR(opt, 0.5), StepLR(opt, 2, 0.5)])
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(2)]
    [0.5, 0.125]
    """

    def __init__(self, schedulers: list[LRScheduler], optimizer: Optimizer | None = None) -> None:
        chosen = optimizer or (schedulers[0].optimizer if schedulers else None)
        if not schedulers or any(s.optimizer is not chosen for s in schedulers):
            raise ArgumentError(
                f"ChainedScheduler: received {len(schedulers)} schedules. Expected one or more of "
                "one optimizer. Fix: make them with the same optimizer."
            )
        self._schedulers = list(schedulers)
        self.optimizer = _check_optimizer(self, chosen)
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Step every schedule."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The states of all."""
        return {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the states of all."""
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(state)


class ReduceLROnPlateau:
    """Multiply lr by `factor` once a metric has not improved for more than `patience` steps.

    "Improved" means below best (1 - threshold) for mode "min" and threshold_mode "rel", below
    best - threshold for "abs", and the same upwards for mode "max". After a reduction `cooldown`
    steps do not count.

    >>> import samara
    >>> opt = samara.optim.SGD([samara.zeros(1)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(opt, patience=1, factor=0.5)
    >>> [(schedule.step(1.0), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [1.0, 1.0, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError(
                f"ReduceLROnPlateau: factor is {factor}. Expected 0 < factor < 1. Fix: factor=0.1."
            )
        choose("ReduceLROnPlateau: mode", mode, {"min": 0, "max": 0})
        choose("ReduceLROnPlateau: threshold_mode", threshold_mode, {"rel": 0, "abs": 0})
        self.optimizer = _check_optimizer(self, optimizer)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = _per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]

    def _is_better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if not math.isfinite(self.best):
            return sign * value < sign * self.best
        if self.threshold_mode == "rel":
            # best (1 - threshold), or best (1 + threshold): with the sign of best, as in PyTorch.
            return sign * value < sign * self.best * (1.0 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold

    def step(self, metrics: Any) -> None:
        """Judge the latest value of the metric, and reduce the lr when it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
                lr = max(float(group["lr"]) * self.factor, low)
                if float(group["lr"]) - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The lr of each group after the last step."""
        return list(self._last_lr)

    _STATE = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "_last_lr")

    def state_dict(self) -> dict[str, Any]:
        """The counters, the best value and the present lrs."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state."""
        for name in self._STATE:
            setattr(self, name, state_dict[name])
