"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import samara
from samara.errors import ArgumentError
from samara.nn import init as _init
from samara.nn._attention_functions import attend, check_operands
from samara.nn.linear import Linear, check_size
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["MultiheadAttention"]


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
        sizes = (self.embed_dim, self.kdim, self.vdim)
        check_operands("MultiheadAttention", query, key, value, sizes, self.batch_first)
        unbatched = query.ndim == 2
        if unbatched:
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        given = (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        output, weights = attend(
            "MultiheadAttention",
            query,
            key,
            value,
            self.num_heads,
            [weight for weight in given if weight is not None],
            self.in_proj_bias,
            (self.bias_k, self.bias_v),
            self.add_zero_attn,
            self.dropout if self.training else 0.0,
            self.out_proj,
            key_padding_mask,
            need_weights,
            attn_mask,
            average_attn_weights,
            is_causal,
        )
        if unbatched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return (output if self.batch_first else output.transpose(0, 1)), weights
