"""Lion."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.optimizer import Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["Lion"]


class Lion(Optimizer):
    """Steps of equal size in every direction: the sign of an interpolated momentum.

    p <- p - lr weight_decay p;  p <- p - lr sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g.

    Raises ArgumentError for settings out of range, NumericsError at a
    step with a non-finite gradient. Source: Chen et al., Symbolic Discovery of
    Optimization Algorithms, 2023.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("exp_avg",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
        param, g = descent(param, grad, settings, decoupled=1.0)
        m = kept(state, "exp_avg", param)
        direction = samara.sign(beta1 * m + (1 - beta1) * g)
        return param - lr * direction, {"exp_avg": beta2 * m + (1 - beta2) * g}
