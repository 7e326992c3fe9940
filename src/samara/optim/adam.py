"""Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import samara
from samara.optim.optimizer import Optimizer, descent, kept
from samara.tensor import Tensor

__all__ = ["Adam", "moments"]


class Adam(Optimizer):
    """Steps of the size of the gradient's signal-to-noise ratio.

    g <- g + weight_decay p;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    p <- p - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps).

    `amsgrad` divides by the largest v so far (Reddi et al., 2018). Raises ArgumentError for
    settings out of range, NumericsError at a step with a non-finite gradient. Source: Kingma and
    Ba, 2015.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    kernel = "adam"
    state_names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        param, g = descent(param, grad, settings, settings["decoupled"])
        m, v = moments(param, g, state, settings)
        new = {"exp_avg": m, "exp_avg_sq": v}
        if settings["amsgrad"]:
            v = samara.maximum(kept(state, "max_exp_avg_sq", param), v)
            new["max_exp_avg_sq"] = v
        lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
        denominator = samara.sqrt(v) / (1 - beta2**step) ** 0.5 + settings["eps"]
        return param - (lr / (1 - beta1**step)) * (m / denominator), new


def moments(
    param: Tensor, g: Tensor, state: dict[str, Tensor], settings: Mapping[str, float]
) -> tuple[Tensor, Tensor]:
    """Adam's running means of the gradient and of its square."""
    beta1, beta2 = settings["beta1"], settings["beta2"]
    m = beta1 * kept(state, "exp_avg", param) + (1 - beta1) * g
    v = beta2 * kept(state, "exp_avg_sq", param) + (1 - beta2) * g * g
    return m, v
