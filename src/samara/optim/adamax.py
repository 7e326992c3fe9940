"""Adamax."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.optimizer import Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of its root mean square.

    g <- g + weight_decay p;  m <- b1 m + (1 - b1) g;  u <- max(b2 u, |g| + eps);
    p <- p - lr / (1 - b1^t) m / u.

    Raises ArgumentError for settings out of range, NumericsError at a
    step with a non-finite gradient. Source: Kingma and Ba, 2015, section 7.1.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
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
        beta1, beta2 = settings["beta1"], settings["beta2"]
        param, g = descent(param, grad, settings)
        m = beta1 * kept(state, "exp_avg", param) + (1 - beta1) * g
        u = samara.maximum(beta2 * kept(state, "exp_inf", param), samara.abs(g) + settings["eps"])
        rate = settings["lr"] / (1 - beta1**step)
        return param - rate * (m / u), {"exp_avg": m, "exp_inf": u}
