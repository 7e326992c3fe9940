"""Orthogonal weights; modules without initial values."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn.utils import skip_init
from samara.nn.utils.parametrizations import orthogonal

MAPS = ["matrix_exp", "cayley", "householder"]


def is_orthogonal(weight: Any) -> bool:
    w = weight.detach().numpy()
    w = w if w.shape[-2] >= w.shape[-1] else np.swapaxes(w, -1, -2)
    gram = np.swapaxes(w.conj(), -1, -2) @ w
    return np.allclose(gram, np.eye(w.shape[-1]), atol=1e-10)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 6), (1, 1)])
@pytest.mark.parametrize("trivial", [True, False])
def test_weights_stay_orthogonal(kind: str, shape: tuple[int, int], trivial: bool) -> None:
    samara.seed(0)
    layer = nn.Linear(shape[1], shape[0], bias=False, dtype=samara.float64)
    start = layer.weight.detach().numpy().copy()
    if not trivial and kind != "householder":
        with pytest.raises(ArgumentError, match="has no inverse without a base"):
            orthogonal(layer, orthogonal_map=kind, use_trivialization=False)
        return
    assert orthogonal(layer, orthogonal_map=kind, use_trivialization=trivial) is layer
    # It starts as the factor of QR with a positive diagonal in R.
    tall = start if shape[0] >= shape[1] else start.T
    q, r = scipy.linalg.qr(tall, mode="economic")
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    expected = q if shape[0] >= shape[1] else q.T
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, atol=1e-12)
    # And stays one while it learns: W x = y with an orthogonal W is the least there is.
    optimizer = samara.optim.SGD(layer.parameters(), lr=0.1)
    target = samara.tensor(np.linalg.qr(np.random.default_rng(1).normal(size=(9, 9)))[0])
    target = target[: shape[0], : shape[1]]
    losses = []
    for _ in range(20):
        loss = ((layer.weight - target) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert is_orthogonal(layer.weight)
    assert shape == (1, 1) or losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley"])
def test_the_maps(kind: str) -> None:
    samara.seed(1)
    layer = orthogonal(nn.Linear(3, 3, bias=False, dtype=samara.float64), orthogonal_map=kind)
    part = layer.parametrizations.weight
    x = np.random.default_rng(0).normal(size=(3, 3))
    with samara.no_grad():
        part.original.copy_(samara.tensor(x))
    skew = np.tril(x, -1) - np.tril(x, -1).T
    expected = scipy.linalg.expm(skew)
    if kind == "cayley":
        expected = np.linalg.solve(np.eye(3) - skew / 2, np.eye(3) + skew / 2)
    base = part[0].base.numpy()
    np.testing.assert_allclose(layer.weight.detach().numpy(), base @ expected, atol=1e-12)


def test_complex_stacks_and_assignment() -> None:
    module = nn.Module()
    module.weight = nn.Parameter(samara.randn(2, 3, 3, dtype=samara.float64) + 0j)
    orthogonal(module)
    assert module.parametrizations.weight[0].orthogonal_map == "matrix_exp"
    assert is_orthogonal(module.weight)
    layer = orthogonal(nn.Linear(4, 4, bias=False, dtype=samara.float64))
    wanted = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    q, r = np.linalg.qr(wanted)
    layer.weight = samara.tensor(wanted)
    np.testing.assert_allclose(layer.weight.detach().numpy(), q * np.sign(np.diag(r)), atol=1e-12)
    other = copy.deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.weight.detach().numpy(), layer.weight.detach().numpy())


def test_what_cannot_be_orthogonal() -> None:
    with pytest.raises(ArgumentError, match="has no parameter or buffer 'w'"):
        orthogonal(nn.Linear(2, 2), "w")
    with pytest.raises(ShapeError, match="Expected a matrix"):
        orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(ArgumentError, match="orthogonal_map is 'givens'"):
        orthogonal(nn.Linear(2, 2), orthogonal_map="givens")
    layer = orthogonal(nn.Linear(2, 2))
    with pytest.raises(ShapeError, match=r"\(3, 3\) was assigned"):
        layer.weight = samara.eye(3)


def test_modules_without_initial_values() -> None:
    samara.seed(0)
    plain = nn.Linear(3, 2)
    expected = plain.weight.detach().numpy().copy()
    samara.seed(0)
    layer = skip_init(nn.Linear, 3, 2, bias=False)
    assert layer.bias is None and tuple(layer.weight.shape) == (2, 3)
    drawn: list[Any] = []

    class Noisy(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self._initialize("weight", lambda tensor, key: drawn.append(key))

    skip_init(Noisy)(samara.ones(1, 3))
    assert not drawn
    Noisy()(samara.ones(1, 3))
    assert len(drawn) == 1
    layer.load_state_dict({"weight": plain.weight.detach()})
    np.testing.assert_array_equal(layer.weight.detach().numpy(), expected)
    with pytest.raises(ArgumentError, match="Expected a class of modules"):
        skip_init(nn.Linear(3, 2))
