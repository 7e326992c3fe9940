"""Encoder and decoder layers of attention, and stacks of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import samara
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
from samara.nn import functional as F
from samara.nn import init as _init
from samara.nn.attention import MultiheadAttention
from samara.nn.containers import ModuleList
from samara.nn.dropout import Dropout
from samara.nn.linear import Linear
from samara.nn.module import Module
from samara.nn.norm import LayerNorm
from samara.tensor import Tensor

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = Callable[[Tensor], Tensor]
_ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}


def _activation(owner: str, activation: str | Activation) -> Activation:
    if isinstance(activation, str):
        return choose(f"{owner}: activation", activation, _ACTIVATIONS)
    return activation


class _Layer(Module):
    """What encoder and decoder layers share: attentions, a feedforward part, norms, dropout."""

    def __init__(
        self,
        attentions: tuple[str, ...],
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str | Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        options = {"device": device, "dtype": dtype}
        for name in attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **options
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **options)
        self.norm_first = norm_first
        parts = range(1, len(attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **options))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    def _attend(
        self,
        name: str,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        padding: Tensor | None,
        is_causal: bool,
    ) -> Tensor:
        out: Tensor = getattr(self, name)(
            x,
            memory,
            memory,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=is_causal,
        )[0]
        return out

    def _feedforward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(self.activation(self.linear1(x)))
        result: Tensor = self.linear2(hidden)
        return result


class TransformerEncoderLayer(_Layer):
    """x <- norm(x + attention(x)); x <- norm(x + W2 activation(W1 x)).

    `norm_first` normalises what goes into each part instead. src `[L, N, d_model]`
    (`batch_first`: `[N, L, d_model]`; unbatched `[L, d_model]`) -> the same shape. Masks as in
    `MultiheadAttention`. Source: Vaswani et al., Attention Is All You Need, 2017.

    >>> import samara
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(samara.ones(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            ("self_attn",),
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """One layer's answer, of the shape of src."""

        def attend(x: Tensor) -> Tensor:
            out = self._attend("self_attn", x, x, src_mask, src_key_padding_mask, is_causal)
            result: Tensor = self.dropout1(out)
            return result

        x = src
        if self.norm_first:
            x = x + attend(self.norm1(x))
            normed: Tensor = x + self.dropout2(self._feedforward(self.norm2(x)))
            return normed
        x = self.norm1(x + attend(x))
        result: Tensor = self.norm2(x + self.dropout2(self._feedforward(x)))
        return result


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's memory, feedforward; each added and normalised.

    tgt `[T, N, d_model]`, memory `[S, N, d_model]` (`batch_first`: N first; unbatched without N)
    -> tgt's shape. Masks as in `MultiheadAttention`. Source: Vaswani et al., Attention Is All You
    Need, 2017.

    >>> import samara
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(samara.ones(3, 5, 8), samara.ones(3, 7, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            ("self_attn", "multihead_attn"),
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """One layer's answer, of the shape of tgt."""

        def attend(x: Tensor) -> Tensor:
            out = self._attend("self_attn", x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
            result: Tensor = self.dropout1(out)
            return result

        def look(x: Tensor) -> Tensor:
            out = self._attend(
                "multihead_attn",
                x,
                memory,
                memory_mask,
                memory_key_padding_mask,
                memory_is_causal,
            )
            result: Tensor = self.dropout2(out)
            return result

        x = tgt
        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + look(self.norm2(x))
            normed: Tensor = x + self.dropout3(self._feedforward(self.norm3(x)))
            return normed
        x = self.norm1(x + attend(x))
        x = self.norm2(x + look(x))
        result: Tensor = self.norm3(x + self.dropout3(self._feedforward(x)))
        return result


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


def _is_causal(mask: Tensor | None, hint: bool | None) -> bool:
    """The hint, or without one whether the mask is the causal one."""
    if hint is not None or mask is None:
        return bool(hint)
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    hidden = samara.triu(samara.ones(*mask.shape, dtype=samara.bool, device=mask.device), 1)
    if mask.dtype != samara.bool:
        hidden = samara.zeros(mask.shape, dtype=mask.dtype).masked_fill(hidden, -math.inf)
    return bool((mask == hidden).all().item())


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, one after the other, then `norm`.

    src as for the layer -> the same shape. `enable_nested_tensor` and `mask_check` are accepted for
    compatibility; padding is always masked.

    >>> import samara
    >>> layer = TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> TransformerEncoder(layer, 2)(samara.ones(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The last layer's answer, of the shape of src."""
        causal = _is_causal(mask, is_causal)
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=causal)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer, one after the other, then `norm`.

    >>> import samara
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> TransformerDecoder(layer, 2)(samara.ones(3, 5, 8), samara.ones(3, 7, 8)).shape
    (3, 5, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The last layer's answer, of the shape of tgt."""
        causal = _is_causal(tgt_mask, tgt_is_causal)
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder and a decoder that attends to its answer.

    src `[S, N, d_model]`, tgt `[T, N, d_model]` (`batch_first`: N first; unbatched without N) ->
    tgt's shape. Raises ShapeError for sizes that do not fit. Source: Vaswani et al., Attention Is
    All You Need, 2017.

    >>> import samara
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(samara.ones(3, 5, 8), samara.ones(3, 4, 8)).shape
    (3, 4, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"device": device, "dtype": dtype}
        common = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        order = (batch_first, norm_first, bias)
        if custom_encoder is None:
            encoder_norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **options)
            layer = TransformerEncoderLayer(*common, *order, **options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, encoder_norm)
        if custom_decoder is None:
            decoder_norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **options)
            custom_decoder = TransformerDecoder(
                TransformerDecoderLayer(*common, *order, **options),
                num_decoder_layers,
                decoder_norm,
            )
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        def uniform(tensor: Tensor, key: Any) -> None:
            _init.xavier_uniform_(tensor, key=key)

        for module in self.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    module._initialize(name, uniform)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's answer, of the shape of tgt."""
        batch = 0 if self.batch_first else 1
        fit = src.ndim == tgt.ndim and src.ndim in (2, 3)
        fit = fit and (src.ndim == 2 or src.shape[batch] == tgt.shape[batch])
        if not fit or src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"Transformer: src has shape {src.shape} and tgt {tgt.shape}. Expected one batch "
                f"and a last size of {self.d_model}, with batch_first={self.batch_first}. "
                "Fix: reshape or transpose them."
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        answer: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return answer

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask `[sz, sz]`: 0 where seen, -inf where hidden.

        >>> Transformer.generate_square_subsequent_mask(2).tolist()
        [[0.0, -inf], [0.0, 0.0]]
        """
        if sz < 0:
            raise ArgumentError(
                f"generate_square_subsequent_mask: sz is {sz}. Expected a length >= 0. "
                "Fix: pass the length of the sequence."
            )
        hidden = samara.triu(samara.ones((sz, sz), dtype=samara.bool, device=device), 1)
        mask: Tensor = samara.zeros((sz, sz), dtype=dtype, device=device).masked_fill(
            hidden, -math.inf
        )
        return mask
