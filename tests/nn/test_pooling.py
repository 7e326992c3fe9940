"""Pooling layers: PyTorch's arguments and texts, and the functions they call."""

import inspect

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F

rng = np.random.default_rng(0)

SHAPES = {1: (2, 3, 12), 2: (2, 3, 12, 10), 3: (2, 3, 6, 8, 7)}

# As PyTorch 2.13 prints them.
TEXTS = [
    (nn.MaxPool1d(3), "MaxPool1d(kernel_size=3, stride=3, padding=0, dilation=1, ceil_mode=False)"),
    (
        nn.MaxPool2d((3, 2), 2, 1, 1, True, True),
        "MaxPool2d(kernel_size=(3, 2), stride=2, padding=1, dilation=1, ceil_mode=True)",
    ),
    (
        nn.MaxPool3d(3, padding=1, ceil_mode=True),
        "MaxPool3d(kernel_size=3, stride=3, padding=1, dilation=1, ceil_mode=True)",
    ),
    (nn.AvgPool1d(3, 2, 1), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(1,))"),
    (nn.AvgPool2d(3), "AvgPool2d(kernel_size=3, stride=3, padding=0)"),
    (nn.AvgPool3d((3, 2, 2)), "AvgPool3d(kernel_size=(3, 2, 2), stride=(3, 2, 2), padding=0)"),
    (nn.AdaptiveMaxPool1d(5), "AdaptiveMaxPool1d(output_size=5)"),
    (nn.AdaptiveMaxPool2d((5, None)), "AdaptiveMaxPool2d(output_size=(5, None))"),
    (nn.AdaptiveAvgPool3d(5), "AdaptiveAvgPool3d(output_size=5)"),
    (nn.LPPool1d(2, 3), "LPPool1d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"),
    (
        nn.LPPool2d(1.5, (3, 2), 2),
        "LPPool2d(norm_type=1.5, kernel_size=(3, 2), stride=2, ceil_mode=False)",
    ),
    (nn.FractionalMaxPool2d(3, 5), "FractionalMaxPool2d()"),
    (nn.MaxUnpool1d(3), "MaxUnpool1d(kernel_size=(3,), stride=(3,), padding=(0,))"),
    (nn.MaxUnpool2d(3, 2), "MaxUnpool2d(kernel_size=(3, 3), stride=(2, 2), padding=(0, 0))"),
    (
        nn.MaxUnpool3d((3, 2, 2), 2, 1),
        "MaxUnpool3d(kernel_size=(3, 2, 2), stride=(2, 2, 2), padding=(1, 1, 1))",
    ),
]

ARGUMENTS = {
    "MaxPool": "kernel_size stride padding dilation return_indices ceil_mode",
    "AvgPool": "kernel_size stride padding ceil_mode count_include_pad divisor_override",
    "AdaptiveMaxPool": "output_size return_indices",
    "AdaptiveAvgPool": "output_size",
    "LPPool": "norm_type kernel_size stride ceil_mode",
    "FractionalMaxPool": "kernel_size output_size output_ratio return_indices _random_samples",
    "MaxUnpool": "kernel_size stride padding",
}


@pytest.mark.parametrize(("layer", "text"), TEXTS, ids=lambda v: type(v).__name__)
def test_text(layer, text):
    assert repr(layer) == text


@pytest.mark.parametrize("family", ARGUMENTS)
def test_arguments(family):
    for rank in (1, 2, 3):
        layer = getattr(nn, f"{family}{rank}d", None)
        if family == "FractionalMaxPool" and rank == 1:
            assert layer is None
            continue
        expected = ARGUMENTS[family].split()
        if (family, rank) == ("AvgPool", 1):
            expected.remove("divisor_override")
        assert list(inspect.signature(layer).parameters) == expected


def numbers(rank):
    return rng.normal(size=SHAPES[rank])


def plane_maxima(x, k):
    """Maxima of disjoint windows by reshaping, sizes cut to multiples of k."""
    spatial = [n // k for n in x.shape[2:]]
    x = x[(..., *(slice(0, n * k) for n in spatial))]
    split = x.reshape(*x.shape[:2], *(v for n in spatial for v in (n, k)))
    return split.max(axis=tuple(range(3, split.ndim, 2)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_pool_layers(rank):
    x = numbers(rank)
    layer = getattr(nn, f"MaxPool{rank}d")
    expected = plane_maxima(x, 2)
    np.testing.assert_array_equal(layer(2)(samara.from_numpy(x)).numpy(), expected)
    values, places = layer(2, return_indices=True)(samara.from_numpy(x))
    np.testing.assert_array_equal(values.numpy(), expected)
    back = getattr(nn, f"MaxUnpool{rank}d")(2)(values, places, output_size=x.shape)
    assert back.shape == x.shape
    kept = back.numpy() != 0
    np.testing.assert_array_equal(back.numpy()[kept], x[kept])
    assert kept.sum() == expected.size


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_average_layers(rank):
    x = numbers(rank)
    spatial = tuple(range(2, rank + 2))
    whole = x.shape[2:] if rank > 1 else x.shape[2]
    mean = getattr(nn, f"AvgPool{rank}d")(whole)(samara.from_numpy(x))
    np.testing.assert_allclose(mean.numpy(), x.mean(axis=spatial, keepdims=True), rtol=1e-12)
    adaptive = getattr(nn, f"AdaptiveAvgPool{rank}d")(1)(samara.from_numpy(x))
    np.testing.assert_allclose(adaptive.numpy(), mean.numpy(), rtol=1e-12)
    norm = getattr(nn, f"LPPool{rank}d")(2, whole)(samara.from_numpy(x))
    expected = np.sqrt((x**2).sum(axis=spatial, keepdims=True))
    np.testing.assert_allclose(norm.numpy(), expected, rtol=1e-12)
    assert getattr(nn, f"AdaptiveMaxPool{rank}d")(1)(samara.from_numpy(x)).flatten().tolist() == (
        x.max(axis=spatial).ravel().tolist()
    )


def test_padding_in_averages():
    x = samara.ones(1, 1, 2, 2)
    assert nn.AvgPool2d(2, 2, 1)(x).flatten().tolist() == [0.25] * 4
    assert nn.AvgPool2d(2, 2, 1, count_include_pad=False)(x).flatten().tolist() == [1.0] * 4
    assert nn.AvgPool2d(2, divisor_override=8)(x).item() == 0.5
    assert nn.AvgPool1d(2, 2, 1, count_include_pad=False)(x[0]).flatten().tolist() == [1.0] * 4


def test_fractional_layers():
    x = samara.from_numpy(rng.normal(size=(2, 3, 12, 12)))
    samples = samara.full((2, 3, 2), 0.3, dtype=samara.float64)
    layer = nn.FractionalMaxPool2d(2, output_size=5, _random_samples=samples, return_indices=True)
    values, places = layer(x)
    again, _ = layer(x)
    assert values.shape == places.shape == (2, 3, 5, 5)
    np.testing.assert_array_equal(values.numpy(), again.numpy())
    assert nn.FractionalMaxPool2d(3, output_ratio=0.5)(x).shape == (2, 3, 6, 6)
    with pytest.raises(ArgumentError, match="neither"):
        nn.FractionalMaxPool2d(2)
    with pytest.raises(ArgumentError, match="both"):
        nn.FractionalMaxPool3d(2, 3, 0.5)
    with pytest.raises(ArgumentError, match=r"output_ratio is 1\.5"):
        nn.FractionalMaxPool2d(2, output_ratio=1.5)


def test_wrong_sizes_are_named():
    with pytest.raises(ArgumentError, match=r"MaxUnpool2d: kernel_size is \(2, 2, 2\)"):
        nn.MaxUnpool2d((2, 2, 2))
    with pytest.raises(ShapeError, match="max_pool2d"):
        nn.MaxPool2d(5)(samara.zeros(1, 1, 4, 4))
    with pytest.raises(ArgumentError, match="at most half the kernel"):
        nn.AvgPool2d(2, padding=2)(samara.zeros(1, 1, 4, 4))


def test_functions_stand_in_the_functional_namespace():
    names = [f"{k}_pool{r}d" for k in ("max", "avg", "adaptive_max", "lp") for r in (1, 2, 3)]
    names += [f"max_unpool{r}d" for r in (1, 2, 3)] + [f"fractional_max_pool{r}d" for r in (2, 3)]
    names += [f"max_pool{r}d_with_indices" for r in (1, 2, 3)]
    for name in names:
        assert getattr(F, name) is getattr(samara, name)
    assert F.max_pool2d(input=samara.ones(1, 1, 4, 4), kernel_size=2).shape == (1, 1, 2, 2)
