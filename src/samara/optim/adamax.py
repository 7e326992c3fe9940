"""Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import samara
from samara.optim.optimizer import Optimizer, check_range, kept
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

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        title = self._title
        return {
            "lr": check_range(title, "lr", group["lr"], 0.0),
            "beta1": check_range(title, "betas[0]", group["betas"][0], 0.0, 1.0),
            "beta2": check_range(title, "betas[1]", group["betas"][1], 0.0, 1.0),
            "eps": check_range(title, "eps", group["eps"], 0.0),
            "weight_decay": check_range(title, "weight_decay", group["weight_decay"], 0.0),
            "maximize": float(group["maximize"]),
        }

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        beta1, beta2 = settings["beta1"], settings["beta2"]
        g = (-grad if settings["maximize"] else grad) + settings["weight_decay"] * param
        m = beta1 * kept(state, "exp_avg", param) + (1 - beta1) * g
        u = samara.maximum(beta2 * kept(state, "exp_inf", param), samara.abs(g) + settings["eps"])
        rate = settings["lr"] / (1 - beta1**step)
        return param - rate * (m / u), {"exp_avg": m, "exp_inf": u}
