"""Dropout of elements and of channels."""

from __future__ import annotations

from samara.errors import ArgumentError
from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    """What the kinds of dropout share; `inplace` is accepted, the input is never changed."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ArgumentError(
                f"{type(self).__name__}: p is {p}. Expected a probability, 0 <= p <= 1. "
                "Fix: p is the part that is dropped, 0.1 to 0.5 as a rule."
            )
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, zero each element with probability p and scale the rest by 1 / (1 - p).

    `x: [*S]` -> `[*S]` (Srivastava et al., 2014). In `eval()` mode it does nothing. Raises
    ArgumentError unless 0 <= p <= 1.

    >>> import samara
    >>> Dropout(0.5).eval()(samara.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        if not self.training or self.p == 0.0:
            return input
        return F.dropout(input, self.p, True)


class Dropout1d(_Dropout):
    """Dropout of whole channels (Tompson et al., 2015).

    `x: [N, C, L]` or `[C, L]` -> the same.

    >>> import samara
    >>> Dropout1d(0.5).eval()(samara.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, L]` -> `[N, C, L]`."""
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Dropout of whole channels (Tompson et al., 2015).

    `x: [N, C, H, W]` or `[N, C, L]` -> the same.

    >>> import samara
    >>> Dropout2d(0.5).eval()(samara.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 1.0]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` -> `[N, C, H, W]`."""
        return F.dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Dropout of whole channels (Tompson et al., 2015).

    `x: [N, C, D, H, W]` or `[C, D, H, W]` -> the same.

    >>> import samara
    >>> Dropout3d(0.5).eval()(samara.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 1.0]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, D, H, W]` -> `[N, C, D, H, W]`."""
        return F.dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout that keeps the mean and variance of SELU's outputs (Klambauer et al., 2017).

    `x: [*S]` -> `[*S]`.

    >>> import samara
    >>> AlphaDropout(0.5).eval()(samara.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[*S]` -> `[*S]`."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels.

    `x: [N, C, *S]` -> the same.

    >>> import samara
    >>> FeatureAlphaDropout(0.5).eval()(samara.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, *S]` -> `[N, C, *S]`."""
        return F.feature_alpha_dropout(input, self.p, self.training)
