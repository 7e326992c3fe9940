"""L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import samara
from samara.autograd import enable_grad, no_grad
from samara.errors import ArgumentError, NumericsError
from samara.lookup import choose
from samara.optim.optimizer import Optimizer
from samara.tensor import Tensor

__all__ = ["LBFGS"]

_LINE_SEARCHES = {"none": False, "strong_wolfe": True}

# The conditions of Wolfe: sufficient decrease, and enough of the slope gone.
_DECREASE, _CURVATURE = 1e-4, 0.9
_LINE_TOLERANCE = 1e-9


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last `history_size` changes of parameters and gradients.

    p <- p + t d with d = -H g, H from the pairs s = p_k+1 - p_k, y = g_k+1 - g_k (two-loop
    recursion, started at (s.y / y.y) I); t = lr, min(1, 1 / |g|_1) lr at the first iteration, or
    found by a search for the strong Wolfe conditions.

    `step(closure)` runs up to `max_iter` iterations or `max_eval` calls of the closure, which
    computes the loss and its gradients. Raises ArgumentError without a closure, for more than one
    group and for settings out of range, NumericsError when the loss or a gradient at the start is
    not finite. Source: Nocedal and Wright, Numerical Optimization, algorithms 3.5, 3.6 and 7.4.

    >>> import samara
    >>> w = samara.tensor([3.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1.0) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    4.0
    >>> round(w.item(), 4)
    1.0
    """

    state_names = ()
    ranges: ClassVar = dict.fromkeys(("max_iter", "max_eval", "history_size"), (1.0, math.inf))

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ArgumentError(
                f"LBFGS: received {len(self.param_groups)} groups. Expected one: the curvature is "
                "that of all parameters together. Fix: pass model.parameters()."
            )
        self._memory: dict[str, Any] = {"func_evals": 0, "n_iter": 0}

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        search = choose("LBFGS: line_search_fn", group["line_search_fn"] or "none", _LINE_SEARCHES)
        names = (name for name in self.defaults if name != "line_search_fn")
        return {**self._numbers(group, names), "strong_wolfe": float(search)}

    @property
    def state(self) -> dict[Any, dict[str, Any]]:
        """The memory of all parameters together, under the first one's name."""
        return {self._names[0][0]: self._memory}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Take over memory and settings. Raises ArgumentError when names do not match."""
        report = super().load_state_dict({**state_dict, "state": {}}, strict)
        entries = list(state_dict["state"].values())
        if entries:
            copied = {
                name: [item.clone() if isinstance(item, Tensor) else item for item in value]
                if isinstance(value, list)
                else (value.clone() if isinstance(value, Tensor) else value)
                for name, value in entries[0].items()
            }
            self._memory = copied
        return report

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to `max_iter` iterations; gives the loss before the first."""
        if closure is None:
            raise ArgumentError(
                "LBFGS.step: received no closure. Expected a function that computes the loss and "
                "its gradients, evaluated several times. Fix: optimizer.step(closure)."
            )
        group = self.param_groups[0]
        settings = self.settings(group)
        with no_grad():
            return _Minimisation(self._memory, group["params"], closure, settings).run()


class _Minimisation:
    """One call of `step`: the point is the flat vector of all parameters."""

    def __init__(
        self,
        memory: dict[str, Any],
        parameters: list[Tensor],
        closure: Callable[[], Any],
        settings: dict[str, float],
    ) -> None:
        self.memory = memory
        self.parameters = parameters
        self.closure = closure
        self.settings = settings
        self.evaluations = 0

    def run(self) -> Any:
        memory, settings = self.memory, self.settings
        first_loss, gradient = self.evaluate()
        loss = float(first_loss)
        if not (math.isfinite(loss) and bool(samara.isfinite(gradient).all())):
            raise NumericsError(
                f"LBFGS.step: the loss is {loss} or a gradient is not finite. Expected finite "
                "numbers; no parameter was changed. Fix: look for log(0), 0/0 or overflow in the "
                "loss."
            )
        if _largest(gradient) <= settings["tolerance_grad"]:
            return first_loss
        for iteration in range(1, int(settings["max_iter"]) + 1):
            direction = self.direction(gradient)
            memory["prev_flat_grad"], memory["prev_loss"] = gradient, loss
            rate = settings["lr"]
            if memory["n_iter"] == 1:
                rate *= min(1.0, 1.0 / float(gradient.abs().sum().item()))
            memory["d"], memory["t"] = direction, rate
            slope = _dot(gradient, direction)
            if slope > -settings["tolerance_change"]:
                break
            before = loss
            if settings["strong_wolfe"]:
                loss, gradient, rate = self.search(direction, rate, loss, gradient, slope)
                self.move(direction, rate)
                memory["t"] = rate
            else:
                self.move(direction, rate)
                if iteration != int(settings["max_iter"]):
                    value, gradient = self.evaluate()
                    loss = float(value)
            if self.converged(gradient, direction, rate, loss, before):
                break
        return first_loss

    def converged(
        self, gradient: Tensor, direction: Tensor, rate: float, loss: float, before: float
    ) -> bool:
        change = self.settings["tolerance_change"]
        return (
            self.evaluations >= self.settings["max_eval"]
            or _largest(gradient) <= self.settings["tolerance_grad"]
            or _largest(direction) * abs(rate) <= change
            or abs(loss - before) < change
        )

    # --- the direction --------------------------------------------------------------------------

    def direction(self, gradient: Tensor) -> Tensor:
        """-H g by the two-loop recursion, after the memory took in the last step."""
        memory = self.memory
        memory["n_iter"] += 1
        if memory["n_iter"] == 1:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        y = gradient - memory["prev_flat_grad"]
        s = memory["d"] * memory["t"]
        curvature = _dot(y, s)
        if curvature > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / curvature)):
                memory[name].append(value)
                del memory[name][: -int(self.settings["history_size"])]
            memory["H_diag"] = curvature / _dot(y, y)
        pairs = list(zip(memory["old_dirs"], memory["old_stps"], memory["ro"], strict=True))
        q: Tensor = -gradient
        weights = []
        for y, s, ro in reversed(pairs):
            weight = _dot(s, q) * ro
            weights.append(weight)
            q = q - weight * y
        q = q * memory["H_diag"]
        for (y, s, ro), weight in zip(pairs, reversed(weights), strict=True):
            q = q + (weight - _dot(y, q) * ro) * s
        return q

    # --- the line -------------------------------------------------------------------------------

    def search(
        self, direction: Tensor, rate: float, loss: float, gradient: Tensor, slope: float
    ) -> tuple[float, Tensor, float]:
        """A step that fulfils the strong Wolfe conditions, or the best one met."""
        start = [parameter.detach().clone() for parameter in self.parameters]

        def at(t: float) -> _Point:
            self.move(direction, t)
            value, found = self.evaluate()
            for parameter, old in zip(self.parameters, start, strict=True):
                parameter.detach().copy_(old)
            return _Point(t, float(value), found, _dot(found, direction))

        most = int(self.settings["max_eval"]) - self.evaluations
        line = _Line(at, _Point(0.0, loss, gradient, slope), _largest(direction), most)
        best = line.find(rate)
        return best.value, best.gradient, best.t

    # --- the parameters -------------------------------------------------------------------------

    def evaluate(self) -> tuple[Any, Tensor]:
        """The closure's loss, and the gradients as one vector."""
        with enable_grad():
            loss = self.closure()
        self.evaluations += 1
        self.memory["func_evals"] += 1
        parts = [
            (samara.zeros_like(p.detach()) if p.grad is None else p.grad.detach()).reshape(-1)
            for p in self.parameters
        ]
        flat: Tensor = samara.concat(parts)
        return (loss.detach() if isinstance(loss, Tensor) else loss), flat

    def move(self, direction: Tensor, rate: float) -> None:
        """P <- p + rate d."""
        start = 0
        for parameter in self.parameters:
            part = direction[start : start + parameter.numel()].reshape(parameter.shape)
            parameter.detach().add_(part * rate)
            start += parameter.numel()


class _Point:
    """A point on the line: the step, the loss, its gradient and its slope along the line."""

    def __init__(self, t: float, value: float, gradient: Tensor, slope: float) -> None:
        self.t, self.value, self.gradient, self.slope = t, value, gradient, slope


class _Line:
    """The search for the strong Wolfe conditions: bracket a minimum, then zoom in."""

    def __init__(
        self, at: Callable[[float], _Point], origin: _Point, length: float, most: int
    ) -> None:
        self.at, self.origin, self.length, self.most = at, origin, length, most
        self.evaluations = 0

    def rises(self, point: _Point, low: _Point | None) -> bool:
        """No sufficient decrease, or not below the best so far."""
        limit = self.origin.value + _DECREASE * point.t * self.origin.slope
        return point.value > limit or (low is not None and point.value >= low.value)

    def flat(self, point: _Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * self.origin.slope

    def find(self, rate: float) -> _Point:
        before, point = self.origin, self.at(rate)
        while self.evaluations < self.most:
            if self.rises(point, before if self.evaluations > 1 else None):
                return self.zoom(before, point)
            if self.flat(point):
                return point
            if point.slope >= 0:
                return self.zoom(before, point)
            low, high = point.t + 0.01 * (point.t - before.t), point.t * 10
            before, point = point, self.at(_cubic_minimum(before, point, low, high))
            self.evaluations += 1
        return min(self.origin, point, key=lambda p: p.value)

    def zoom(self, one: _Point, other: _Point) -> _Point:
        low, high = (one, other) if one.value <= other.value else (other, one)
        near_edge = False
        while self.evaluations < self.most:
            ends = sorted((low.t, high.t))
            if (ends[1] - ends[0]) * self.length < _LINE_TOLERANCE:
                break
            t = _cubic_minimum(one, other, *ends)
            margin = 0.1 * (ends[1] - ends[0])
            if min(ends[1] - t, t - ends[0]) < margin:
                if near_edge or not ends[0] < t < ends[1]:
                    t = (
                        ends[1] - margin
                        if abs(t - ends[1]) < abs(t - ends[0])
                        else ends[0] + margin
                    )
                    near_edge = False
                else:
                    near_edge = True
            else:
                near_edge = False
            point = self.at(t)
            self.evaluations += 1
            if self.rises(point, low):
                high = point
            else:
                if self.flat(point):
                    return point
                if point.slope * (high.t - low.t) >= 0:
                    high = low
                low = point
            low, high = (low, high) if low.value <= high.value else (high, low)
            one, other = low, high
        return low


def _cubic_minimum(a: _Point, b: _Point, low: float, high: float) -> float:
    """The minimum of the cubic through two values and slopes, kept within [low, high]."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return (low + high) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / divisor), low), high)


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().item())


def _largest(x: Tensor) -> float:
    return float(x.abs().max().item()) if x.numel() else 0.0
