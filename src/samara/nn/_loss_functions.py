"""Losses and lookups with the signatures of `torch.nn.functional`.

`size_average` and `reduce` are PyTorch's older way to say `reduction`; where `size_average` is a
string it is taken for the reduction itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
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


def _renormalize(weight: Tensor, ids: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that will be looked up down to max_norm, in place and unrecorded."""
    with samara.no_grad():
        rows = samara.unique(ids.reshape(-1))
        if rows.numel():
            weight[rows] = samara.renorm(weight.detach()[rows], norm_type, 0, max_norm)


def _shares(ids: Tensor, rows: int, dtype: Any) -> Tensor:
    """1 / how often each id occurs."""
    counts = samara.bincount(ids.reshape(-1), minlength=rows)
    return 1.0 / counts[ids].to(dtype)


def refuse_sparse(place: str, sparse: bool) -> None:
    """NotImplementedError for gradients that hold some rows only."""
    if sparse:
        raise NotImplementedError(
            f"{place}: sparse=True is not there. Expected sparse=False, for dense gradients. "
            "Fix: leave it out."
        )


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
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    found: Tensor = samara.embedding(input, weight, padding_idx)
    if not scale_grad_by_freq:
        return found
    share = found * _shares(input, weight.shape[0], found.dtype).unsqueeze(-1)
    return share + (found - share).detach()


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, int]:
    """The bag of each id, and how many bags there are."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "embedding_bag: offsets were given with a matrix of ids. Expected None: each row "
                "is a bag. Fix: leave offsets out."
            )
        count, size = input.shape
        return samara.arange(count, device=input.device).repeat_interleave(size), count
    if input.ndim != 1 or offsets is None:
        raise ShapeError(
            f"embedding_bag: the input has shape {input.shape}, offsets are "
            f"{'missing' if offsets is None else 'given'}. Expected [B, N], or [N] with offsets. "
            "Fix: pass the start of each bag as offsets."
        )
    starts = offsets.tolist()
    if not starts or starts[0] != 0 or any(a > b for a, b in itertools.pairwise(starts)):
        raise ArgumentError(
            f"embedding_bag: offsets are {starts[:8]}. Expected 0 first and no smaller number "
            "after a larger one. Fix: pass the start of each bag, in order."
        )
    ends = starts if include_last_offset else [*starts, input.shape[0]]
    if ends[-1] > input.shape[0]:
        raise ArgumentError(
            f"embedding_bag: the last offset is {ends[-1]} for {input.shape[0]} ids. Expected no "
            "more than that. Fix: correct the offsets."
        )
    sizes = [b - a for a, b in itertools.pairwise(ends)]
    numbers = [i for i, size in enumerate(sizes) for _ in range(size)]
    return samara.tensor(numbers, dtype=samara.int64, device=input.device), len(sizes)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of the rows of `weight: [V, D]` over bags of integers.

    `input: [B, N]`, or `[N]` with the start of each bag in `offsets: [B]` -> `[B, D]`; an empty bag
    gives 0. The ids padding_idx count for nothing. per_sample_weights multiply rows of a sum.

    Raises ArgumentError for an unknown mode, or for weights with another mode than "sum",
    NotImplementedError for `sparse`.

    >>> import samara
    >>> embedding_bag(samara.tensor([[0, 2]]), samara.eye(3), mode="sum").tolist()
    [[1.0, 0.0, 1.0]]
    """
    refuse_sparse("embedding_bag", sparse)
    choose("embedding_bag: mode", mode, dict.fromkeys(("sum", "mean", "max")))
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(
            f"embedding_bag: per_sample_weights with mode {mode!r}. Expected mode 'sum'. "
            "Fix: leave the weights out, or sum."
        )
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != tuple(input.shape):
        raise ShapeError(
            f"embedding_bag: per_sample_weights have shape {per_sample_weights.shape}. Expected "
            f"{input.shape}, one for each id. Fix: reshape them."
        )
    bags, count = _bags(input, offsets, include_last_offset)
    ids = input.reshape(-1)[: bags.shape[0]]
    rows = embedding(ids, weight, None, max_norm, norm_type, scale_grad_by_freq)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        kept = (ids != padding_idx % weight.shape[0]).nonzero().reshape(-1)
        rows, bags = rows[kept], bags[kept]
        factors = None if factors is None else factors[kept]
    if factors is not None:
        rows = rows * factors[: rows.shape[0]].unsqueeze(1)
    sums = rows.new_zeros((count, weight.shape[1]))
    if mode == "max":
        place = bags.unsqueeze(1).expand(rows.shape)
        return samara.scatter_reduce(sums, 0, place, rows, "amax", include_self=False)
    sums = samara.index_add(sums, 0, bags, rows)
    if mode == "sum":
        return sums
    sizes = samara.bincount(bags, minlength=count).clamp(min=1)
    return sums / sizes.to(sums.dtype).unsqueeze(1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1^T W_k input2 + bias_k. `[*, I]`, `[*, J]`, weight `[K, I, J]`, bias `[K]` -> `[*, K]`.

    Raises ShapeError when the shapes do not fit.

    >>> import samara
    >>> bilinear(samara.ones(2, 3), samara.ones(2, 4), samara.ones(5, 3, 4)).shape
    (2, 5)
    """
    if (
        weight.ndim != 3
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:])
    ):
        raise ShapeError(
            f"bilinear: inputs of shapes {input1.shape} and {input2.shape} for a weight of shape "
            f"{weight.shape}. Expected [*, I] and [*, J] for [K, I, J]. Fix: reshape one of them."
        )
    outputs, first, second = weight.shape
    flat = weight.permute(1, 0, 2).reshape(first, outputs * second)
    left = (input1 @ flat).reshape(*input1.shape[:-1], outputs, second)
    result = (left * input2.unsqueeze(-2)).sum(axis=-1)
    return result if bias is None else result + bias
