"""Distances and cosines as modules."""

from __future__ import annotations

from samara.nn import functional as F
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`.

    `x1: [*S]`, `x2: [*S]` -> `[*S without dim]`.

    >>> import samara
    >>> CosineSimilarity()(samara.eye(2), samara.eye(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[*S without dim]`."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps over the last axis.

    `x1: [N, D]`, `x2: [N, D]` -> `[N]` or, with keepdim, `[N, 1]`.

    >>> import samara
    >>> PairwiseDistance(eps=0.0)(samara.zeros(1, 2), samara.tensor([[3.0, 4.0]])).item()
    5.0
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """`[N, D]`, `[N, D]` -> `[N]`."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
