"""What PyTorch's users write: shapes in place, second forms of calls, other argument names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, GradientError, ShapeError

X = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]], np.float32)


def same(result: Any, expected: Any) -> None:
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-6, atol=1e-6)


# --- shapes in place ------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Callable[[samara.Tensor], Any], Callable[[Any], Any]]] = {
    "unsqueeze_": (lambda x: x.unsqueeze_(1), lambda a: a[:, None]),
    "squeeze_": (lambda x: x.unsqueeze_(0).squeeze_(), lambda a: a),
    "squeeze_ of one axis": (lambda x: x.unsqueeze_(0).squeeze_(0), lambda a: a),
    "transpose_": (lambda x: x.transpose_(0, 1), lambda a: a.T),
    "swapaxes_": (lambda x: x.swapaxes_(0, -1), lambda a: a.T),
    "t_": (lambda x: x.t_(), lambda a: a.T),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_change_in_place(name: str) -> None:
    call, oracle = SHAPES[name]
    x = samara.tensor(X)
    result = call(x)
    assert result is x
    assert x.shape == oracle(X).shape
    same(x, oracle(X))


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_pass_through_shapes_in_place(name: str) -> None:
    w = samara.tensor(X, requires_grad=True)
    x = w * 2
    SHAPES[name][0](x)
    (x * x).sum().backward()
    same(w.grad, 8 * X)


def test_a_view_takes_another_shape_and_still_reaches_its_base() -> None:
    w = samara.tensor([1.0, 2.0, 3.0], requires_grad=True)
    base = w * 1
    view = base[1:]
    view.unsqueeze_(0)
    view.mul_(5.0)
    (base * base).sum().backward()
    same(w.grad, [2.0, 100.0, 150.0])


def test_a_leaf_keeps_its_shape() -> None:
    w = samara.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match=r"unsqueeze_: a leaf that requires grad.*Fix: "):
        w.unsqueeze_(0)
    assert w.shape == (3,)
    with samara.no_grad():
        assert w.unsqueeze_(0).shape == (1, 3)


def test_what_backward_saved_must_keep_its_shape() -> None:
    w = samara.ones(3, requires_grad=True)
    x = w * 2
    y = x * x
    x.unsqueeze_(0)
    with pytest.raises(GradientError, match="was changed in place"):
        y.sum().backward()


def test_detach_in_place() -> None:
    x = samara.ones(2, requires_grad=True) * 3
    assert x.detach_() is x
    assert not x.requires_grad
    assert x.is_leaf


# --- in-place operations whose gradient reads what they overwrite ---------------------------------

OVERWRITES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "abs_": (lambda x: x.abs_(), np.sign),
    "pow_": (lambda x: x.pow_(3), lambda a: 3 * a**2),
    "erf_": (lambda x: x.erf_(), lambda a: 2 / math.sqrt(math.pi) * np.exp(-a * a)),
    "clamp_": (lambda x: x.clamp_(-1.0, 1.0), lambda a: (np.abs(a) <= 1) * 1.0),
    "mul_ by itself": (lambda x: x.mul_(x), lambda a: 2 * a),
    "logit_": (
        lambda x: x.mul_(0.1).add_(0.4).logit_(),
        lambda a: 0.1 / ((0.1 * a + 0.4) * (0.6 - 0.1 * a)),
    ),
}


@pytest.mark.parametrize("name", OVERWRITES)
def test_the_gradient_of_an_overwritten_input(name: str) -> None:
    call, oracle = OVERWRITES[name]
    values = np.array([0.3, -0.7, 1.9], np.float32)
    w = samara.tensor(values, requires_grad=True)
    x = w * 1
    call(x).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), oracle(values), rtol=1e-4)


def test_second_derivative_of_an_overwritten_input() -> None:
    w = samara.tensor([2.0], requires_grad=True, dtype=samara.float64)
    x = w * 1
    (first,) = samara.autograd.grad(x.pow_(3).sum(), [w], create_graph=True)
    first.sum().backward()
    same(w.grad, [12.0])


# --- second forms of calls ------------------------------------------------------------------------

CALLS: dict[str, tuple[Callable[[samara.Tensor], Any], Any]] = {
    "round(decimals)": (lambda x: samara.round(x / 3, decimals=1), np.round(X / 3, 1)),
    "round(decimals < 0)": (
        lambda x: samara.round(x * 10, decimals=-1),
        np.round(X * 10, -1),
    ),
    "round_": (lambda x: (x / 3).round_(decimals=2), np.round(X / 3, 2)),
    "std(unbiased)": (lambda x: samara.std(x, unbiased=False), X.std()),
    "var(dim, unbiased)": (lambda x: samara.var(x, dim=1, unbiased=True), X.var(1, ddof=1)),
    "softmax(dtype)": (
        lambda x: samara.softmax(x, dim=0, dtype=samara.float64),
        np.exp(X) / np.exp(X).sum(0),
    ),
    "mean(dtype)": (lambda x: x.mean(dtype=samara.float64), X.mean(dtype=np.float64)),
    "norm('fro')": (lambda x: samara.norm(x, p="fro", dim=(0, 1)), np.linalg.norm(X)),
    "norm('nuc')": (lambda x: samara.norm(x, p="nuc"), np.linalg.norm(X, "nuc")),
    "max of two": (lambda x: samara.max(x, -x), np.abs(X)),
    "min of two": (lambda x: samara.min(x, -x), -np.abs(X)),
    "tile(dims)": (lambda x: x.tile(dims=(2, 1)), np.tile(X, (2, 1))),
    "scatter(reduce)": (
        lambda x: x.scatter(1, samara.tensor([[0], [0]]), 2.0, reduce="multiply"),
        X * np.array([2.0, 1.0, 1.0]),
    ),
    "scatter_(reduce)": (
        lambda x: x.clone().scatter_(1, samara.tensor([[0], [0]]), 2.0, reduce="add"),
        X + np.array([2.0, 0.0, 0.0]),
    ),
    "as_strided(size)": (
        lambda x: samara.as_strided(x, size=(2,), stride=(3,), storage_offset=1),
        X[:, 1],
    ),
    "cat(tensors)": (lambda x: samara.cat(tensors=[x, x]), np.concatenate([X, X])),
    "fill": (lambda x: samara.fill(x, 2.0), np.full((2, 3), 2.0)),
    "rsub": (lambda x: samara.rsub(x, 1.0, alpha=2), 1 - 2 * X),
    "index_put": (
        lambda x: x.index_put((samara.tensor([0]),), samara.zeros(1, 3)),
        X * np.array([[0.0], [1.0]]),
    ),
    "eq_": (lambda x: x.clone().eq_(0.0), (X == 0) * 1.0),
    "tril_": (lambda x: x.clone().tril_(), np.tril(X)),
    "cumsum_": (lambda x: x.clone().cumsum_(1), X.cumsum(1)),
    "apply_": (lambda x: x.clone().apply_(lambda v: v + 1), X + 1),
    "map_": (lambda x: x.clone().map_(x, max), X),
    "sum_to_size": (lambda x: x.sum_to_size(1, 3), X.sum(0, keepdims=True)),
    "resize_": (lambda x: x.clone().resize_(3, 2), X.reshape(3, 2)),
    "atleast_3d": (lambda x: samara.atleast_3d(x), np.atleast_3d(X)),
    "float_power": (lambda x: samara.float_power(x, 2), X.astype(np.float64) ** 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_second_form(name: str) -> None:
    call, expected = CALLS[name]
    same(call(samara.tensor(X)), expected)


def test_where_of_a_condition_alone_gives_places() -> None:
    found = samara.where(samara.tensor(X) > 0)
    for axis, expected in zip(found, np.nonzero(X > 0), strict=True):
        np.testing.assert_array_equal(axis.numpy(), expected)


def test_searchsorted_to_the_right() -> None:
    edges, x = samara.tensor([1, 3, 5]), samara.tensor([3, 5])
    assert samara.searchsorted(edges, x, right=True).tolist() == [2, 3]
    assert samara.searchsorted(edges, x, out_int32=True).dtype is samara.int32
    with pytest.raises(ArgumentError, match="side is 'left' and right is True"):
        samara.searchsorted(edges, x, side="left", right=True)


def test_a_list_makes_meshgrid_pytorchs() -> None:
    a, b = samara.arange(2), samara.arange(3)
    assert samara.meshgrid([a, b])[0].shape == (2, 3)
    assert samara.meshgrid(a, b)[0].shape == (3, 2)


def test_unique_along_an_axis() -> None:
    rows = np.array([[1, 2], [0, 5], [1, 2]])
    found = samara.unique(samara.tensor(rows), dim=0, return_inverse=True, return_counts=True)
    expected = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    for result, oracle in zip(found, expected, strict=True):
        np.testing.assert_array_equal(result.numpy(), oracle.reshape(result.shape))


def test_frexp_of_zeros_and_powers_of_two() -> None:
    values = np.array([0.0, -0.0, 1.0, -0.5, 2.0**-140])
    mantissa, exponent = samara.frexp(samara.tensor(values))
    expected = np.frexp(values)
    np.testing.assert_array_equal(mantissa.numpy(), expected[0])
    np.testing.assert_array_equal(exponent.numpy(), expected[1])


# --- out= and memory_format= ----------------------------------------------------------------------


def test_out_is_written_and_returned() -> None:
    x, out = samara.tensor(X), samara.zeros(2, 3)
    assert samara.add(x, x, out=out) is out
    same(out, 2 * X)
    fresh = samara.empty(0)
    samara.glu(samara.tensor([1.0, 0.0]), out=fresh)
    assert fresh.tolist() == [0.5]
    with pytest.raises(ShapeError, match=r"out has shape \(3,\)"):
        samara.add(x, x, out=samara.zeros(3))


def test_memory_format_of_operations_that_copy() -> None:
    x = samara.zeros(2, 3, 4, 5)
    for made in (
        samara.clone(x, memory_format=samara.channels_last),
        samara.zeros_like(x, memory_format=samara.channels_last),
        x.contiguous(memory_format=samara.channels_last),
    ):
        assert made.shape == x.shape
        assert made.stride() == (60, 1, 15, 3)


def test_unknown_arguments_are_still_errors() -> None:
    with pytest.raises(TypeError, match=r"softmax: there is no argument 'foo'"):
        samara.softmax(samara.zeros(2), foo=1)
    with pytest.raises(TypeError, match=r"glu: .*'foo'"):
        samara.glu(samara.zeros(2), foo=1)


# --- random fills ---------------------------------------------------------------------------------


def test_random_fills_have_their_moments() -> None:
    n = 200_000
    key = samara.random.key(3)
    x = samara.zeros(n, dtype=samara.float64)
    assert abs(x.exponential_(2.0, key=key).mean().item() - 0.5) < 0.01
    assert abs(x.geometric_(0.25, key=key).mean().item() - 4.0) < 0.1
    assert abs(x.log_normal_(0.0, 0.5, key=key).log().std().item() - 0.5) < 0.01
    assert abs(x.cauchy_(1.0, 2.0, key=key).median().item() - 1.0) < 0.1
    drawn = x.random_(3, 7, key=key)
    assert drawn.unique().tolist() == [3.0, 4.0, 5.0, 6.0]


def test_multinomial_follows_its_weights() -> None:
    weights = samara.tensor([1.0, 0.0, 3.0])
    drawn = samara.multinomial(weights, 40_000, replacement=True, key=1)
    share = (drawn == 2).to(samara.float32).mean().item()
    assert abs(share - 0.75) < 0.02
    assert not (drawn == 1).any().item()
    pairs = samara.multinomial(weights.expand(1000, 3), 2, key=2)
    assert (pairs.sort(dim=1).values == samara.tensor([0, 2])).all().item()


def test_poisson_and_binomial_means() -> None:
    rates = samara.full((50_000,), 3.5)
    assert abs(samara.poisson(rates, key=1).mean().item() - 3.5) < 0.05
    trials, chance = samara.full((50_000,), 10.0), samara.tensor(0.3)
    assert abs(samara.binomial(trials, chance, key=1).mean().item() - 3.0) < 0.05


def test_gumbel_softmax_draws_classes_by_their_probability() -> None:
    logits = samara.tensor([0.0, math.log(3.0)]).expand(20_000, 2)
    hard = samara.gumbel_softmax(logits, hard=True, key=4)
    assert abs(hard.mean(axis=0)[1].item() - 0.75) < 0.02


# --- complex views --------------------------------------------------------------------------------


def test_complex_views_share_memory() -> None:
    pairs = samara.zeros(3, 2)
    z = samara.view_as_complex(pairs)
    pairs[1, 1] = 2.0
    assert z.tolist() == [0, 2j, 0]
    back = samara.view_as_real(z)
    assert back.data_ptr() == pairs.data_ptr()


def test_rotation_by_complex_numbers() -> None:
    x = samara.tensor([[1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    turn = samara.polar(samara.ones(2), samara.tensor([math.pi / 2, math.pi]))
    turned = samara.view_as_real(samara.view_as_complex(x) * turn)
    same(turned, [[0.0, 1.0], [0.0, -2.0]])
    turned[:, 1].sum().backward()
    same(x.grad, [[1.0, 0.0], [0.0, -1.0]])


def test_edits_through_a_complex_view_do_not_slip_past_the_graph() -> None:
    w = samara.ones(2, 2, requires_grad=True)
    z = samara.view_as_complex(w * 1)
    with pytest.raises(GradientError):
        z.mul_(2)
