"""Attention with several heads as functions: the equation, and PyTorch's form of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import samara
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.tensor import Tensor

__all__ = ["added_mask", "attend", "combine_masks", "multi_head_attention_forward"]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`nn.MultiheadAttention` as a function of its weights, with the length first.

    query `[L, N, E]`, key `[S, N, K]`, value `[S, N, V]`, or all without N; in_proj_weight
    `[3 E, E]`, or with use_separate_proj_weight q_, k_ and v_proj_weight `[E, E]`, `[E, K]`,
    `[E, V]`; static_k, static_v `[N heads, S, E / heads]` in place of the projected ones -> the
    output, and the weights `[N, L, S]`, `[N, heads, L, S]` unless averaged, or None.

    Raises ShapeError, DTypeError and ArgumentError for what does not fit. Source: PyTorch.

    >>> import samara
    >>> x, w, b = samara.ones(5, 3, 8), samara.ones(24, 8), samara.zeros(24)
    >>> y, weights = multi_head_attention_forward(
    ...     x, x, x, 8, 2, w, b, None, None, False, 0.0, samara.eye(8), None)
    >>> y.shape, weights.shape
    ((5, 3, 8), (3, 5, 5))
    """
    place = "multi_head_attention_forward"
    given = [in_proj_weight]
    if use_separate_proj_weight:
        given = [q_proj_weight, k_proj_weight, v_proj_weight]
    weights = [w for w in given if w is not None]
    if len(weights) != len(given):
        raise ArgumentError(
            f"{place}: a projection's weight is None. Expected in_proj_weight, or all three with "
            "use_separate_proj_weight. Fix: pass them."
        )
    check_operands(place, query, key, value, (embed_dim_to_check,), batch_first=False)
    if num_heads < 1 or query.shape[-1] % num_heads:
        raise ArgumentError(
            f"{place}: {num_heads} heads for {query.shape[-1]} features. Expected a divisor. "
            "Fix: choose another number of heads."
        )
    unbatched = query.ndim == 2
    if unbatched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    output, found = attend(
        place,
        query,
        key,
        value,
        num_heads,
        weights,
        in_proj_bias,
        (bias_k, bias_v),
        add_zero_attn,
        dropout_p if training else 0.0,
        lambda x: samara.linear(x, out_proj_weight, out_proj_bias),
        key_padding_mask,
        need_weights,
        attn_mask,
        average_attn_weights,
        is_causal,
        (static_k, static_v),
    )
    if unbatched:
        return output.squeeze(0), None if found is None else found.squeeze(0)
    return output.transpose(0, 1), found


def check_operands(
    place: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    batch_first: bool,
) -> None:
    """ShapeError unless ranks, lengths, batches and last sizes (of query, key, value) fit."""
    fit = query.ndim == key.ndim == value.ndim and query.ndim in (2, 3)
    last = (query.shape[-1:] + key.shape[-1:] + value.shape[-1:])[: len(sizes)]
    fit = fit and last == tuple(sizes)
    if fit and query.ndim == 3:
        axis = 0 if batch_first else 1
        fit = query.shape[axis] == key.shape[axis] == value.shape[axis]
        fit = fit and key.shape[1 - axis] == value.shape[1 - axis]
    elif fit:
        fit = key.shape[0] == value.shape[0]
    if not fit:
        order = "[N, length, .]" if batch_first else "[length, N, .]"
        raise ShapeError(
            f"{place}: query has shape {query.shape}, key {key.shape}, value {value.shape}. "
            f"Expected {order} or [length, .] with last sizes {', '.join(map(str, sizes))}, key "
            f"and value of one length. Fix: check batch_first={batch_first} and the sizes."
        )


def attend(
    place: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    in_proj: Sequence[Tensor],
    in_proj_bias: Tensor | None,
    one_more: tuple[Tensor | None, Tensor | None],
    add_zero_attn: bool,
    drop: float,
    out_proj: Callable[[Tensor], Tensor],
    key_padding_mask: Tensor | None,
    need_weights: bool,
    attn_mask: Tensor | None,
    average_attn_weights: bool,
    is_causal: bool,
    static: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Tensor, Tensor | None]:
    """Of `[L, N, .]` the output `[N, L, E]` and the weights; in_proj: one weight, or three."""
    q, k, v = _project(query, key, value, in_proj, in_proj_bias)
    length, batch, width = q.shape
    keys = k.shape[0] if static[0] is None else static[0].shape[1]
    causal = is_causal and key_padding_mask is None and not need_weights
    mask = None
    if not causal:
        mask = _mask(place, attn_mask, key_padding_mask, length, keys, batch, heads, q)
    bias_k, bias_v = one_more
    if bias_k is not None and bias_v is not None:  # a learnt key and value after the given ones
        k = samara.cat([k, bias_k.expand(1, batch, width)], dim=0)
        v = samara.cat([v, bias_v.expand(1, batch, width)], dim=0)
        mask = None if mask is None else samara.pad(mask, (0, 1))
        causal = False
    split = (batch, heads, -1, width // heads)
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).permute(1, 2, 0, 3) for x in (q, k, v))
    k = k if static[0] is None else static[0].reshape(split)
    v = v if static[1] is None else static[1].reshape(split)
    if add_zero_attn:
        nothing = samara.zeros(*k.shape[:2], 1, k.shape[3], dtype=k.dtype, device=k.device)
        k, v = samara.cat([k, nothing], dim=2), samara.cat([v, nothing], dim=2)
        mask = None if mask is None else samara.pad(mask, (0, 1))
        causal = False
    weights = None
    if need_weights:
        output, weights = _with_weights(q, k, v, mask, drop)
    else:
        output = samara.scaled_dot_product_attention(q, k, v, mask, drop, causal)
    output = out_proj(output.transpose(1, 2).reshape(batch, length, width))
    if weights is not None and average_attn_weights:
        weights = weights.mean(dim=1)
    return output, weights


def _project(
    query: Tensor, key: Tensor, value: Tensor, weights: Sequence[Tensor], bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    if len(weights) == 1:
        if query is key and key is value:
            q, k, v = samara.linear(query, weights[0], bias).chunk(3, dim=-1)
            return q, k, v
        weights = weights[0].chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    q, k, v = (
        samara.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


def _mask(
    place: str,
    attn_mask: Tensor | None,
    padding: Tensor | None,
    length: int,
    keys: int,
    batch: int,
    heads: int,
    like: Tensor,
) -> Tensor | None:
    """What is added to the scores, [N or 1, heads or 1, L or 1, S]."""
    parts = []
    if attn_mask is not None:
        shapes = ((length, keys), (batch * heads, length, keys))
        _check_mask(place, "attn_mask", attn_mask, shapes)
        added = added_mask(attn_mask, like)
        if added.ndim == 3:
            parts.append(added.reshape(batch, heads, length, keys))
        else:
            parts.append(added.reshape(1, 1, length, keys))
    if padding is not None:
        _check_mask(place, "key_padding_mask", padding, ((batch, keys),))
        parts.append(added_mask(padding, like).reshape(batch, 1, 1, keys))
    return combine_masks(parts)


def _with_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: float
) -> tuple[Tensor, Tensor]:
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    weights = samara.softmax(scores if mask is None else scores + mask, axis=-1)
    if drop:
        weights = samara.dropout(weights, drop)
    return weights @ v, weights


def added_mask(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of truth values (True hides) as numbers to add; other masks as they are."""
    if mask.dtype == samara.bool:
        zeros = samara.zeros(mask.shape, dtype=like.dtype, device=like.device)
        hidden: Tensor = zeros.masked_fill(mask, -math.inf)
        return hidden
    return mask.to(like.dtype)


def combine_masks(parts: list[Tensor]) -> Tensor | None:
    """Masks that are added to the scores, as one."""
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _check_mask(place: str, name: str, mask: Tensor, shapes: tuple[tuple[int, ...], ...]) -> None:
    if not isinstance(mask, Tensor) or not (
        mask.dtype == samara.bool or mask.dtype.is_floating_point
    ):
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(
            f"{place}: {name} is {found}. Expected bool (True hides) or floating-point "
            "numbers to add. Fix: convert the mask."
        )
    if tuple(mask.shape) not in shapes:
        raise ShapeError(
            f"{place}: {name} has shape {tuple(mask.shape)}. Expected "
            f"{' or '.join(map(str, shapes))}. Fix: reshape the mask."
        )
