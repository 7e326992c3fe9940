"""Adadelta."""

from __future__ import annotations

from typing import Any, ClassVar

import samara
from samara.optim.optimizer import UP_TO_ONE, Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Steps scaled by the running root mean squares of gradients and of steps.

    g <- g + weight_decay p;  s <- rho s + (1 - rho) g^2;  d = sqrt(a + eps) / sqrt(s + eps) g;
    a <- rho a + (1 - rho) d^2;  p <- p - lr d.

    Raises ArgumentError for settings out of range, NumericsError at a
    step with a non-finite gradient. Source: Zeiler, 2012.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Adadelta([w], lr=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9968
    """

    state_names = ("square_avg", "acc_delta")
    ranges: ClassVar = {"rho": UP_TO_ONE}

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        rho, eps = settings["rho"], settings["eps"]
        param, g = descent(param, grad, settings)
        s = rho * kept(state, "square_avg", param) + (1 - rho) * g * g
        a = kept(state, "acc_delta", param)
        d = samara.sqrt(a + eps) / samara.sqrt(s + eps) * g
        new = {"square_avg": s, "acc_delta": rho * a + (1 - rho) * d * d}
        return param - settings["lr"] * d, new
