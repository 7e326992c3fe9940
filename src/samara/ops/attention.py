"""Scaled dot product attention; the matrix of all scores never exists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import bool as boolean
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.comparison import isfinite
from samara.ops.creation import ones, tril, zeros
from samara.ops.elementary import exp
from samara.ops.manipulation import broadcast_shapes, broadcast_to
from samara.ops.matmul import matmul
from samara.ops.random_ops import DROPOUT, reference_draws
from samara.ops.random_ops import dropout as drop
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.reduction import amax
from samara.ops.selection import where
from samara.random import Key, as_key, key
from samara.tensor import Tensor

Array = np.ndarray[Any, Any]
_PLACE = "scaled_dot_product_attention"


def _weights(scores: Tensor) -> Tensor:
    """Softmax over the last axis; 0 in a row that attends to nothing."""
    if scores.shape[-1] == 0:
        return scores
    largest = amax(scores.detach(), axis=-1, keepdims=True)
    shift = where(isfinite(largest), largest, 0.0)
    raised = exp(scores - shift)
    total = raised.sum(axis=-1, keepdims=True)
    weights: Tensor = raised / where(total == 0, 1.0, total)
    return weights


def _causal(queries: int, keys: int, like: Tensor) -> Tensor:
    seen = tril(ones((queries, keys), dtype=boolean, device=like.device))
    added: Tensor = where(seen, zeros((), dtype=like.dtype, device=like.device), -math.inf)
    return added


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype == boolean:
        zero = zeros((), dtype=like.dtype, device=like.device)
        mask = where(mask, zero, -math.inf)
    return mask


def _scores(query: Tensor, keys: Tensor, mask: Tensor | None, scale: float, causal: bool) -> Tensor:
    scores: Tensor = matmul(query, keys.mT) * scale
    if mask is not None:
        scores = scores + _added(mask, scores)
    if causal:
        scores = scores + _causal(query.shape[-2], keys.shape[-2], scores)
    return scores


def _in_groups(x: Tensor, groups: int) -> Tensor:
    """[N, groups * g, L, E] -> [N, groups, g, L, E]."""
    n, heads, *rest = x.shape
    return x.reshape(n, groups, heads // groups, *rest)


def _gradient(
    g: Tensor,
    query: Tensor,
    keys: Tensor,
    value: Tensor,
    mask: Tensor | None,
    output: Tensor,
    *,
    scale: float,
    causal: bool,
    dropout: float,
    word: int,
) -> tuple[Tensor, Tensor, Tensor, None]:
    """The gradients with all scores at once, as part of the graph."""
    groups = keys.shape[1]
    if mask is not None:
        n, heads = query.shape[:2]
        mask = _in_groups(broadcast_to(mask, (n, heads, query.shape[2], keys.shape[2])), groups)
    q, k, v, g = (_in_groups(x, groups) for x in (query, keys, value, g))
    weights = _weights(_scores(q, k, mask, scale, causal))

    def dropped(x: Tensor) -> Tensor:
        result: Tensor = drop(x, dropout, key=word) if dropout else x
        return result

    product = weights * dropped(g @ v.mT)
    of_scores = (product - weights * product.sum(axis=-1, keepdims=True)) * scale
    return (
        (of_scores @ k).reshape(query.shape),
        (of_scores.mT @ q).sum(axis=2).reshape(keys.shape),
        (dropped(weights).mT @ g).sum(axis=2).reshape(value.shape),
        None,
    )


_attention = _core.Operation(
    "attention(query, keys, value, mask: Tensor?, scale: float, causal: bool, dropout: float, "
    "word: int)",
    "attention",
    rule=_gradient,
)


def _reference(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: Key | None = None,
) -> Array:
    if enable_gqa:
        key, value = (np.repeat(x, query.shape[-3] // x.shape[-3], axis=-3) for x in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = np.einsum("...le,...se->...ls", query, key) * factor
    if attn_mask is not None:
        added = attn_mask
        if attn_mask.dtype == bool:
            added = np.where(attn_mask, 0.0, -np.inf)
        scores = scores + added
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    raised = np.exp(scores - np.where(np.isfinite(largest), largest, 0.0))
    total = raised.sum(axis=-1, keepdims=True)
    weights = np.divide(raised, total, out=np.zeros_like(raised), where=total > 0)
    if dropout_p and dropout_key is not None:
        draws = reference_draws(weights.size, dropout_key.value, DROPOUT).reshape(weights.shape)
        weights = np.where(draws >= int(dropout_p * 2**32), weights / (1 - dropout_p), 0.0)
    result: Array = np.einsum("...ls,...sv->...lv", weights, value)
    return result


def _check(query: Any, keys: Any, value: Any, mask: Any, gqa: bool) -> None:
    for name, x in (("query", query), ("key", keys), ("value", value)):
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point or x.dtype != query.dtype:
            found = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise DTypeError(
                f"{_PLACE}: {name} is {found}. Expected query, key and value of one real floating "
                "dtype. Fix: convert them, e.g. x.to(samara.float32)."
            )
    q, k, v = query.shape, keys.shape, value.shape
    fit = min(len(q), len(k), len(v)) >= 2 and q[-1] == k[-1] and k[-2] == v[-2]
    if fit and gqa:
        heads = {len(q), len(k), len(v)} == {len(q)} and len(q) >= 3 and k[-3] == v[-3]
        fit = heads and k[-3] > 0 and q[-3] % k[-3] == 0
    if not fit:
        heads = ", query heads a multiple of the others'" if gqa else ""
        raise ShapeError(
            f"{_PLACE}: query has shape {q}, key {k}, value {v}. Expected [..., L, E], "
            f"[..., S, E] and [..., S, Ev]{heads}. Fix: reshape them."
        )
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype not in (boolean, query.dtype):
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(
            f"{_PLACE}: attn_mask is {found}. Expected bool (True attends) or numbers of the "
            f"query's dtype {query.dtype} to add to the scores. Fix: convert the mask."
        )


def _leading(query: Tensor, keys: Tensor, value: Tensor, gqa: bool) -> tuple[tuple[int, ...], ...]:
    """The axes before the last two (three with grouped heads) that all three share."""
    cut = -3 if gqa else -2
    shapes = [tuple(x.shape[:cut]) for x in (query, keys, value)]
    if shapes[0] == shapes[1] == shapes[2]:
        common = shapes[0]
    else:
        common = tuple(broadcast_shapes(*shapes))
    return tuple(common + tuple(x.shape[cut:-2]) for x in (query, keys, value))


def _four(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """[..., L, E] -> [N, heads, L, E]."""
    if tuple(x.shape[:-2]) != lead:
        x = broadcast_to(x, (*lead, *x.shape[-2:]))
    if len(lead) == 2:
        return x
    heads = lead[-1] if lead else 1
    return x.reshape(math.prod(lead[:-1]), heads, *x.shape[-2:])


def _mask_four(mask: Tensor | None, lead: tuple[int, ...], shape: tuple[int, int]) -> Tensor | None:
    if mask is None:
        return None
    try:
        fits = tuple(broadcast_shapes(mask.shape, (*lead, *shape))) == (*lead, *shape)
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{_PLACE}: attn_mask has shape {mask.shape}. Expected one that broadcasts to the "
            f"scores' {(*lead, *shape)}. Fix: give the mask axes of size 1 where it is shared."
        )
    if len(lead) == 2:
        return mask if mask.ndim == 4 else mask.reshape((1,) * (4 - mask.ndim) + tuple(mask.shape))
    return _four(broadcast_to(mask, (*lead, *shape)), lead)


def _samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Array:
        return rng.normal(size=shape)

    def three(*lead: int, queries: int = 5, keys: int = 7, width: int = 4, out: int = 3) -> Any:
        return (
            normal(*lead, queries, width),
            normal(*lead, keys, width),
            normal(*lead, keys, out),
        )

    some = rng.random(size=(5, 7)) < 0.6
    some[2] = False  # a query that attends to nothing
    return [
        Sample(*three(2, 3)),
        Sample(*three()),
        Sample(*three(2)),
        Sample(*three(2, 1, 2, queries=3)),
        Sample(*three(2, 3, keys=5), is_causal=True),
        Sample(*three(1, 2, queries=6, keys=4), is_causal=True, scale=0.3),
        Sample(*three(2, 2), some),
        Sample(*three(2, 2), normal(2, 1, 5, 7)),
        Sample(*three(2, 2), dropout_p=0.3, dropout_key=key(3)),
        Sample(normal(2, 4, 5, 4), normal(2, 2, 6, 4), normal(2, 2, 6, 4), enable_gqa=True),
        Sample(normal(2, 5, 4), normal(1, 7, 4), normal(7, 4)),
        Sample(normal(1, 1, 70, 2), normal(1, 1, 530, 2), normal(1, 1, 530, 2)),
        Sample(
            normal(2, 4, 3, 70).swapaxes(-1, -2)[..., :3], normal(2, 4, 9, 3), normal(2, 4, 9, 3)
        ),
        Sample(*three(0, 2)),
        Sample(*three(1, 2, keys=0)),
        Sample(*three(1, 2, queries=0)),
    ]


@composite(
    "scaled_dot_product_attention(query, key, value, attn_mask: Tensor? = None, "
    "dropout_p: float = 0.0, is_causal: bool = False, scale: float? = None, "
    "enable_gqa: bool = False, *, dropout_key: Key? = None)",
    doc="""softmax(scale query key^T + mask) value, in memory linear in the length.

    query: [*N, L, E], key: [*N, S, E], value: [*N, S, Ev] float -> [*N, L, Ev]. scale is
    1 / sqrt(E) by default. attn_mask, broadcast to [*N, L, S]: True attends, or numbers that are
    added. is_causal lets query i see keys up to i. enable_gqa: query heads (the third axis from the
    end) share the fewer heads of key and value in turn. A query that attends to nothing gives 0.
    dropout_p drops weights, by the key of the dropout.

    Raises ShapeError and DTypeError for operands and masks that do not fit, ArgumentError for a
    mask beside is_causal and for a probability out of range. Source: Vaswani et al., Attention Is
    All You Need, 2017; Dao et al., FlashAttention, 2022.

    >>> q = samara.ones(1, 1, 2, 4)
    >>> v = samara.tensor([[[[1.0], [3.0]]]])
    >>> samara.scaled_dot_product_attention(q, q, v, is_causal=True).flatten().tolist()
    [1.0, 2.0]
    """,
    ref=_reference,
    ulp=64,
    condition="max",
    samples=_samples,
    errors=lambda: [
        ErrorSample(ShapeError, "query has shape", *(np.ones((2, n)) for n in (3, 4, 4))),
        ErrorSample(
            ShapeError, "attn_mask has shape", *[np.ones((2, 3, 4))] * 3, np.ones((3, 2), bool)
        ),
        ErrorSample(DTypeError, "attn_mask is", *[np.ones((3, 4))] * 3, np.ones((3, 3), np.int64)),
        ErrorSample(
            ArgumentError,
            "beside is_causal",
            *[np.ones((3, 4))] * 3,
            np.ones((3, 3), bool),
            is_causal=True,
        ),
        ErrorSample(ArgumentError, "dropout_p = 1.5", *[np.ones((3, 4))] * 3, None, 1.5),
        ErrorSample(
            ShapeError,
            "a multiple of",
            *(np.ones((1, heads, 3, 4)) for heads in (3, 2, 2)),
            enable_gqa=True,
        ),
    ],
    methods=(),
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: Key | int | None = None,
) -> Tensor:
    _check(query, key, value, attn_mask, enable_gqa)
    if attn_mask is not None and is_causal:
        raise ArgumentError(
            f"{_PLACE}: attn_mask was given beside is_causal=True. Expected one of the two. "
            "Fix: put the causal part into the mask."
        )
    if not 0.0 <= dropout_p < 1.0:
        raise ArgumentError(
            f"{_PLACE}: dropout_p = {dropout_p} given. Expected 0 <= dropout_p < 1. "
            "Fix: pass the share of weights to drop."
        )
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    leads = _leading(query, key, value, enable_gqa)
    q, k, v = (_four(x, lead) for x, lead in zip((query, key, value), leads, strict=True))
    mask = _mask_four(attn_mask, leads[0], (query.shape[-2], key.shape[-2]))
    word = as_key(dropout_key).word if dropout_p else 0
    if mask is not None and mask.requires_grad and _core.grad_enabled():
        out = _with_mask_gradient(q, k, v, mask, factor, dropout_p, word)
    else:
        out = _attention(q, k, v, mask, factor, is_causal, dropout_p, word)
    if len(leads[0]) == 2:
        return out
    return out.reshape(*leads[0], *out.shape[-2:])


def _with_mask_gradient(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, factor: float, dropout_p: float, word: int
) -> Tensor:
    """A mask that is learnt has a gradient as large as all scores, so these are made."""
    groups = k.shape[1]
    shape = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    mask = _in_groups(broadcast_to(mask, shape), groups)
    weights = _weights(
        _scores(_in_groups(q, groups), _in_groups(k, groups), mask, factor, causal=False)
    )
    if dropout_p:
        weights = drop(weights, dropout_p, key=word)
    out: Tensor = (weights @ _in_groups(v, groups)).reshape(*q.shape[:-1], v.shape[-1])
    return out


__all__ = ["scaled_dot_product_attention"]
