"""Convolution layers: values, names, initial distributions, words of errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.ops import RECORDS

LAYERS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
LAZY = [
    (nn.LazyConv1d, nn.Conv1d),
    (nn.LazyConv2d, nn.Conv2d),
    (nn.LazyConv3d, nn.Conv3d),
    (nn.LazyConvTranspose1d, nn.ConvTranspose1d),
    (nn.LazyConvTranspose2d, nn.ConvTranspose2d),
    (nn.LazyConvTranspose3d, nn.ConvTranspose3d),
]


def array(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def reference(layer: Any, x: Any, **options: Any) -> Any:
    record = RECORDS[layer._convolve.__name__]
    assert record.ref is not None
    weight = layer.weight.detach().numpy().astype(float)
    bias = None if layer.bias is None else layer.bias.detach().numpy().astype(float)
    return record.ref(x.astype(float), weight, bias, **options)


def agree(y: samara.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_values(kind: Any) -> None:
    n = kind.spatial
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    layer = kind(4, 6, 3, **options)
    assert layer.weight.shape == (6, 2, *(3,) * n) and layer.bias.shape == (6,)
    x = array(2, 4, *(7,) * n)
    agree(layer(samara.tensor(x)), reference(layer, x, **options))
    agree(layer(samara.tensor(x[0])), reference(layer, x[0], **options))
    assert kind(4, 6, 3, bias=False).bias is None
    same = kind(4, 6, (2, 3, 4)[:n], padding="same")
    agree(same(samara.tensor(x)), reference(same, x, padding="same"))


@pytest.mark.parametrize("kind", TRANSPOSED)
def test_transposed_values(kind: Any) -> None:
    n = kind.spatial
    options = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}
    layer = kind(4, 6, 3, **options)
    assert layer.weight.shape == (4, 3, *(3,) * n) and layer.bias.shape == (6,)
    x = array(2, 4, *(5,) * n)
    agree(layer(samara.tensor(x)), reference(layer, x, **options))


@pytest.mark.parametrize("kind", TRANSPOSED)
def test_output_size(kind: Any) -> None:
    n = kind.spatial
    layer, x = kind(3, 2, 3, stride=3, padding=1), array(2, 3, *(4,) * n)
    for size in (10, 11, 12):
        expected = reference(layer, x, stride=3, padding=1, output_padding=size - 10)
        agree(layer(samara.tensor(x), (size,) * n), expected)
        agree(layer(samara.tensor(x), output_size=expected.shape), expected)
        agree(layer(samara.tensor(x[0]), (size,) * n), expected[0])
    for wrong in ((9,) * n, (13,) * n, (10,) * (n + 3)):
        with pytest.raises(ShapeError, match=r"output_size is .* Expected sizes from \(10"):
            layer(samara.tensor(x), wrong)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("kind", LAYERS)
def test_padding_modes(kind: Any, mode: str) -> None:
    n = kind.spatial
    name = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    x = array(2, 3, *(6, 7, 5)[:n])
    layer = kind(3, 4, 3, padding=(2, 1, 0)[:n], padding_mode=mode)
    pads = [(0, 0), (0, 0), (2, 2), (1, 1), (0, 0)][: n + 2]
    agree(layer(samara.tensor(x)), reference(layer, np.pad(x, pads, mode=name)))
    even = kind(3, 4, 4, padding="same", padding_mode=mode)
    wider = np.pad(x, [(0, 0), (0, 0)] + [(1, 2)] * n, mode=name)
    agree(even(samara.tensor(x)), reference(even, wider))


def test_training_moves_the_parameters() -> None:
    samara.seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 1, 2, 2))
    x = samara.tensor(array(4, 1, 8, 8))
    target = samara.zeros(4, 1, 16, 16)
    optimizer = samara.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("kind", LAYERS + TRANSPOSED)
def test_initial_distribution(kind: Any) -> None:
    """Uniform up to 1 / sqrt(fan_in); fan_in counts the weight's second axis and the kernel."""
    samara.seed(0)
    layer = kind(12, 8, 3, groups=2)
    bound = 1 / math.sqrt(layer.weight.shape[1] * 3**kind.spatial)
    for parameter in (layer.weight, layer.bias):
        drawn = parameter.detach().numpy()
        assert (np.abs(drawn) <= bound).all()
    weight = layer.weight.detach().numpy()
    assert np.abs(weight).max() > 0.9 * bound
    assert abs(weight.std() - bound / math.sqrt(3)) < 0.15 * bound
    assert kind(2, 4, 1, init="zeros").weight.detach().numpy().any() == np.False_


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(3, 8, 3), "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))"),
        (
            nn.Conv1d(4, 8, 3, 2, 1, 2, 4, bias=False, padding_mode="reflect"),
            "Conv1d(4, 8, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), groups=4, "
            "bias=False, padding_mode=reflect)",
        ),
        (
            nn.Conv2d(1, 1, (1, 3), padding="same"),
            "Conv2d(1, 1, kernel_size=(1, 3), stride=(1, 1), padding=same)",
        ),
        (
            nn.ConvTranspose3d(2, 4, 2, stride=2, output_padding=1),
            "ConvTranspose3d(2, 4, kernel_size=(2, 2, 2), stride=(2, 2, 2), "
            "output_padding=(1, 1, 1))",
        ),
        (nn.LazyConv2d(4, 1), "LazyConv2d(None, 4, kernel_size=(1, 1), stride=(1, 1))"),
    ],
)
def test_repr(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.parametrize(("lazy", "plain"), LAZY)
def test_lazy_layers(lazy: Any, plain: Any) -> None:
    n = plain.spatial
    layer = lazy(6, 2, stride=2, groups=2)
    with pytest.raises(ArgumentError, match="first batch"):
        layer.parameters()
    x = samara.tensor(array(2, 4, *(6,) * n))
    y = layer(x)
    assert layer.in_channels == 4
    full = plain(4, 6, 2, stride=2, groups=2)
    full.load_state_dict(layer.state_dict())
    assert np.array_equal(full(x).detach().numpy(), y.detach().numpy())
    other = lazy(6, 2, stride=2, groups=2)
    other.load_state_dict(layer.state_dict())
    assert np.array_equal(other(x).detach().numpy(), y.detach().numpy())
    with pytest.raises(ShapeError, match=rf"Expected {n + 2} axes"):
        lazy(6, 2)(samara.ones(3))


@pytest.mark.parametrize("kind", LAYERS + TRANSPOSED)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kernel_size": 0}, r"kernel_size is 0"),
        ({"kernel_size": (3,) * 4}, r"kernel_size is \(3, 3, 3, 3\)"),
        ({"stride": 0}, r"stride is 0"),
        ({"stride": 1.5}, r"stride is 1.5"),
        ({"padding": -1}, r"padding is -1"),
        ({"padding": "full"}, r"padding is 'full'"),
        ({"dilation": 0}, r"dilation is 0"),
        ({"groups": 0}, r"out_channels is 6 and groups is 0"),
        ({"groups": 4}, r"out_channels is 6 and groups is 4"),
        ({"groups": 3}, r"in_channels is 4 and groups is 3"),
        ({"padding_mode": "mirror"}, r"padding_mode is 'mirror'"),
        ({"out_channels": -1}, r"out_channels is -1"),
    ],
)
def test_bad_arguments(kind: Any, options: dict[str, Any], match: str) -> None:
    arguments = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, **options}
    with pytest.raises(ArgumentError, match=rf"^{kind.__name__}: {match}.*Expected.*Fix:"):
        kind(**arguments)


def test_arguments_that_exclude_each_other() -> None:
    with pytest.raises(ArgumentError, match=r"'same' and stride is \(2, 2\)"):
        nn.Conv2d(1, 1, 3, stride=2, padding="same")
    with pytest.raises(ArgumentError, match=r"padding is 'same'. Expected integers"):
        nn.ConvTranspose2d(1, 1, 3, padding="same")
    with pytest.raises(ArgumentError, match=r"padding_mode is 'reflect'. Expected 'zeros'"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")


def test_a_shape_error_names_the_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 3)))
    with pytest.raises(ShapeError) as raised:
        model(samara.ones(1, 3, 9, 9))
    text = str(raised.value)
    assert text.startswith("model.1.1 (Conv2d): conv2d: x has shape (1, 8, 7, 7), 8 channels")
    assert "weight has shape (2, 4, 3, 3)" in text and "Expected 4 channels" in text
    with pytest.raises(ShapeError, match=r"model.0 \(Conv2d\).*reaches over 3 places"):
        model(samara.ones(1, 3, 2, 2))
