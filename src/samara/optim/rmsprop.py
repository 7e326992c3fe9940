"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

import samara
from samara.optim.optimizer import UP_TO_ONE, Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Gradients divided by their running root mean square.

    g <- g + weight_decay p;  s <- alpha s + (1 - alpha) g^2;
    d = sqrt(s) + eps, or with centered: a <- alpha a + (1 - alpha) g, d = sqrt(s - a^2) + eps;
    b <- momentum b + g / d;  p <- p - lr b.

    Rounding may make s - a^2 negative; it counts as 0. Raises ArgumentError for settings out of
    range, NumericsError at a step with a non-finite gradient. Source: Hinton, 2012 (lecture 6e),
    centered: Graves, 2013.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.01, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.98
    """

    kernel = "rmsprop"
    state_names = ("square_avg", "momentum_buffer", "grad_avg")
    ranges: ClassVar = {"alpha": UP_TO_ONE}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        alpha = settings["alpha"]
        param, g = descent(param, grad, settings)
        s = alpha * kept(state, "square_avg", param) + (1 - alpha) * g * g
        new = {"square_avg": s}
        variance = s
        if settings["centered"]:
            a = alpha * kept(state, "grad_avg", param) + (1 - alpha) * g
            variance = samara.clamp(s - a * a, min=0.0)
            new["grad_avg"] = a
        direction = g / (samara.sqrt(variance) + settings["eps"])
        if settings["momentum"] > 0:
            old = kept(state, "momentum_buffer", param)
            direction = settings["momentum"] * old + direction
            new["momentum_buffer"] = direction
        return param - settings["lr"] * direction, new
