"""Muon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import samara
from samara.errors import ArgumentError
from samara.lookup import choose
from samara.optim.optimizer import Optimizer, kept
from samara.tensor import Tensor

__all__ = ["Muon"]

_NUMBERS = ("lr", "weight_decay", "momentum", "nesterov", "eps", "ns_steps")
_ADJUSTMENTS = {"original": 0.0, "match_rms_adamw": 1.0}


class Muon(Optimizer):
    """Momentum whose matrix is made orthogonal: every direction moves equally far.

    b <- momentum b + (1 - momentum) g;  u = (1 - momentum) g + momentum b (nesterov) or b;
    X = u / max(|u|, eps); ns_steps times X <- a X + (b A + c A^2) X with A = X X^T in bfloat16;
    p <- p - lr weight_decay p;  p <- p - lr f X with f = sqrt(max(1, rows / columns))
    (`adjust_lr_fn` None or "original") or 0.2 sqrt(max(rows, columns)) ("match_rms_adamw").

    For the matrices of hidden layers; biases, embeddings and heads go to another optimizer. Raises
    ArgumentError for settings out of range and for parameters that are not matrices, NumericsError
    at a step with a non-finite gradient. Source: Jordan et al., 2024; Liu et al., Muon is Scalable
    for LLM Training, 2025.

    >>> import samara
    >>> w = samara.ones((2, 3), requires_grad=True)
    >>> optimizer = Muon([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.shape
    (2, 3)
    """

    state_names = ("momentum_buffer",)
    ranges: ClassVar = {"ns_steps": (0.0, 100.0)}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        title = self._title
        for parameter in group["params"]:
            if parameter.ndim != 2:
                raise ArgumentError(
                    f"{title}: a parameter has shape {tuple(parameter.shape)}. Expected matrices. "
                    "Fix: give biases, embeddings and convolutions to another optimizer."
                )
        rule = choose(f"{title}: adjust_lr_fn", group["adjust_lr_fn"] or "original", _ADJUSTMENTS)
        a, b, c = group["ns_coefficients"]
        return {
            **self._numbers(group, _NUMBERS),
            "a": float(a),
            "b": float(b),
            "c": float(c),
            "match_rms": float(rule),
        }

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        momentum = settings["momentum"]
        old = kept(state, "momentum_buffer", param)
        buffer = old + (1 - momentum) * (grad - old)
        u = grad + momentum * (buffer - grad) if settings["nesterov"] else buffer
        rows, columns = param.shape
        factor = (
            0.2 * max(rows, columns) ** 0.5
            if settings["match_rms"]
            else max(1.0, rows / columns) ** 0.5
        )
        param = param * (1 - settings["lr"] * settings["weight_decay"])
        step_size = settings["lr"] * factor
        return param - step_size * _orthogonal(u, settings).to(param.dtype), {
            "momentum_buffer": buffer
        }


def _orthogonal(matrix: Tensor, settings: Mapping[str, float]) -> Tensor:
    """Newton and Schulz's iteration towards the nearest orthogonal matrix.

    Each product is summed in float32 and rounded to bfloat16 once.
    """

    def rounded(x: Tensor) -> Tensor:
        return x.to(samara.bfloat16).to(samara.float32)

    tall = matrix.shape[0] > matrix.shape[1]
    x = rounded(matrix.T if tall else matrix)
    x = rounded(x / samara.clamp(rounded(samara.sqrt((x * x).sum())), min=settings["eps"]))
    for _ in range(int(settings["ns_steps"])):
        gram = rounded(x @ x.T)
        polynomial = rounded(settings["b"] * gram + settings["c"] * (gram @ gram))
        x = rounded(settings["a"] * x + polynomial @ x)
    return x.T if tall else x
