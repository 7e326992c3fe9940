"""Rprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import samara
from samara.optim.optimizer import Optimizer, check_range, kept
from samara.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Steps of a size of their own per number, grown while the gradient keeps its sign.

    s <- clamp(s f, step_sizes) with f = etas[1] where g g_before > 0, etas[0] where it is < 0, else
    1;  where it is < 0, g <- 0;  p <- p - s sign(g).

    For gradients of the whole data set; s starts at lr. Raises ArgumentError for settings out of
    range, NumericsError at a step with a non-finite gradient. Source: Riedmiller and Braun, 1993.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        title = self._title
        low, high = group["step_sizes"]
        return {
            **self._numbers(group, ("lr", "maximize")),
            "shrink": check_range(title, "etas[0]", group["etas"][0], 1e-300, 1.0),
            "grow": check_range(title, "etas[1]", group["etas"][1], 1.0 + 1e-12),
            "low": check_range(title, "step_sizes[0]", low, 0.0),
            "high": check_range(title, "step_sizes[1]", high, float(low)),
        }

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        g = -grad if settings["maximize"] else grad
        agreement = g * kept(state, "prev", param)
        size = kept(state, "step_size", param, settings["lr"])
        turned = agreement < 0
        grown = samara.where(agreement > 0, size * settings["grow"], size)
        size = samara.where(turned, size * settings["shrink"], grown)
        size = samara.clamp(size, min=settings["low"], max=settings["high"])
        g = samara.where(turned, 0.0, g)
        return param - size * samara.sign(g), {"prev": g, "step_size": size}
