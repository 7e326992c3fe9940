"""Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import samara
from samara.optim.optimizer import Optimizer, check_range, kept
from samara.tensor import Tensor

__all__ = ["Adam", "adam_settings", "adam_update"]


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

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        return adam_settings(self._title, group)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        return adam_update(param, grad, state, step, **settings)


def adam_settings(title: str, group: Mapping[str, Any]) -> dict[str, float]:
    """The settings of Adam and AdamW as numbers; checks them."""
    beta1, beta2 = group["betas"]
    return {
        "lr": check_range(title, "lr", group["lr"], 0.0),
        "beta1": check_range(title, "betas[0]", beta1, 0.0, 1.0),
        "beta2": check_range(title, "betas[1]", beta2, 0.0, 1.0),
        "eps": check_range(title, "eps", group["eps"], 0.0),
        "weight_decay": check_range(title, "weight_decay", group["weight_decay"], 0.0),
        "amsgrad": float(group["amsgrad"]),
        "maximize": float(group["maximize"]),
        "decoupled": float(group["decoupled_weight_decay"]),
    }


def adam_update(
    param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Adam's equation; with decoupled weight decay that of AdamW."""
    lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
    g = -grad if settings["maximize"] else grad
    if settings["decoupled"]:
        param = param * (1 - lr * settings["weight_decay"])
    else:
        g = g + settings["weight_decay"] * param
    m = kept(state, "exp_avg", param)
    v = kept(state, "exp_avg_sq", param)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    new = {"exp_avg": m, "exp_avg_sq": v}
    if settings["amsgrad"]:
        v = samara.maximum(kept(state, "max_exp_avg_sq", param), v)
        new["max_exp_avg_sq"] = v
    denominator = samara.sqrt(v) / (1 - beta2**step) ** 0.5 + settings["eps"]
    return param - (lr / (1 - beta1**step)) * (m / denominator), new
