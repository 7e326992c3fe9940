"""Dropout."""

from __future__ import annotations

from samara.errors import ArgumentError
from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = ["Dropout"]


class Dropout(Module):
    """While training, zero each element with probability p and scale the rest by 1 / (1 - p).

    `x: [*S]` -> `[*S]` (Srivastava et al., 2014). In `eval()` mode it does nothing. `inplace` is
    accepted for compatibility; the input is never changed. Raises ArgumentError unless
    0 <= p <= 1.

    >>> import samara
    >>> Dropout(0.5).eval()(samara.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ArgumentError(
                f"Dropout: p is {p}. Expected a probability, 0 <= p <= 1. "
                "Fix: p is the part that is dropped, 0.1 to 0.5 as a rule."
            )
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        if not self.training or self.p == 0.0:
            return input
        return F.dropout(input, self.p, True)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"
