"""Attention beyond the record's samples: long sequences, masks that hide all, memory."""

import numpy as np
import pytest

import samara
from samara.errors import DTypeError, ShapeError

attention = samara.scaled_dot_product_attention


def operands(rng, *lead, queries=37, keys=41, width=8, out=8, dtype=samara.float64):
    shapes = ((*lead, queries, width), (*lead, keys, width), (*lead, keys, out))
    return [samara.tensor(rng.normal(size=s), dtype=dtype, requires_grad=True) for s in shapes]


def weights(q, k, allowed, scale=None):
    """The definition, with all scores at once."""
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    raised = np.where(allowed, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0.0)
    total = raised.sum(axis=-1, keepdims=True)
    return np.divide(raised, total, out=np.zeros_like(raised), where=total > 0)


@pytest.mark.parametrize("lead", [(2, 6), (1, 1)])  # by heads, and by parts of the sequence
@pytest.mark.parametrize(("queries", "keys"), [(200, 1100), (1100, 200), (65, 513)])
@pytest.mark.parametrize("causal", [False, True])
def test_several_blocks_of_queries_and_keys(lead, queries, keys, causal):
    rng = np.random.default_rng(0)
    q, k, v = operands(rng, *lead, queries=queries, keys=keys)
    allowed = np.tri(queries, keys, dtype=bool) if causal else np.ones((queries, keys), bool)
    out = attention(q, k, v, is_causal=causal)
    arrays = [x.detach().numpy() for x in (q, k, v)]
    p = weights(arrays[0], arrays[1], allowed)
    np.testing.assert_allclose(out.detach().numpy(), p @ arrays[2], rtol=1e-10, atol=1e-12)
    g = rng.normal(size=out.shape)
    out.backward(samara.tensor(g))
    dp = g @ np.swapaxes(arrays[2], -1, -2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) * 8**-0.5
    for x, expected in (
        (q, ds @ arrays[1]),
        (k, np.swapaxes(ds, -1, -2) @ arrays[0]),
        (v, np.swapaxes(p, -1, -2) @ g),
    ):
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-11)


def test_a_query_that_sees_nothing_gives_zero_and_passes_no_gradient():
    rng = np.random.default_rng(0)
    q, k, v = operands(rng, 1, 2)
    seen = samara.ones((37, 41), dtype=samara.bool)
    seen[5] = False
    out = attention(q, k, v, attn_mask=seen)
    assert (out[:, :, 5] == 0).all()
    out.sum().backward()
    assert (q.grad[:, :, 5] == 0).all()
    for x in (q, k, v):
        assert samara.isfinite(x.grad).all()
    none = attention(q, k, v, attn_mask=samara.zeros((37, 41), dtype=samara.bool))
    assert (none == 0).all()


def test_not_a_number_is_not_hidden():
    q, k, v = operands(np.random.default_rng(0), 1, 1, dtype=samara.float32)
    with samara.no_grad():
        v[0, 0, 3, 0] = float("nan")
        k[0, 0, 7, 0] = float("nan")
    assert samara.isnan(attention(q, k, v)).all()
    v = v.detach()
    v[0, 0, 3, 0] = 1.0
    assert samara.isnan(attention(q.detach(), k.detach(), v)).all()


def test_memory_is_linear_in_the_length():
    def peak(length):
        q, k, v = operands(
            np.random.default_rng(0), 1, 2, queries=length, keys=length, dtype=samara.float32
        )
        samara.reset_peak_memory()
        before = samara.memory_statistics()["live_bytes"]
        attention(q, k, v, is_causal=True).sum().backward()
        return samara.memory_statistics()["peak_live_bytes"] - before

    short, long = peak(1024), peak(4096)
    assert long < 4.5 * short
    assert long < 4096 * 4096 * 4 / 4  # a quarter of one matrix of scores


def test_the_same_bits_for_any_number_of_threads():
    before = samara.thread_count()
    results = []
    try:
        for threads in (1, 2, 5):
            samara.set_thread_count(threads)
            q, k, v = operands(
                np.random.default_rng(0), 2, 4, queries=300, keys=700, dtype=samara.float32
            )
            out = attention(q, k, v, dropout_p=0.2, dropout_key=samara.random.key(1))
            out.sum().backward()
            results.append([out.detach().numpy(), *(x.grad.numpy() for x in (q, k, v))])
    finally:
        samara.set_thread_count(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_learnt_mask_gets_its_gradient():
    rng = np.random.default_rng(0)
    q, k, v = operands(rng, 2, 3, queries=4, keys=5)
    bias = samara.tensor(rng.normal(size=(3, 4, 5)), requires_grad=True)
    weighting = rng.normal(size=(2, 3, 4, 8))

    def loss(values):
        out = attention(q.detach(), k.detach(), v.detach(), attn_mask=values)
        return (out * samara.tensor(weighting)).sum()

    loss(bias).backward()
    step = np.zeros((3, 4, 5))
    step[1, 2, 3] = 1e-6
    base = bias.detach()
    slope = (loss(base + samara.tensor(step)) - loss(base - samara.tensor(step))).item() / 2e-6
    assert bias.grad[1, 2, 3].item() == pytest.approx(slope, rel=1e-6)


def test_heads_joined_afterwards_cost_no_copy():
    rng = np.random.default_rng(0)
    x = samara.tensor(rng.normal(size=(2, 10, 3 * 4 * 8)).astype(np.float32))
    q, k, v = (part.reshape(2, 10, 4, 8).transpose(1, 2) for part in x.split(32, dim=2))
    out = attention(q, k, v, is_causal=True)
    joined = out.transpose(1, 2).reshape(2, 10, 32)
    assert joined.data_ptr() == out.data_ptr()


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.ones((37, 40), bool), ShapeError, r"attn_mask has shape \(37, 40\).*\(1, 2, 37, 41\)"),
        (np.ones((37, 41), np.int64), DTypeError, "attn_mask is .*int64"),
        (np.ones((37, 41), np.float32), DTypeError, "attn_mask is .*float32"),
        (np.ones((3, 1, 1, 1), bool), ShapeError, "attn_mask has shape"),
    ],
)
def test_masks_that_do_not_fit(mask, error, match):
    q, k, v = operands(np.random.default_rng(0), 1, 2)
    with pytest.raises(error, match=match):
        attention(q, k, v, attn_mask=samara.tensor(mask))


def test_gradients_that_are_the_same_for_all_heads() -> None:
    """A sum's gradient has no memory of its own for each head; a row's has none for each column."""
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=(2, 3, 5, 4)).astype(np.float32) for _ in range(3)]
    row = rng.normal(size=(1, 1, 5, 1)).astype(np.float32)
    for weight in (np.ones((1, 1, 1, 1), np.float32), row, row[:, :, :1].repeat(4, 3)):
        gradients = []
        for given in (
            samara.tensor(weight).expand(2, 3, 5, 4),
            np.broadcast_to(weight, (2, 3, 5, 4)),
        ):
            q, k, v = (samara.tensor(x, requires_grad=True) for x in arrays)
            y = samara.nn.functional.scaled_dot_product_attention(q, k, v)
            y.backward(given if isinstance(given, samara.Tensor) else samara.tensor(given))
            gradients.append([x.grad.numpy() for x in (q, k, v)])
        for expanded, full in zip(*gradients, strict=True):
            np.testing.assert_array_equal(expanded, full)
