"""ASGD."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.optimizer import Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """Stochastic gradient descent that also averages its path.

    g <- g + weight_decay p;  p <- (1 - lambd eta) p - eta g;  a <- a + mu (p - a);
    eta <- lr / (1 + lambd lr t)^alpha;  mu <- 1 / max(1, t - t0).

    The average a is the state `ax`. Raises ArgumentError for settings out of range, NumericsError
    at a step with a non-finite gradient. Source: Polyak and Juditsky, 1992.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.8
    """

    state_names = ("eta", "mu", "ax")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def state_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state `name` of a parameter of that shape."""
        return shape if name == "ax" else ()

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        lr, decay = settings["lr"], settings["lambd"]

        def number(value: float) -> Tensor:
            made: Tensor = samara.full((), value, dtype=param.dtype, device=param.device)
            return made

        eta = state.get("eta", number(lr))
        mu = state.get("mu", number(1.0))
        param, g = descent(param, grad, settings)
        param = param * (1 - decay * eta) - eta * g
        average = kept(state, "ax", param)
        average = average + mu * (param - average)
        new = {
            "eta": number(lr / (1 + decay * lr * step) ** settings["alpha"]),
            "mu": number(1 / max(1.0, step - settings["t0"])),
            "ax": average,
        }
        return param, new
