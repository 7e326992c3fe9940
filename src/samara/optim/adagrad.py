"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import samara
from samara.optim.optimizer import Optimizer, check_range, kept
from samara.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

    g <- g + weight_decay p;  s <- s + g^2;
    p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps).

    s starts at `initial_accumulator_value`. Raises ArgumentError for settings out of range,
    NumericsError at a step with a non-finite gradient. Source: Duchi et al., 2011.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item()
    0.5
    """

    kernel = "adagrad"
    state_names = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        start = group["initial_accumulator_value"]
        return {
            "lr": check_range("Adagrad", "lr", group["lr"], 0.0),
            "lr_decay": check_range("Adagrad", "lr_decay", group["lr_decay"], 0.0),
            "eps": check_range("Adagrad", "eps", group["eps"], 0.0),
            "weight_decay": check_range("Adagrad", "weight_decay", group["weight_decay"], 0.0),
            "initial": check_range("Adagrad", "initial_accumulator_value", start, 0.0),
            "maximize": float(group["maximize"]),
        }

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        g = -grad if settings["maximize"] else grad
        g = g + settings["weight_decay"] * param
        s = kept(state, "sum", param, settings["initial"]) + g * g
        lr = settings["lr"] / (1 + (step - 1) * settings["lr_decay"])
        return param - lr * (g / (samara.sqrt(s) + settings["eps"])), {"sum": s}
