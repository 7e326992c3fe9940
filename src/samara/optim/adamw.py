"""AdamW: Adam with weight decay that the gradient's scale does not touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samara.optim.adam import Adam
from samara.optim.optimizer import Optimizer

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam with decoupled weight decay.

    p <- p - lr weight_decay p;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    p <- p - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps).

    Raises ArgumentError for settings out of range, NumericsError at a step with a non-finite
    gradient. Source: Loshchilov and Hutter, 2019.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.5, weight_decay=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        nonfinite: str = "raise",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        # The one setting of Adam's that is no choice here is left out of the groups.
        Optimizer.__init__(self, params, defaults, nonfinite)

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as numbers; checks them."""
        return {**super().settings(group), "decoupled": 1.0}
