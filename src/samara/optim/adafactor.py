"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import samara
from samara.optim.optimizer import Optimizer, check_range, descent, kept
from samara.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Adam without momentum whose second moments are kept as a row and a column.

    r <- r + t^beta2_decay (mean_j g^2 - r), c likewise over rows;  v = r c / mean(r)
    (vectors keep v whole);  u = g / sqrt(v);  a = max(eps[1], rms(p)) min(lr, 1 / sqrt(t));
    p <- p - lr weight_decay p;  p <- p - a u / max(1, rms(u) / d).

    eps[0] = None takes the distance from 1 to the next number of p's dtype. Raises ArgumentError
    for settings out of range, NumericsError at a step with a non-finite gradient. Source: Shazeer
    and Stern, 2018.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("row_var", "col_var", "variance")
    ranges: ClassVar = {"beta2_decay": (-1e300, 1e-300), "d": (1.0, math.inf)}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        small, floor = group["eps"]
        return {
            **self._numbers(group, (name for name in self.defaults if name != "eps")),
            "eps1": -1.0 if small is None else check_range(self._title, "eps[0]", small, 0.0),
            "eps2": check_range(self._title, "eps[1]", floor, 0.0),
        }

    @staticmethod
    def state_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state `name` of a parameter of that shape."""
        if name == "row_var":
            return (*shape[:-1], 1)
        return (*shape[:-2], 1, *shape[-1:]) if name == "col_var" else shape

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        lr, eps = settings["lr"], settings["eps1"]
        if eps < 0:
            eps = float(samara.finfo(param.dtype).eps)
        new_share = step ** settings["beta2_decay"]

        def moved(name: str, target: Tensor) -> Tensor:
            old = kept(state, name, target)
            new: Tensor = old + new_share * (target - old)
            return new

        rate = max(settings["eps2"], _root_mean_square(param)) * min(lr, step**-0.5)
        param, g = descent(param, grad, settings, decoupled=1.0)
        if grad.ndim > 1:
            row = moved("row_var", (g * g).mean(axis=-1, keepdims=True))
            column = moved("col_var", (g * g).mean(axis=-2, keepdims=True))
            new = {"row_var": row, "col_var": column}
            variance = row * column / samara.clamp(row.mean(axis=-2, keepdims=True), min=eps)
        else:
            variance = moved("variance", g * g)
            new = {"variance": variance}
        update = g / samara.sqrt(samara.clamp(variance, min=eps * eps))
        rate = rate / max(1.0, _root_mean_square(update) / settings["d"])
        return param - rate * update, new


def _root_mean_square(x: Tensor) -> float:
    return float((x * x).mean().item()) ** 0.5 if x.numel() else 0.0
