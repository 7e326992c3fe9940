"""PyTorch's spellings of names and arguments, next to the standard's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, GradientError, ShapeError

X = np.array([[1.0, 5.0, 2.0], [3.0, 2.0, -4.0]], np.float32)


@pytest.mark.parametrize("spelling", [{"dim": 1}, {"axis": 1}])
@pytest.mark.parametrize(("name", "oracle"), [("amax", np.max), ("amin", np.min)])
def test_amax_and_amin_give_values_alone(name: str, oracle: Any, spelling: dict[str, int]) -> None:
    for result in (
        getattr(samara, name)(samara.tensor(X), **spelling),
        getattr(samara.tensor(X), name)(**spelling),
    ):
        np.testing.assert_array_equal(result.numpy(), oracle(X, axis=1))


def test_amax_over_several_axes() -> None:
    assert samara.tensor(X).amax((0, 1)).item() == 5.0
    assert samara.tensor(X).amin(dim=(0, 1), keepdim=True).tolist() == [[-4.0]]


CALLS: dict[str, tuple[Callable[[samara.Tensor], Any], Any]] = {
    "roll": (lambda x: x.roll(shifts=1, dims=1), np.roll(X, 1, 1)),
    "split": (lambda x: x.split(split_size=1)[1], X[1:]),
    "triu": (lambda x: x.triu(diagonal=1), np.triu(X, 1)),
    "tril": (lambda x: samara.tril(x, diagonal=-1), np.tril(X, -1)),
    "arange": (lambda x: samara.arange(start=1, end=4), np.arange(1, 4)),
    "linspace": (lambda x: samara.linspace(0, 1, steps=3), np.array([0.0, 0.5, 1.0], np.float32)),
    "dropout": (lambda x: samara.dropout(x, p=0.5, train=False), X),
    "nonzero": (lambda x: x.nonzero(as_tuple=True)[1], np.nonzero(X)[1]),
    "scatter": (
        lambda x: x.scatter(1, samara.tensor([[0], [2]]), value=9.0),
        np.array([[9.0, 5.0, 2.0], [3.0, 2.0, 9.0]], np.float32),
    ),
    "take_along_dim": (
        lambda x: x.take_along_dim(samara.tensor([[2], [0]]), 1),
        np.array([[2.0], [3.0]], np.float32),
    ),
    "nonzero rows": (lambda x: x.nonzero(), np.argwhere(X)),
}


@pytest.mark.parametrize("name", CALLS)
def test_spelling(name: str) -> None:
    call, expected = CALLS[name]
    result = call(samara.tensor(X)).numpy()
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


def test_random_in_place_forms() -> None:
    x = samara.zeros(2000, dtype=samara.float64)
    assert x.normal_(3.0, 0.5, key=1) is x
    assert abs(x.mean().item() - 3.0) < 0.1 and abs(x.std().item() - 0.5) < 0.1
    x.uniform_(2, 4, key=2)
    assert x.amin().item() >= 2 and x.amax().item() < 4 and abs(x.mean().item() - 3) < 0.1
    x.bernoulli_(0.25, key=3)
    assert set(x.tolist()) == {0.0, 1.0} and abs(x.mean().item() - 0.25) < 0.05
    with pytest.raises(GradientError):
        samara.zeros(3, requires_grad=True).normal_()


def test_select_and_narrow_are_views() -> None:
    x = samara.zeros(3, 4)
    x.select(1, 0).fill_(1)
    x.narrow(0, 1, 2).add_(2)
    x.t()[3].zero_()
    expected = np.zeros((3, 4))
    expected[:, 0] = 1
    expected[1:3] += 2
    expected[:, 3] = 0
    np.testing.assert_array_equal(x.numpy(), expected)


def test_questions_about_dtypes() -> None:
    assert samara.zeros(1).is_signed() and samara.zeros(1, dtype=samara.int8).is_signed()
    assert not samara.zeros(1, dtype=samara.uint8).is_signed()
    assert not samara.zeros(1, dtype=samara.bool).is_signed()
    assert samara.zeros(2, 3).ndimension() == 2
    assert samara.zeros(1).is_cpu and not samara.zeros(1).is_cuda


def test_layer_norm_without_affine_shows_no_bias() -> None:
    assert "bias=False" in repr(nn.LayerNorm(4, elementwise_affine=False))
    assert "bias=True" in repr(nn.LayerNorm(4))


def test_median_takes_the_lower_middle_and_keeps_nan() -> None:
    x = samara.tensor([[4.0, 1.0, 3.0, 2.0], [1.0, float("nan"), 0.0, 2.0]])
    values, indices = x.median(dim=1)
    assert values[0].item() == 2.0 and np.isnan(values[1].item())
    assert indices.tolist() == [3, 1]
    assert np.isnan(x.median().item())


def test_product_scan_of_small_integers_is_wide() -> None:
    x = samara.tensor([100, 100, 100], dtype=samara.int8)
    assert samara.cumulative_prod(x).tolist() == [100, 10_000, 1_000_000]
    assert x.cumprod(0, dtype=samara.float32).dtype is samara.float32


def test_index_put_in_place_adds_repeated_rows_up() -> None:
    x = samara.zeros(3, 2)
    rows = samara.tensor([0, 0, 2])
    assert x.index_put_((rows,), samara.tensor(1.0), accumulate=True) is x
    assert x.tolist() == [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
    x.index_put_((None, samara.tensor([1])), samara.tensor(9.0))
    assert x.tolist() == [[2.0, 9.0], [0.0, 9.0], [1.0, 9.0]]


def test_unique_returns_what_is_asked_for() -> None:
    x = samara.tensor([[3, 1], [3, 2]])
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert samara.unique(x).tolist() == values.tolist() == [1, 2, 3]
    assert values[inverse].tolist() == x.tolist() and counts.tolist() == [1, 1, 2]


def test_nan_to_num_takes_the_largest_finite_numbers() -> None:
    x = samara.tensor([float("nan"), float("inf"), -float("inf")])
    limits = np.finfo(np.float32)
    np.testing.assert_array_equal(x.nan_to_num().numpy(), [0.0, limits.max, limits.min])


def test_squeeze_of_a_scalar() -> None:
    x = samara.tensor(2.5)
    assert x.squeeze(0).shape == x.squeeze(-1).shape == samara.squeeze(x, dim=0).shape == ()
    with pytest.raises(IndexError):
        x.squeeze(1)
    with pytest.raises(IndexError):
        samara.squeeze(x, axis=0)


@pytest.mark.parametrize("name", ["median", "cumprod", "select"])
def test_an_axis_of_a_scalar_is_told_apart(name: str) -> None:
    arguments = (0, 0) if name == "select" else (0,)
    with pytest.raises(IndexError, match="0-d tensor"):
        getattr(samara.tensor(1.0), name)(*arguments)


def test_index_put_adds_where_masks_are_true() -> None:
    rng = np.random.default_rng(0)
    x, flat, rows = rng.normal(size=(3, 4)), rng.normal(size=5), np.array([True, False, True])
    mask = np.zeros((3, 4), bool)
    mask.flat[[0, 3, 5, 6, 11]] = True
    found = samara.tensor(x).index_put_(
        (samara.tensor(mask),), samara.tensor(flat), accumulate=True
    )
    expected = x.copy()
    expected[mask] += flat
    np.testing.assert_array_equal(found.numpy(), expected)
    # A mask of rows beside an index of columns.
    columns = np.array([1, 1])
    found = samara.tensor(x).index_put_(
        (samara.tensor(rows), samara.tensor(columns)), samara.tensor([1.0, 2.0]), accumulate=True
    )
    expected = x.copy()
    expected[[0, 2], 1] += [1.0, 2.0]
    np.testing.assert_array_equal(found.numpy(), expected)
    leaf = samara.tensor(flat, requires_grad=True)
    samara.tensor(x).index_put((samara.tensor(mask),), leaf * leaf, True).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 2 * flat)


@pytest.mark.parametrize("name", ["max", "min"])
def test_extrema_into_given_tensors(name: str) -> None:
    x = np.random.default_rng(0).permutation(12).reshape(3, 4) / 4.0
    out = (samara.empty(3, dtype=samara.float64), samara.empty(3, dtype=samara.int64))
    function = getattr(samara, name)
    assert function(samara.tensor(x), dim=1, out=out) is out
    np.testing.assert_array_equal(out[0].numpy(), getattr(np, name)(x, 1))
    np.testing.assert_array_equal(out[1].numpy(), getattr(np, f"arg{name}")(x, 1))
    one = samara.empty(3, 4, dtype=samara.float64)
    assert getattr(samara.tensor(x), name)(samara.tensor(x[::-1].copy()), out=one) is one
    np.testing.assert_array_equal(one.numpy(), getattr(np, f"{name}imum")(x, x[::-1]))
    with pytest.raises(ArgumentError, match="out holds 1"):
        function(samara.tensor(x), dim=1, out=out[0])


@pytest.mark.parametrize("name", ["var", "std"])
def test_spread_of_complex_numbers(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    function, z = getattr(np, name), samara.tensor(x)
    method = getattr(z, name)
    np.testing.assert_allclose(method().numpy(), function(x, ddof=1))
    np.testing.assert_allclose(
        method(1, keepdim=True).numpy(), function(x, 1, ddof=1, keepdims=True)
    )
    found = getattr(samara, name)(z, dim=0, correction=0)
    np.testing.assert_allclose(found.numpy(), function(x, 0))
    assert found.dtype is samara.float64
    # d var / dz = 2 (z - mean) / (n - 1), in PyTorch's convention.
    leaf = samara.tensor(x, requires_grad=True)
    leaf.var().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 2 * (x - x.mean()) / 11, atol=1e-12)


def test_nonzero_as_rows_or_axes() -> None:
    x = samara.tensor([[0, 5], [7, 0]])
    assert samara.nonzero(x, as_tuple=False).tolist() == [[0, 1], [1, 0]]
    axes = samara.nonzero(x, as_tuple=True)
    assert (
        [axis.tolist() for axis in axes]
        == [[0, 1], [1, 0]]
        == [axis.tolist() for axis in samara.nonzero(x)]
    )


def test_normal_of_a_shape_and_of_moments() -> None:
    samara.manual_seed(0)
    standard = samara.randn(2, 3)
    mean, std = samara.tensor([[1.0], [2.0]]), samara.tensor([1.0, 2.0, 3.0])
    for call in (
        lambda: samara.normal(mean, std),
        lambda: samara.normal(mean=mean, std=std),
        lambda: samara.normal(mean, std=std, generator=samara.default_generator),
    ):
        samara.manual_seed(0)
        np.testing.assert_allclose(
            call().numpy(), standard.numpy() * std.numpy() + mean.numpy(), rtol=1e-6
        )
    for call in (
        lambda: samara.normal((2, 3), 4.0, 0.5),
        lambda: samara.normal(4.0, 0.5, (2, 3)),
        lambda: samara.normal(4.0, 0.5, size=(2, 3)),
        lambda: samara.normal(mean=4.0, std=0.5, size=(2, 3)),
        lambda: samara.normal(shape=(2, 3), mean=4.0, std=0.5),
    ):
        samara.manual_seed(0)
        np.testing.assert_allclose(call().numpy(), standard.numpy() * 0.5 + 4.0, rtol=1e-6)
    assert samara.normal(3).shape == (3,) and samara.normal(0, 1, size=(2,)).shape == (2,)
    with pytest.raises(ArgumentError, match="without a size"):
        samara.normal(0.0, 1.0)
    with pytest.raises(ShapeError, match="do not broadcast"):
        samara.normal(samara.ones(2), samara.ones(3))
