"""Losses of margins, likelihoods and alignments as modules, under the names of `torch.nn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from samara.errors import ArgumentError
from samara.nn import functional as F
from samara.nn._loss_functions import Legacy, require_margin
from samara.nn.loss import Loss, WeightedLoss
from samara.tensor import Tensor

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "KLDivLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class KLDivLoss(Loss):
    """target (log target - input) for log-probabilities; "batchmean" is the divergence itself.

    `input: [N, *S]`, `target: [N, *S]` -> `[]` or `[N, *S]`. Raises ShapeError for shapes that do
    not broadcast.

    >>> import samara
    >>> KLDivLoss(reduction="batchmean")(samara.zeros(1, 1), samara.ones(1, 1)).item()
    0.0
    """

    def __init__(
        self,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        whole = reduction == "batchmean"
        super().__init__(size_average, reduce, "sum" if whole else reduction)
        self.reduction = "batchmean" if whole else self.reduction
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, *S]`, `[N, *S]` -> `[]` or `[N, *S]`."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """e^input - target input, for counts that are Poisson distributed.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`.

    >>> import samara
    >>> PoissonNLLLoss()(samara.zeros(1), samara.ones(1)).item()
    1.0
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Legacy = None,
        eps: float = 1e-8,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.poisson_nll_loss(
            log_input,
            target,
            self.log_input,
            self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """(log var + (input - target)^2 / var) / 2, for a predicted mean and variance.

    `input: [*S]`, `target: [*S]`, `var: [*S]` or with the last axis 1 or left out -> `[]` or
    `[*S]`. Raises ArgumentError for a negative variance.

    >>> import samara
    >>> GaussianNLLLoss()(samara.zeros(1), samara.ones(1), samara.ones(1)).item()
    0.5
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """`[*S]`, `[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class _MarginLoss(Loss):
    """What losses of pairs with a margin share."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class HingeEmbeddingLoss(_MarginLoss):
    """x where the target is 1, max(0, margin - x) where it is -1.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`.

    >>> import samara
    >>> HingeEmbeddingLoss()(samara.tensor([0.25]), samara.tensor([-1.0])).item()
    0.75
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(Loss):
    """log(1 + e^(-target input)) for targets of -1 and 1.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`.

    >>> import samara
    >>> round(SoftMarginLoss()(samara.zeros(1), samara.ones(1)).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_MarginLoss):
    """max(0, margin - target (input1 - input2)).

    `input1: [*S]`, `input2: [*S]`, `target: [*S]` of -1 and 1 -> `[]` or `[*S]`.

    >>> import samara
    >>> MarginRankingLoss()(samara.zeros(1), samara.ones(1), samara.ones(1)).item()
    1.0
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1.

    `input1: [N, D]`, `input2: [N, D]`, `target: [N]` -> `[]` or `[N]`.

    >>> import samara
    >>> x = samara.tensor([[1.0, 0.0]])
    >>> CosineEmbeddingLoss()(x, x, samara.tensor([1.0])).item()
    0.0
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """`[N, D]`, `[N, D]`, `[N]` -> `[]` or `[N]`."""
        return F.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class TripletMarginLoss(Loss):
    """max(0, margin + |anchor - positive|_p - |anchor - negative|_p) (Balntas et al., 2016).

    Three tensors `[N, D]` -> `[]` or `[N]`. Raises ArgumentError for a margin of 0 or less.

    >>> import samara
    >>> TripletMarginLoss()(samara.zeros(1, 2), samara.zeros(1, 2), samara.zeros(1, 2)).item()
    1.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        require_margin(type(self).__name__, margin)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """`[N, D]`, `[N, D]`, `[N, D]` -> `[]` or `[N]`."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """`TripletMarginLoss` with a distance of your own, `[N, D]`, `[N, D]` -> `[N]`.

    Three tensors `[N, D]` -> `[]` or `[N]`. Raises ArgumentError for a margin of 0 or less.

    >>> import samara
    >>> loss = TripletMarginWithDistanceLoss(margin=0.5)
    >>> loss(samara.zeros(1, 2), samara.zeros(1, 2), samara.zeros(1, 2)).item()
    0.5
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        require_margin(type(self).__name__, margin)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """`[N, D]`, `[N, D]`, `[N, D]` -> `[]` or `[N]`."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class MultiMarginLoss(WeightedLoss):
    """sum_i max(0, margin - x[target] + x[i])^p / C over the classes other than the target.

    `input: [N, C]` or `[C]`, `target: [N]` or `[]`, weight `[C]` -> `[]` or the target's shape.
    Raises ArgumentError for p other than 1 and 2.

    >>> import samara
    >>> MultiMarginLoss()(samara.zeros(1, 2), samara.tensor([0])).item()
    0.5
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ArgumentError(
                f"MultiMarginLoss: p is {p}. Expected 1 or 2. Fix: pass one of these."
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, C]`, `[N]` -> `[]` or `[N]`."""
        return F.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """sum_j sum_i max(0, 1 - x[target_j] + x[i]) / C over targets j and the other classes i.

    `input: [N, C]` or `[C]`, `target`: of that shape, the classes that hold, closed by -1 -> `[]`
    or `[N]`.

    >>> import samara
    >>> MultiLabelMarginLoss()(samara.zeros(2), samara.tensor([0, -1])).item()
    0.5
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, C]`, `[N, C]` -> `[]` or `[N]`."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Binary cross entropy of logits, averaged over the classes.

    `input: [N, C]`, `target: [N, C]` in [0, 1], weight `[C]` -> `[]` or `[N]`.

    >>> import samara
    >>> round(MultiLabelSoftMarginLoss()(samara.zeros(1, 2), samara.ones(1, 2)).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, C]`, `[N, C]` -> `[]` or `[N]`."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class CTCLoss(Loss):
    """-log p(target) over all alignments of the target with the input (Graves et al., 2006).

    `log_probs: [T, N, C]` or `[T, C]`, `targets: [N, S]` or all in one vector, lengths `[N]` ->
    `[]` or `[N]`. Raises ArgumentError for lengths and classes out of range.

    >>> import samara
    >>> log_probs = samara.zeros(2, 1, 2).log_softmax(2)
    >>> loss = CTCLoss(reduction="sum")(log_probs, samara.tensor([[1]]), (2,), (1,))
    >>> round((-loss).exp().item(), 4)
    0.75
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        """`[T, N, C]`, `[N, S]`, `[N]`, `[N]` -> `[]` or `[N]`."""
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
