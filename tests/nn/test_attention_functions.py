"""Attention with several heads as a function of its weights, against the equation in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.nn import functional as F

E, HEADS, L, S, N = 8, 2, 4, 5, 3
RNG = np.random.default_rng(0)


def array(*shape: int) -> Any:
    return RNG.normal(size=shape)


def softmax(x: Any) -> Any:
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def attention(q: Any, k: Any, v: Any, mask: Any = 0.0) -> tuple[Any, Any]:
    """Heads one by one: q [L, N, E], k and v [S, N, E], mask [N, HEADS, L, S]."""
    size = E // HEADS
    mask = np.broadcast_to(mask, (q.shape[1], HEADS, len(q), len(k)))
    output, weights = np.zeros(q.shape), np.zeros(mask.shape)
    for n in range(q.shape[1]):
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            scores = q[:, n, part] @ k[:, n, part].T / np.sqrt(size) + mask[n, h]
            weights[n, h] = softmax(scores)
            output[:, n, part] = weights[n, h] @ v[:, n, part]
    return output, weights


def weights_of(kdim: int = E, vdim: int = E) -> dict[str, Any]:
    return {
        "in": [array(E, E), array(E, kdim), array(E, vdim)],
        "bias": array(3 * E),
        "out": array(E, E),
        "out_bias": array(E),
    }


def call(w: dict[str, Any], q: Any, k: Any, v: Any, **options: Any) -> Any:
    given = {
        "in_proj_weight": np.concatenate(w["in"]) if "separate" not in options else None,
        "in_proj_bias": w["bias"],
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": w["out"],
        "out_proj_bias": w["out_bias"],
    }
    if options.pop("separate", False):
        given |= dict(
            zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), w["in"], strict=True)
        )
        given["use_separate_proj_weight"] = True
    given |= options
    tensors = {
        name: samara.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in given.items()
    }
    operands = (samara.tensor(x) for x in (q, k, v))
    return F.multi_head_attention_forward(*operands, E, HEADS, **tensors)


def projected(w: dict[str, Any], *operands: Any) -> list[Any]:
    biases = np.split(w["bias"], 3)
    return [x @ m.T + b for x, m, b in zip(operands, w["in"], biases, strict=True)]


def agree(found: Any, w: dict[str, Any], output: Any, weights: Any) -> None:
    np.testing.assert_allclose(found[0].numpy(), output @ w["out"].T + w["out_bias"], atol=1e-12)
    if weights is not None:
        np.testing.assert_allclose(found[1].numpy(), weights, atol=1e-12)


@pytest.mark.parametrize("separate", [False, True])
def test_the_equation(separate: bool) -> None:
    w = weights_of(6, 7) if separate else weights_of()
    q, k, v = array(L, N, E), array(S, N, 6 if separate else E), array(S, N, 7 if separate else E)
    options = {"separate": True} if separate else {}
    output, weights = attention(*projected(w, q, k, v))
    agree(call(w, q, k, v, **options), w, output, weights.mean(1))
    agree(call(w, q, k, v, average_attn_weights=False, **options), w, output, weights)
    fast = call(w, q, k, v, need_weights=False, **options)
    assert fast[1] is None
    agree(fast, w, output, None)
    single = call(w, q[:, 0], k[:, 0], v[:, 0], **options)
    np.testing.assert_allclose(single[0].numpy(), fast[0].numpy()[:, 0], atol=1e-12)
    np.testing.assert_allclose(single[1].numpy(), weights[0].mean(0), atol=1e-12)


def test_masks() -> None:
    w, q, k = weights_of(), array(L, N, E), array(S, N, E)
    hidden, padded, added = array(L, S) > 0.5, array(N, S) > 1.0, array(N * HEADS, L, S)
    hidden[:, 0] = padded[:, 0] = False
    mask = np.where(hidden[None, None] | padded[:, None, None], -np.inf, 0.0)
    output, weights = attention(*projected(w, q, k, k), mask)
    for need in (True, False):
        found = call(w, q, k, k, attn_mask=hidden, key_padding_mask=padded, need_weights=need)
        agree(found, w, output, weights.mean(1) if need else None)
    output, weights = attention(*projected(w, q, k, k), added.reshape(N, HEADS, L, S))
    agree(call(w, q, k, k, attn_mask=added), w, output, weights.mean(1))


def test_one_more_key() -> None:
    w, q, k = weights_of(), array(L, N, E), array(S, N, E)
    more = array(2, 1, 1, E)
    pq, pk, pv = projected(w, q, k, k)
    longer = [np.concatenate([x, np.repeat(b, N, 1)]) for x, b in zip((pk, pv), more, strict=True)]
    output, weights = attention(pq, *longer)
    agree(call(w, q, k, k, bias_k=more[0], bias_v=more[1]), w, output, weights.mean(1))
    output, weights = attention(pq, *(np.concatenate([x, 0 * x[:1]]) for x in (pk, pv)))
    agree(call(w, q, k, k, add_zero_attn=True), w, output, weights.mean(1))


def test_static_keys_and_values() -> None:
    w, q, k = weights_of(), array(L, N, E), array(S, N, E)
    pq, _, _ = projected(w, q, k, k)
    kept = array(2, S + 1, N, E)
    output, weights = attention(pq, *kept)
    split = [x.transpose(1, 0, 2).reshape(N, S + 1, HEADS, -1).swapaxes(1, 2) for x in kept]
    static = [x.reshape(N * HEADS, S + 1, -1).copy() for x in split]
    found = call(w, q, k, k, static_k=static[0], static_v=static[1])
    agree(found, w, output, weights.mean(1))


def test_dropout_acts_in_training_alone() -> None:
    w, q = weights_of(), array(L, N, E)
    output, weights = attention(*projected(w, q, q, q))
    agree(call(w, q, q, q, dropout_p=0.5, training=False), w, output, weights.mean(1))
    dropped = call(w, q, q, q, dropout_p=0.5)[1].numpy()
    assert (np.abs(dropped - weights.mean(1)) > 1e-3).any()


def test_what_does_not_fit() -> None:
    w, q = weights_of(), array(L, N, E)
    with pytest.raises(ShapeError, match="with last sizes 8"):
        call(w, q[..., :4], q, q)
    with pytest.raises(ArgumentError, match="a projection's weight is None"):
        call(w, q, q, q, in_proj_weight=None)
    with pytest.raises(ShapeError, match="attn_mask has shape"):
        call(w, q, q, q, attn_mask=array(L, L + 1))
    with pytest.raises(DTypeError, match="key_padding_mask is"):
        call(w, q, q, q, key_padding_mask=np.zeros((N, L), np.int64))
    with pytest.raises(ArgumentError, match="3 heads for 8 features"):
        x = samara.tensor(q)
        F.multi_head_attention_forward(
            x, x, x, E, 3, samara.ones(3 * E, E), None, None, None, False, 0.0, samara.eye(E), None
        )
