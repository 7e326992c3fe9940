"""Losses as modules. None of them broadcasts: unequal shapes raise ShapeError."""

from __future__ import annotations

from typing import Any

from samara.lookup import choose
from samara.nn import functional as F
from samara.nn._loss_functions import Legacy, reduction_of
from samara.nn.module import Module
from samara.tensor import Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
    "WeightedLoss",
    "get",
]


class Loss(Module):
    """What losses share: the reduction; `size_average` and `reduce` are PyTorch's older form."""

    def __init__(
        self, size_average: Legacy = None, reduce: Legacy = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        reduction = reduction_of(size_average, reduce, reduction)
        choose(f"{type(self).__name__}: reduction", reduction, dict.fromkeys(_REDUCTIONS))
        self.reduction = reduction


class WeightedLoss(Loss):
    """What losses with a weight share."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


_REDUCTIONS = ("mean", "sum", "none")


class MSELoss(Loss):
    """(input - target)^2, averaged, summed or not at all.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> MSELoss()(samara.tensor([1.0]), samara.tensor([4.0])).item()
    9.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """|input - target|, averaged, summed or not at all.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> L1Loss()(samara.tensor([1.0]), samara.tensor([4.0])).item()
    3.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2 (Girshick, 2015).

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> SmoothL1Loss()(samara.tensor([0.0]), samara.tensor([3.0])).item()
    2.5
    """

    def __init__(
        self,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)


class HuberLoss(Loss):
    """d^2 / 2 where d = |input - target| <= delta, else delta (d - delta / 2) (Huber, 1964).

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> HuberLoss()(samara.tensor([0.0]), samara.tensor([3.0])).item()
    2.5
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.huber_loss(input, target, delta=self.delta, reduction=self.reduction)


class CrossEntropyLoss(WeightedLoss):
    """-log softmax(logits)[target], from logits.

    `input: [N, C, *S]` or `[C]`, `target: [N, *S]` class indices, or probabilities of input's
    shape -> `[]` or target's shape. Raises ShapeError for shapes that do not match and
    IndexOutOfRangeError for a class outside of 0..C-1.

    >>> import samara
    >>> CrossEntropyLoss()(samara.zeros(2, 1), samara.tensor([0, 0])).item()
    0.0
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Legacy = None,
        ignore_index: int = -100,
        reduce: Legacy = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, C, *S]`, `[N, *S]` -> `[]` or `[N, *S]`."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(WeightedLoss):
    """-input[target] for log-probabilities, such as those of `LogSoftmax`.

    `input: [N, C, *S]` or `[C]`, `target: [N, *S]` or `[]` -> `[]` or target's shape. Raises
    ShapeError for shapes that do not match and IndexOutOfRangeError for an unknown class.

    >>> import samara
    >>> NLLLoss()(samara.tensor([[-0.5, -2.0]]), samara.tensor([0])).item()
    0.5
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Legacy = None,
        ignore_index: int = -100,
        reduce: Legacy = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[N, C, *S]`, `[N, *S]` -> `[]` or `[N, *S]`."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(WeightedLoss):
    """-(y log s(x) + (1 - y) log(1 - s(x))), s the sigmoid, from logits x.

    `input: [*S]`, `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> round(BCEWithLogitsLoss()(samara.zeros(1), samara.ones(1)).item(), 4)
    0.6931
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Legacy = None,
        reduce: Legacy = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class BCELoss(WeightedLoss):
    """-(y log x + (1 - y) log(1 - x)) for probabilities x.

    `input: [*S]`, `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for unequal shapes
    and ArgumentError for an input outside of [0, 1].

    >>> import samara
    >>> round(BCELoss()(samara.full((1,), 0.5), samara.ones(1)).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """`[*S]`, `[*S]` -> `[]` or `[*S]`."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


_BY_NAME: dict[str, Any] = {
    "mse": MSELoss,
    "l1": L1Loss,
    "mae": L1Loss,
    "smooth_l1": SmoothL1Loss,
    "huber": HuberLoss,
    "cross_entropy": CrossEntropyLoss,
    "nll": NLLLoss,
    "bce_with_logits": BCEWithLogitsLoss,
    "bce": BCELoss,
}


def get(loss: Any, **options: Any) -> Any:
    """A loss module by name, or the callable given.

    Raises ArgumentError for an unknown name, with the closest known one.

    >>> get("huber", delta=2.0)
    HuberLoss()
    """
    if not isinstance(loss, str):
        return loss
    return choose("loss", loss, _BY_NAME)(**options)
