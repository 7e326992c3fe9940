"""NAdam."""

from __future__ import annotations

from typing import Any

import samara
from samara.optim.adam import moments
from samara.optim.optimizer import Optimizer, descent
from samara.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    g <- g + weight_decay p (or, decoupled, p <- p - lr weight_decay p);
    mu_t = b1 (1 - 0.96^(t momentum_decay) / 2);  m and v as in Adam;
    p <- p - lr [(1 - mu_t) / (1 - prod mu) g + mu_t+1 / (1 - prod mu mu_t+1) m]
             / (sqrt(v / (1 - b2^t)) + eps).

    Raises ArgumentError for settings out of range, NumericsError at a
    step with a non-finite gradient. Source: Dozat, 2016.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.8944
    """

    state_names = ("mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, nonfinite)

    @staticmethod
    def state_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state `name` of a parameter of that shape."""
        return () if name == "mu_product" else shape

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation of the class."""
        lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
        param, g = descent(param, grad, settings, settings["decoupled"])
        mu, mu_next = (
            beta1 * (1 - 0.5 * 0.96 ** (t * settings["momentum_decay"])) for t in (step, step + 1)
        )
        product = (
            state.get("mu_product", samara.ones((), dtype=param.dtype, device=param.device)) * mu
        )
        m, v = moments(param, g, state, settings)
        denominator = samara.sqrt(v / (1 - beta2**step)) + settings["eps"]
        direction = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * m
        new = {"mu_product": product, "exp_avg": m, "exp_avg_sq": v}
        return param - lr * (direction / denominator), new
