"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from samara.errors import ArgumentError
from samara.optim.optimizer import Optimizer, descent
from samara.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with momentum.

    g <- g + weight_decay p;  b <- momentum b + (1 - dampening) g  (b = g at first);
    g <- g + momentum b with nesterov, else b;  p <- p - lr g.

    Without momentum there is no b. `maximize=True` ascends. Raises ArgumentError for settings out
    of range, NumericsError at a step with a non-finite gradient. Source: Sutskever et al., 2013, in
    PyTorch's form.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25, momentum=0.9)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item()
    0.5
    """

    kernel = "sgd"
    state_names = ("momentum_buffer",)
    counts_steps = False
    ranges: ClassVar = {"dampening": (-math.inf, math.inf)}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov with momentum={group['momentum']}, dampening={group['dampening']}. "
                "Expected momentum > 0 and dampening = 0. Fix: SGD(..., momentum=0.9, "
                "nesterov=True)."
            )
        return super().settings(group)

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        momentum = settings["momentum"]
        param, g = descent(param, grad, settings)
        if momentum == 0:
            return param - settings["lr"] * g, state
        old = state.get("momentum_buffer")
        b = g if old is None else momentum * old + (1 - settings["dampening"]) * g
        direction = g + momentum * b if settings["nesterov"] else b
        return param - settings["lr"] * direction, {"momentum_buffer": b}
