"""RAdam."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.adam import moments
from samara.optim.optimizer import Optimizer, descent
from samara.tensor import Tensor

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Adam that waits with its denominator until the variance can be trusted.

    g <- g + weight_decay p (or, decoupled, p <- p - lr weight_decay p);  m and v as in Adam;
    rho_inf = 2 / (1 - b2) - 1;  rho = rho_inf - 2 t b2^t / (1 - b2^t);
    rho > 5:  p <- p - lr r m / (1 - b1^t) sqrt(1 - b2^t) / (sqrt(v) + eps) with
    r^2 = (rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho);
    else:  p <- p - lr m / (1 - b1^t).

    Raises ArgumentError for settings out of range, NumericsError at a
    step with a non-finite gradient. Source: Liu et al., 2020.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.8
    """

    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
        param, g = descent(param, grad, settings, settings["decoupled"])
        m, v = moments(param, g, state, settings)
        new = {"exp_avg": m, "exp_avg_sq": v}
        direction = m / (1 - beta1**step)
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * step * beta2**step / (1 - beta2**step)
        if rho > 5:
            rectified = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
            scale = (rectified * (1 - beta2**step)) ** 0.5
            direction = direction * (scale / (samara.sqrt(v) + settings["eps"]))
        return param - lr * direction, new
