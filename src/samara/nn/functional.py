"""Layers and losses as functions, under the names of `torch.nn.functional`.

The loss functions never broadcast: a prediction `(32, 1)` against a target `(32,)` raises.
"""

from __future__ import annotations

from samara import (
    Tensor,
    clamp,
    cross_entropy,
    dropout,
    elu,
    embedding,
    gather,
    gelu,
    hardswish,
    hardtanh,
    layer_norm,
    leaky_relu,
    linear,
    log,
    log_softmax,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    square,
    tanh,
    where,
)
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "mse_loss",
    "nll_loss",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]


def check_same_shape(op: str, input: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless prediction and target have one shape."""
    if input.shape == target.shape:
        return
    given, wanted = tuple(input.shape), tuple(target.shape)
    if input.numel() == target.numel():
        fix = f"target.reshape{given}" if len(given) != 1 else f"prediction.reshape{wanted}"
        if given == (*wanted, 1):
            fix = "prediction.squeeze(-1), or target.unsqueeze(-1)"
        elif wanted == (*given, 1):
            fix = "target.squeeze(-1), or prediction.unsqueeze(-1)"
    else:
        fix = (
            f"make the model's output and the target agree, here {wanted[-1:] or (1,)} values each"
        )
    raise ShapeError(
        f"{op}: the prediction has shape {given} and the target has shape {wanted}; subtracting "
        "them would broadcast, or fail. Expected equal shapes. "
        f"Fix: {fix}."
    )


def _reduce(op: str, loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(
        f"{op}: reduction is {reduction!r}. Expected 'mean', 'sum' or 'none'. "
        "Fix: choose one of these."
    )


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)^2, averaged, summed or not at all.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> mse_loss(samara.tensor([1.0, 2.0]), samara.tensor([1.0, 4.0])).item()
    2.0
    """
    check_same_shape("mse_loss", input, target)
    return _reduce("mse_loss", square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|, averaged, summed or not at all.

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> l1_loss(samara.tensor([1.0, 2.0]), samara.tensor([1.0, 4.0])).item()
    1.0
    """
    check_same_shape("l1_loss", input, target)
    return _reduce("l1_loss", (input - target).abs(), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d^2 / 2 where d = |input - target| <= delta, else delta (d - delta / 2) (Huber, 1964).

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`. Raises ShapeError for unequal shapes,
    ArgumentError for delta <= 0.

    >>> import samara
    >>> huber_loss(samara.tensor([0.0]), samara.tensor([3.0])).item()
    2.5
    """
    check_same_shape("huber_loss", input, target)
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta is {delta}. Expected delta > 0. Fix: delta=1.0.")
    d = (input - target).abs()
    # With c = min(d, delta) both branches are c (d - c / 2): no branch, and no gradient of one.
    c = clamp(d, None, delta)
    return _reduce("huber_loss", c * (d - 0.5 * c), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2 (Girshick, 2015).

    `input: [*S]`, `target: [*S]` -> `[]` or `[*S]`; beta = 0 is the L1 loss. Raises ShapeError
    for unequal shapes, ArgumentError for beta < 0.

    >>> import samara
    >>> smooth_l1_loss(samara.tensor([0.0]), samara.tensor([3.0])).item()
    2.5
    """
    check_same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta is {beta}. Expected beta >= 0. Fix: beta=1.0.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return _reduce(
        "smooth_l1_loss", huber_loss(input, target, "none", beta) * (1.0 / beta), reduction
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] input[target]: the negative log-likelihood of log-probabilities.

    `input: [N, C, *S]` or `[C]`, `target: [N, *S]` or `[]` int -> `[]` or target's shape. The mean
    divides by the sum of the weights of the targets that count. Raises ShapeError for shapes that
    do not match, IndexOutOfRangeError for a class outside of 0..C-1.

    >>> import samara
    >>> nll_loss(samara.tensor([[-0.5, -2.0]]), samara.tensor([0])).item()
    0.5
    """
    axis = 0 if input.ndim == 1 else 1
    expected = tuple(input.shape[:axis]) + tuple(input.shape[axis + 1 :])
    if input.ndim == 0 or tuple(target.shape) != expected:
        raise ShapeError(
            f"nll_loss: the log-probabilities have shape {tuple(input.shape)} and the target has "
            f"shape {tuple(target.shape)}. Expected [N, C, ...] and [N, ...]. Fix: pass one class "
            "index per row, for example target.reshape(-1)."
        )
    classes = input.shape[axis]
    counts = target != ignore_index
    wrong = counts & ((target < 0) | (target >= classes))
    if bool(wrong.any()):
        worst = int(target[wrong][0].item())
        raise IndexOutOfRangeError(
            f"nll_loss: the target holds the class {worst}. Expected 0 to {classes - 1} (or "
            f"ignore_index={ignore_index}). Fix: number the classes from 0."
        )
    index = where(counts, target, 0)
    picked = -gather(input, axis, index.unsqueeze(axis)).squeeze(axis)
    scale = counts.to(input.dtype) if weight is None else where(counts, weight[index], 0.0)
    loss = where(counts, picked * scale, 0.0)
    if reduction == "mean":
        return loss.sum() / scale.sum()
    return _reduce("nll_loss", loss, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(p y log s(x) + (1 - y) log(1 - s(x))), s the sigmoid and p = pos_weight.

    Computed as (1 - y) softplus(x) + p y softplus(-x), which loses no digits for any x.
    `input: [*S]`, `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for unequal shapes.

    >>> import samara
    >>> loss = binary_cross_entropy_with_logits(samara.tensor([0.0]), samara.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.6931
    """
    check_same_shape("binary_cross_entropy_with_logits", input, target)
    y = target if target.dtype == input.dtype else target.to(input.dtype)
    positive = y if pos_weight is None else pos_weight * y
    loss = (1.0 - y) * softplus(input) + positive * softplus(-input)
    if weight is not None:
        loss = loss * weight
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) for probabilities x; logarithms are cut off at -100.

    `input: [*S]` in [0, 1], `target: [*S]` in [0, 1] -> `[]` or `[*S]`. Raises ShapeError for
    unequal shapes, ArgumentError for an input that is no probability. Prefer the form with logits,
    which is exact for confident predictions.

    >>> import samara
    >>> loss = binary_cross_entropy(samara.tensor([0.5]), samara.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.6931
    """
    check_same_shape("binary_cross_entropy", input, target)
    plain = input.detach()
    if bool(((plain < 0) | (plain > 1)).any()):
        raise ArgumentError(
            f"binary_cross_entropy: the input holds {plain.min().item()} to {plain.max().item()}. "
            "Expected probabilities in [0, 1]. Fix: apply sigmoid first, or pass logits to "
            "binary_cross_entropy_with_logits."
        )
    y = target if target.dtype == input.dtype else target.to(input.dtype)
    loss = -(y * clamp(log(input), -100.0) + (1.0 - y) * clamp(log(1.0 - input), -100.0))
    if weight is not None:
        loss = loss * weight
    return _reduce("binary_cross_entropy", loss, reduction)
