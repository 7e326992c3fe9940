"""Losses and lookups with the signatures of `torch.nn.functional`.

`size_average` and `reduce` are PyTorch's older way to say `reduction`; where `size_average` is a
string it is taken for the reduction itself.
"""

from __future__ import annotations

from collections.abc import Callable

import samara
from samara.errors import ArgumentError
from samara.lookup import choose
from samara.ops.bags import refuse_sparse, rows_of
from samara.tensor import Tensor

__all__ = [
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "embedding",
    "embedding_bag",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "poisson_nll_loss",
    "reduction_of",
    "require_margin",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

Legacy = bool | str | None


def reduction_of(size_average: Legacy, reduce: Legacy, reduction: str) -> str:
    """The reduction that PyTorch's older arguments ask for.

    >>> reduction_of(False, None, "mean")
    'sum'
    """
    if isinstance(size_average, str):
        return size_average
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def require_margin(place: str, margin: float) -> None:
    """ArgumentError for a margin that is not above 0."""
    if not margin > 0:
        raise ArgumentError(
            f"{place}: margin is {margin}. Expected more than 0. Fix: pass e.g. margin=1.0."
        )


# --- regression -----------------------------------------------------------------------------------


def _weighted(
    loss: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    *options: float,
) -> Tensor:
    if weight is None:
        return loss(input, target, *options, reduction=reduction)
    values = loss(input, target, *options, reduction="none") * weight
    if reduction == "mean":
        return values.sum() / weight.expand(values.shape).sum()
    return values.sum() if reduction == "sum" else values


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2. `[*S]`, `[*S]` -> `[]` or `[*S]`; a weighted mean divides by the weights.

    Raises ShapeError for unequal shapes.
    """
    chosen = reduction_of(size_average, reduce, reduction)
    return _weighted(samara.mse_loss, input, target, weight, chosen)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|. `[*S]`, `[*S]` -> `[]` or `[*S]`.

    Raises ShapeError for unequal shapes.
    """
    chosen = reduction_of(size_average, reduce, reduction)
    return _weighted(samara.l1_loss, input, target, weight, chosen)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2. Equal shapes."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.smooth_l1_loss(input, target, beta, chosen)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 where d = |input - target| < delta, else delta (d - delta / 2). Equal shapes."""
    return _weighted(samara.huber_loss, input, target, weight, reduction, delta)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Legacy = None,
    eps: float = 1e-8,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """-log of a Poisson distribution's probability; see `samara.poisson_nll_loss`."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.poisson_nll_loss(input, target, log_input, full, eps, chosen)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """-log of a normal distribution's density; see `samara.gaussian_nll_loss`."""
    return samara.gaussian_nll_loss(input, target, var, full, eps, reduction)


# --- classes --------------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    ignore_index: int = -100,
    reduce: Legacy = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target], from logits.

    `input: [N, C, *S]` or `[C]`, `target: [N, *S]` class indices, or probabilities of input's
    shape -> `[]` or `[N, *S]`. Raises ShapeError for shapes that do not fit.
    """
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.cross_entropy(input, target, weight, ignore_index, chosen, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    ignore_index: int = -100,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target] of log-probabilities. `[N, C, *S]`, `[N, *S]` -> `[]` or `[N, *S]`."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.nll_loss(input, target, weight, ignore_index, chosen)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Target (log target - input) of log-probabilities; see `samara.kl_div`."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.kl_div(input, target, chosen, log_target)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
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
    plain = input.detach()
    if bool(((plain < 0) | (plain > 1)).any()):
        raise ArgumentError(
            f"binary_cross_entropy: the input holds {plain.min().item()} to {plain.max().item()}. "
            "Expected probabilities in [0, 1]. Fix: apply sigmoid first, or pass logits to "
            "binary_cross_entropy_with_logits."
        )
    chosen = reduction_of(size_average, reduce, reduction)
    loss: Tensor = samara.binary_cross_entropy(input, target, weight, chosen)
    return loss


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(p y log s(x) + (1 - y) log(1 - s(x))), s the sigmoid, p = pos_weight. Equal shapes."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.binary_cross_entropy_with_logits(input, target, weight, chosen, pos_weight)


# --- margins --------------------------------------------------------------------------------------


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + e^(-target input)) for targets of -1 and 1; see `samara.soft_margin_loss`."""
    return samara.soft_margin_loss(input, target, reduction_of(size_average, reduce, reduction))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """X where the target is 1, max(0, margin - x) where it is -1."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.hinge_embedding_loss(input, target, margin, chosen)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target (input1 - input2))."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.margin_ranking_loss(input1, input2, target, margin, chosen)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.cosine_embedding_loss(input1, input2, target, margin, chosen)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive|_p - |anchor - negative|_p)."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, chosen)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of your own, `[N, D]`, `[N, D]` -> `[N]`.

    Raises ArgumentError for a margin that is not above 0.

    >>> import samara
    >>> a = samara.zeros(1, 2)
    >>> triplet_margin_with_distance_loss(a, a, a, margin=0.5).item()
    0.5
    """
    choose("reduction", reduction, dict.fromkeys(("mean", "sum", "none")))
    require_margin("triplet_margin_with_distance_loss", margin)
    distance = samara.pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = samara.minimum(far, distance(positive, negative))
    values = (margin + near - far).clamp(min=0.0)
    return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_i max(0, margin - x[target] + x[i])^p / C over the other classes."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.multi_margin_loss(input, target, p, margin, weight, chosen)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_j sum_i max(0, 1 - x[target_j] + x[i]) / C; targets end at -1."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.multilabel_margin_loss(input, target, chosen)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Legacy = None,
    reduce: Legacy = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of logits, averaged over the classes."""
    chosen = reduction_of(size_average, reduce, reduction)
    return samara.multilabel_soft_margin_loss(input, target, weight, chosen)


ctc_loss = samara.ctc_loss

# --- lookups and products -------------------------------------------------------------------------


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    """X / max(|x|_p, eps), the norm along `dim`. `[*S]` -> `[*S]`."""
    return samara.normalize(input, p, dim, eps)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight: [V, D]` by integer. `input: [*]` -> `[*, D]`.

    The row padding_idx gets no gradient. With max_norm the rows that are looked up are first
    scaled down to that norm, in the weight itself. scale_grad_by_freq divides a row's gradient by
    its number of occurrences. Raises NotImplementedError for `sparse`.
    """
    refuse_sparse("embedding", sparse)
    return rows_of(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)


bilinear = samara.bilinear
embedding_bag = samara.embedding_bag
