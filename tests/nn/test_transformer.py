"""Attention layers and transformers against their equations in float64 NumPy."""

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, DTypeError, ShapeError


def arrays(module):
    return {name: value.numpy().astype(np.float64) for name, value in module.state_dict().items()}


def doubled(module):
    """The same layer in float64, with all numbers drawn anew so that no bias is zero."""
    rng = np.random.default_rng(0)
    module.to(samara.float64)
    with samara.no_grad():
        for parameter in module.parameters():
            parameter.copy_(samara.tensor(rng.normal(size=parameter.shape) * 0.3))
    return module


def softmax(scores):
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def multihead(p, prefix, query, key, value, heads, added=0.0):
    """[N, L, E] each; gives output and the weights of all heads."""
    e = query.shape[-1]
    if prefix + "in_proj_weight" in p:
        parts = np.split(p[prefix + "in_proj_weight"], 3)
    else:
        parts = [p[f"{prefix}{name}_proj_weight"] for name in "qkv"]
    biases = np.split(p.get(prefix + "in_proj_bias", np.zeros(3 * e)), 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), parts, biases, strict=True))
    if prefix + "bias_k" in p:
        k, v = (
            np.concatenate([x, np.broadcast_to(p[prefix + name], (len(x), 1, e))], axis=1)
            for x, name in ((k, "bias_k"), (v, "bias_v"))
        )
        if np.ndim(added):
            added = np.pad(added, [(0, 0)] * (np.ndim(added) - 1) + [(0, 1)])
    outputs, weights = [], []
    size = e // heads
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = q[..., part] @ k[..., part].swapaxes(-1, -2) / np.sqrt(size)
        shift = added[:, h] if np.ndim(added) == 4 else added
        weights.append(softmax(scores + shift))
        outputs.append(weights[-1] @ v[..., part])
    out = np.concatenate(outputs, axis=-1) @ p[prefix + "out_proj.weight"].T
    return out + p.get(prefix + "out_proj.bias", 0.0), np.stack(weights, axis=1)


def layer_norm(x, p, prefix):
    center = x - x.mean(axis=-1, keepdims=True)
    y = center / np.sqrt((center**2).mean(axis=-1, keepdims=True) + 1e-5)
    return y * p[prefix + ".weight"] + p.get(prefix + ".bias", 0.0)


def feedforward(p, x):
    hidden = np.maximum(x @ p["linear1.weight"].T + p.get("linear1.bias", 0.0), 0.0)
    return hidden @ p["linear2.weight"].T + p.get("linear2.bias", 0.0)


OPTIONS = [
    {},
    {"bias": False},
    {"kdim": 6, "vdim": 10},
    {"add_bias_kv": True},
    {"batch_first": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("masked", ["", "attention", "heads", "padding", "both", "numbers"])
def test_multihead_attention(options, masked):
    options = {"batch_first": True, **options}
    layer = doubled(nn.MultiheadAttention(12, 3, **options))
    rng = np.random.default_rng(1)
    n, length, keys = 2, 5, 7
    query = rng.normal(size=(n, length, 12))
    key = rng.normal(size=(n, keys, options.get("kdim", 12)))
    value = rng.normal(size=(n, keys, options.get("vdim", 12)))
    mask = padding = None
    added = 0.0
    if masked in ("attention", "both"):
        mask = rng.random(size=(length, keys)) < 0.3
        added = added + np.where(mask, -np.inf, 0.0)[None, None].repeat(3, 1)
    if masked == "heads":
        mask = rng.random(size=(n * 3, length, keys)) < 0.3
        added = np.where(mask, -np.inf, 0.0).reshape(n, 3, length, keys)
    if masked == "numbers":
        mask = rng.normal(size=(length, keys))
        added = mask[None, None].repeat(3, 1)
    if masked in ("padding", "both"):
        padding = np.zeros((n, keys), bool)
        padding[1, -2:] = True
        added = added + np.where(padding, -np.inf, 0.0)[:, None, None].repeat(3, 1)
    expected, weights = multihead(arrays(layer), "", query, key, value, 3, added)
    operands = [samara.tensor(x) for x in (query, key, value)]
    if not options["batch_first"]:
        operands = [x.transpose(0, 1) for x in operands]
    masks = {
        "attn_mask": None if mask is None else samara.tensor(mask),
        "key_padding_mask": None if padding is None else samara.tensor(padding),
    }
    for need in (True, False):
        out, got = layer(*operands, need_weights=need, average_attn_weights=False, **masks)
        if not options["batch_first"]:
            out = out.transpose(0, 1)
        np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
        if need:
            np.testing.assert_allclose(got.detach().numpy(), weights, rtol=1e-10, atol=1e-12)
        else:
            assert got is None
    mean = layer(*operands, **masks)[1]
    np.testing.assert_allclose(mean.detach().numpy(), weights.mean(axis=1), rtol=1e-10, atol=1e-12)


def test_unbatched_and_zero_attention():
    layer = doubled(nn.MultiheadAttention(8, 2, add_zero_attn=True))
    x = samara.randn(4, 8, dtype=samara.float64)
    out, weights = layer(x, x, x)
    batched = layer(x.unsqueeze(1), x.unsqueeze(1), x.unsqueeze(1))[0]
    np.testing.assert_allclose(out.detach().numpy(), batched[:, 0].detach().numpy(), rtol=1e-12)
    assert weights.shape == (4, 5)  # one more key, of zeros
    np.testing.assert_allclose(weights.sum(dim=-1).detach().numpy(), np.ones(4), rtol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_and_decoder_layers(norm_first):
    rng = np.random.default_rng(2)
    x, memory = rng.normal(size=(2, 5, 12)), rng.normal(size=(2, 6, 12))
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    encoder = doubled(nn.TransformerEncoderLayer(12, 3, 20, **options))
    decoder = doubled(nn.TransformerDecoderLayer(12, 3, 20, **options))
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    added = causal[None, None].repeat(3, 1)

    def expected(p, parts):
        y = x
        for i, part in enumerate(parts, 1):
            norm = f"norm{i}"
            y = y + part(layer_norm(y, p, norm)) if norm_first else layer_norm(y + part(y), p, norm)
        return y

    p = arrays(encoder)
    want = expected(
        p,
        [lambda z: multihead(p, "self_attn.", z, z, z, 3, added)[0], lambda z: feedforward(p, z)],
    )
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=samara.float64)
    for hint in (False, True):
        got = encoder(samara.tensor(x), mask, is_causal=hint)
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-9, atol=1e-11)
    p = arrays(decoder)
    want = expected(
        p,
        [
            lambda z: multihead(p, "self_attn.", z, z, z, 3, added)[0],
            lambda z: multihead(p, "multihead_attn.", z, memory, memory, 3)[0],
            lambda z: feedforward(p, z),
        ],
    )
    got = decoder(samara.tensor(x), samara.tensor(memory), tgt_mask=mask)
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-9, atol=1e-11)


def test_stacks_are_their_layers_in_turn():
    model = nn.Transformer(8, 2, 2, 2, 16, dropout=0.0)
    src, tgt = samara.randn(5, 3, 8), samara.randn(4, 3, 8)
    memory = src
    for layer in model.encoder.layers:
        memory = layer(memory)
    memory = model.encoder.norm(memory)
    answer = tgt
    for layer in model.decoder.layers:
        answer = layer(answer, memory)
    answer = model.decoder.norm(answer)
    np.testing.assert_array_equal(model(src, tgt).detach().numpy(), answer.detach().numpy())
    names = {name for name, _ in model.named_parameters()}
    assert "encoder.layers.1.self_attn.in_proj_weight" in names
    assert "decoder.layers.0.multihead_attn.out_proj.bias" in names
    # Copies, not one layer used twice.
    first, second = model.encoder.layers
    assert first.linear1.weight is not second.linear1.weight


def test_dropout_acts_in_training_only():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5)
    x = samara.randn(5, 3, 8)
    assert not np.array_equal(layer(x).detach().numpy(), layer(x).detach().numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x).detach().numpy(), layer(x).detach().numpy())


def test_initial_values():
    samara.seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bound = np.sqrt(6 / (64 + 192))
    weight = layer.in_proj_weight.detach().numpy()
    assert np.abs(weight).max() <= bound
    assert np.abs(weight).max() > 0.98 * bound
    assert (layer.in_proj_bias == 0).all()
    assert (layer.out_proj.bias == 0).all()
    assert 0.5 < layer.bias_k.detach().numpy().std() / np.sqrt(2 / (1 * 64 + 1 * 64)) < 2


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m, x: m(x, x, x[:, :2]), ShapeError, "value"),
        (lambda m, x: m(x[..., :4], x, x), ShapeError, "last sizes 8, 8, 8"),
        (lambda m, x: m(x, x, x, is_causal=True), ArgumentError, "without attn_mask"),
        (
            lambda m, x: m(x, x, x, attn_mask=samara.ones(5, 4, dtype=samara.bool)),
            ShapeError,
            r"attn_mask has shape \(5, 4\)",
        ),
        (
            lambda m, x: m(x, x, x, key_padding_mask=samara.ones(3, 5, dtype=samara.int64)),
            DTypeError,
            "key_padding_mask is .*int64",
        ),
        (
            lambda m, x: m(x, x, x, key_padding_mask=samara.ones(5, 3, dtype=samara.bool)),
            ShapeError,
            r"Expected \(3, 5\)",
        ),
    ],
)
def test_wrong_calls(call, error, match):
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    with pytest.raises(error, match=match):
        call(layer, samara.ones(3, 5, 8))


def test_wrong_settings():
    with pytest.raises(ArgumentError, match="num_heads 3"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ArgumentError, match="relu"):
        nn.TransformerEncoderLayer(8, 2, activation="rely")
    with pytest.raises(ShapeError, match="batch_first=False"):
        nn.Transformer(8, 2, 1, 1, 8)(samara.ones(3, 2, 8), samara.ones(3, 4, 8))
