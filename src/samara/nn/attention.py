"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import samara
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.linear import Linear, check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["MultiheadAttention", "combine_masks"]


class MultiheadAttention(Module):
    """concat(head_1, ..., head_h) W_out, head_i = softmax(q_i k_i^T / sqrt(E / h) + mask) v_i.

    query `[L, N, embed_dim]`, key `[S, N, kdim]`, value `[S, N, vdim]` (`batch_first`: `[N, L, .]`;
    unbatched: `[L, .]`) -> output like the query, and the weights `[N, L, S]`, averaged over heads,
    `[N, heads, L, S]` with `average_attn_weights=False`, or None with `need_weights=False`, the
    faster way. In masks True hides (`attn_mask [L, S]` or `[N * heads, L, S]`, `key_padding_mask
    [N, S]`); numbers are added. `is_causal` says that `attn_mask` is the causal one.

    Raises ArgumentError for sizes that do not divide, ShapeError and DTypeError for operands and
    masks that do not fit. Source: Vaswani et al., Attention Is All You Need, 2017.

    >>> import samara
    >>> layer = MultiheadAttention(8, 2, batch_first=True)
    >>> x = samara.ones(3, 5, 8)
    >>> output, weights = layer(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.embed_dim = check_size("MultiheadAttention", "embed_dim", embed_dim)
        self.num_heads = check_size("MultiheadAttention", "num_heads", num_heads)
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: embed_dim is {embed_dim} and num_heads {num_heads}. Expected "
                "positive sizes, num_heads a divisor of embed_dim. Fix: choose another number of "
                "heads."
            )
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        options = {"device": device, "dtype": dtype}

        def parameter(*shape: int) -> Parameter:
            return Parameter(samara.empty(*shape, **options))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = parameter(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = parameter(embed_dim, embed_dim)
            self.k_proj_weight = parameter(embed_dim, self.kdim)
            self.v_proj_weight = parameter(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        self.in_proj_bias = parameter(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, **options)
        self.bias_k = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""

        def uniform(tensor: Tensor, key: Any) -> None:
            _init.xavier_uniform_(tensor, key=key)

        def normal(tensor: Tensor, key: Any) -> None:
            _init.xavier_normal_(tensor, key=key)

        def zero(tensor: Tensor, key: Any) -> None:
            _init.zeros_(tensor)

        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            self._initialize(name, uniform)
        self._initialize("in_proj_bias", zero)
        self.out_proj._initialize("bias", zero)
        self._initialize("bias_k", normal)
        self._initialize("bias_v", normal)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output, and the weights or None."""
        if is_causal and attn_mask is None:
            raise ArgumentError(
                "MultiheadAttention: is_causal=True without attn_mask. Expected the causal mask "
                "that the hint speaks of. Fix: attn_mask=Transformer.generate_square_"
                "subsequent_mask(length)."
            )
        self._check(query, key, value)
        unbatched = query.ndim == 2
        if unbatched:
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        # [L, N, E] from here on.
        q, k, v = self._project(query, key, value)
        length, batch = q.shape[0], q.shape[1]
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None
        if not causal:
            mask = self._mask(attn_mask, key_padding_mask, length, k.shape[0], batch, q)
        if self.bias_k is not None and self.bias_v is not None:
            k, v, mask = self._one_more(k, v, mask, self.bias_k, self.bias_v)
            causal = False
        q, k, v = (self._heads(x) for x in (q, k, v))
        if self.add_zero_attn:
            nothing = samara.zeros(*k.shape[:2], 1, k.shape[3], dtype=k.dtype, device=k.device)
            k, v = samara.cat([k, nothing], dim=2), samara.cat([v, nothing], dim=2)
            mask = None if mask is None else F.pad(mask, (0, 1))
            causal = False
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            output, weights = self._with_weights(q, k, v, mask, drop)
        else:
            output = F.scaled_dot_product_attention(q, k, v, mask, drop, causal)
        output = self.out_proj(output.transpose(1, 2).reshape(batch, length, self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if unbatched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return (output if self.batch_first else output.transpose(0, 1)), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        fit = query.ndim == key.ndim == value.ndim and query.ndim in (2, 3)
        fit = fit and (query.shape[-1], key.shape[-1], value.shape[-1]) == (
            self.embed_dim,
            self.kdim,
            self.vdim,
        )
        if fit and query.ndim == 3:
            axis = 0 if self.batch_first else 1
            fit = query.shape[axis] == key.shape[axis] == value.shape[axis]
            fit = fit and key.shape[1 - axis] == value.shape[1 - axis]
        elif fit:
            fit = key.shape[0] == value.shape[0]
        if not fit:
            order = "[N, length, .]" if self.batch_first else "[length, N, .]"
            raise ShapeError(
                f"MultiheadAttention: query has shape {query.shape}, key {key.shape}, value "
                f"{value.shape}. Expected {order} or [length, .] with last sizes {self.embed_dim}, "
                f"{self.kdim}, {self.vdim}, key and value of one length. Fix: check batch_first="
                f"{self.batch_first} and the sizes."
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bias = self.in_proj_bias
        if self.in_proj_weight is not None:
            if query is key and key is value:
                q, k, v = F.linear(query, self.in_proj_weight, bias).chunk(3, dim=-1)
                return q, k, v
            weights = self.in_proj_weight.chunk(3)
        else:
            assert self.q_proj_weight is not None
            assert self.k_proj_weight is not None
            assert self.v_proj_weight is not None
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None, None, None) if bias is None else bias.chunk(3)
        q, k, v = (
            F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        return q, k, v

    def _heads(self, x: Tensor) -> Tensor:
        """[L, N, E] -> [N, heads, L, head_dim]."""
        heads: Tensor = x.reshape(*x.shape[:2], self.num_heads, self.head_dim).permute(1, 2, 0, 3)
        return heads

    def _mask(
        self,
        attn_mask: Tensor | None,
        padding: Tensor | None,
        length: int,
        keys: int,
        batch: int,
        like: Tensor,
    ) -> Tensor | None:
        """What is added to the scores, [N or 1, heads or 1, L or 1, S]."""
        parts = []
        if attn_mask is not None:
            shapes = ((length, keys), (batch * self.num_heads, length, keys))
            _check_mask("attn_mask", attn_mask, shapes)
            added = added_mask(attn_mask, like)
            if added.ndim == 3:
                parts.append(added.reshape(batch, self.num_heads, length, keys))
            else:
                parts.append(added.reshape(1, 1, length, keys))
        if padding is not None:
            _check_mask("key_padding_mask", padding, ((batch, keys),))
            parts.append(added_mask(padding, like).reshape(batch, 1, 1, keys))
        return combine_masks(parts)

    def _one_more(
        self, k: Tensor, v: Tensor, mask: Tensor | None, bias_k: Tensor, bias_v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """A learnt key and value after the given ones."""
        batch = k.shape[1]
        k = samara.cat([k, bias_k.expand(1, batch, self.embed_dim)], dim=0)
        v = samara.cat([v, bias_v.expand(1, batch, self.embed_dim)], dim=0)
        return k, v, None if mask is None else F.pad(mask, (0, 1))

    def _with_weights(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: float
    ) -> tuple[Tensor, Tensor]:
        scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-2, -1)
        weights = F.softmax(scores if mask is None else scores + mask, dim=-1)
        if drop:
            weights = F.dropout(weights, drop)
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


def _check_mask(name: str, mask: Tensor, shapes: tuple[tuple[int, ...], ...]) -> None:
    if not isinstance(mask, Tensor) or not (
        mask.dtype == samara.bool or mask.dtype.is_floating_point
    ):
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(
            f"MultiheadAttention: {name} is {found}. Expected bool (True hides) or floating-point "
            "numbers to add. Fix: convert the mask."
        )
    if tuple(mask.shape) not in shapes:
        raise ShapeError(
            f"MultiheadAttention: {name} has shape {tuple(mask.shape)}. Expected "
            f"{' or '.join(map(str, shapes))}. Fix: reshape the mask."
        )
