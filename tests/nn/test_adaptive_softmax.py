"""The adaptive softmax, against the product of its softmaxes in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError

CUTOFFS, CLASSES, FEATURES = [3, 7, 12], 20, 16


def softmax(x: Any) -> Any:
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def probabilities(layer: Any, x: Any) -> Any:
    state = {name: value.numpy() for name, value in layer.state_dict().items()}
    head = softmax(x @ state["head.weight"].T + state.get("head.bias", 0))
    parts = [head[:, : CUTOFFS[0]]]
    for i in range(len(CUTOFFS)):
        inner = x @ state[f"tail.{i}.0.weight"].T @ state[f"tail.{i}.1.weight"].T
        parts.append(head[:, CUTOFFS[0] + i, None] * softmax(inner))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("head_bias", [False, True])
def test_probabilities(head_bias: bool) -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(
        FEATURES, CLASSES, CUTOFFS, 2.0, head_bias, dtype=samara.float64
    )
    x = np.random.default_rng(0).normal(size=(9, FEATURES))
    expected = probabilities(layer, x)
    np.testing.assert_allclose(expected.sum(1), 1.0)
    given = samara.tensor(x)
    np.testing.assert_allclose(layer.log_prob(given).exp().detach().numpy(), expected, rtol=1e-10)
    np.testing.assert_array_equal(layer.predict(given).numpy(), expected.argmax(1))
    for target in (np.arange(9) * 2, np.zeros(9, np.int64), np.full(9, 19)):
        found = layer(given, samara.tensor(target))
        chosen = np.log(expected[np.arange(9), target])
        np.testing.assert_allclose(found.output.detach().numpy(), chosen, rtol=1e-10)
        np.testing.assert_allclose(found.loss.item(), -chosen.mean(), rtol=1e-10)
    one = layer(given[4], samara.tensor(8))
    assert one.output.shape == () and abs(one.output.item() - np.log(expected[4, 8])) < 1e-10


def test_gradients() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(FEATURES, CLASSES, CUTOFFS, 2.0, dtype=samara.float64)
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(6, FEATURES)), np.array([0, 2, 4, 9, 13, 19])
    leaf = samara.tensor(x, requires_grad=True)
    layer(leaf, samara.tensor(target)).loss.backward()
    direction, step = rng.normal(size=x.shape), 1e-6

    def loss(x: Any) -> Any:
        return -np.log(probabilities(layer, x)[np.arange(6), target]).mean()

    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    np.testing.assert_allclose((leaf.grad.numpy() * direction).sum(), slope, rtol=1e-6)
    assert all(p.grad is not None for p in layer.parameters())


def test_names_and_sizes_are_pytorchs() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(16, 20, [3, 7], head_bias=True)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes == {
        "head.weight": (5, 16),
        "head.bias": (5,),
        "tail.0.0.weight": (4, 16),
        "tail.0.1.weight": (4, 4),
        "tail.1.0.weight": (1, 16),
        "tail.1.1.weight": (13, 1),
    }
    before = layer.head.weight.detach().numpy().copy()
    layer.reset_parameters()
    assert (layer.head.weight.detach().numpy() != before).any()


def test_what_does_not_fit() -> None:
    for cutoffs in ([], [0, 3], [5, 3], [3, 3], [3, 20], [21]):
        with pytest.raises(ArgumentError, match=r"cutoffs are .* for 20 classes"):
            nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs)
    layer = nn.AdaptiveLogSoftmaxWithLoss(16, 20, [3])
    with pytest.raises(ShapeError, match=r"Expected \[N, 16\] and \[N\]"):
        layer(samara.ones(2, 16), samara.tensor([0]))
    with pytest.raises(ShapeError, match=r"Expected \[N, 16\] and \[N\]"):
        layer(samara.ones(2, 4), samara.tensor([0, 1]))
    for wrong in (-1, 20):
        with pytest.raises(IndexOutOfRangeError, match=f"the target holds {wrong}"):
            layer(samara.ones(2, 16), samara.tensor([0, wrong]))
