"""Adagrad."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.optimizer import Optimizer, descent, kept
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

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        param, g = descent(param, grad, settings)
        s = kept(state, "sum", param, settings["initial"]) + g * g
        lr = settings["lr"] / (1 + (step - 1) * settings["lr_decay"])
        return param - lr * (g / (samara.sqrt(s) + settings["eps"])), {"sum": s}
