"""Losses beyond the records' checks: the words of label errors, PyTorch's semantics, threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    before = samara.thread_count()
    yield
    samara.set_thread_count(before)


def logits(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def log_softmax(x: Array, axis: int = 1) -> Array:
    wide = x.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(axis=axis, keepdims=True))


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [samara.cross_entropy, samara.nll_loss])
@pytest.mark.parametrize("label", [4, -1, 2**40])
def test_a_label_out_of_range_names_row_value_and_range(loss: Any, label: int) -> None:
    target = samara.tensor([0, 1, label, 3])
    with pytest.raises(IndexOutOfRangeError) as caught:
        loss(samara.zeros(4, 4), target)
    message = str(caught.value)
    assert f"the label of row 2 is {label}, and there are 4 classes" in message
    assert "Expected 0 to 3" in message
    assert isinstance(caught.value, IndexError)


def test_labels_from_1_to_k_are_recognised() -> None:
    with pytest.raises(IndexOutOfRangeError, match="look like 1 to 3, so subtract 1: target - 1"):
        samara.cross_entropy(samara.zeros(4, 3), samara.tensor([1, 2, 3, 1]))
    with pytest.raises(IndexOutOfRangeError, match="give the model 4 outputs"):
        samara.cross_entropy(samara.zeros(4, 3), samara.tensor([0, 2, 3, 1]))


def test_a_label_in_an_image_is_named_by_its_position() -> None:
    target = np.zeros((2, 5, 6), dtype=np.int64)
    target[1, 2, 3] = 9
    with pytest.raises(IndexOutOfRangeError, match=r"the label at \(1, 2, 3\) is 9"):
        samara.cross_entropy(samara.zeros(2, 4, 5, 6), samara.asarray(target))


def test_labels_may_have_any_integer_dtype() -> None:
    x = samara.asarray(logits(3, 4))
    expected = samara.cross_entropy(x, samara.tensor([3, 0, 1])).item()
    for dtype in (samara.uint8, samara.int16, samara.int32):
        assert samara.cross_entropy(x, samara.tensor([3, 0, 1], dtype=dtype)).item() == expected
    with pytest.raises(DTypeError, match=r"target.to\(samara.int64\)"):
        samara.cross_entropy(x, samara.tensor([3.0, 0.0, 1.0]))


def test_shapes_that_do_not_fit_name_both() -> None:
    x = samara.zeros(3, 4)
    with pytest.raises(ShapeError, match=r"\(3, 4\) and the labels have shape \(3, 1\)"):
        samara.cross_entropy(x, samara.tensor([[0], [1], [2]]))
    with pytest.raises(ShapeError, match=r"the probabilities have shape \(3, 5\)"):
        samara.cross_entropy(x, samara.zeros(3, 5))
    with pytest.raises(ArgumentError, match=r"label_smoothing is 1\.5"):
        samara.cross_entropy(x, samara.tensor([0, 1, 2]), label_smoothing=1.5)


# --- PyTorch's semantics --------------------------------------------------------------------------


def test_the_mean_divides_by_the_weights_of_the_labels_that_count() -> None:
    x = logits(6, 3)
    labels = np.array([0, 2, -100, 1, -100, 2])
    weight = np.array([0.5, 1.0, 3.0], dtype=np.float32)
    rows = [i for i, label in enumerate(labels) if label >= 0]
    costs = [-weight[labels[i]] * log_softmax(x)[i, labels[i]] for i in rows]
    expected = sum(costs) / sum(weight[labels[i]] for i in rows)
    loss = samara.cross_entropy(samara.asarray(x), samara.asarray(labels), samara.asarray(weight))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_nothing_to_average_is_nan_and_sums_to_zero() -> None:
    x, labels = samara.asarray(logits(2, 3)), samara.tensor([-100, -100])
    assert np.isnan(samara.cross_entropy(x, labels).item())
    assert samara.cross_entropy(x, labels, reduction="sum").item() == 0.0


def test_ignored_rows_get_no_gradient_even_from_bad_logits() -> None:
    x = samara.tensor([[1.0, 2.0], [float("inf"), float("nan")]], requires_grad=True)
    samara.cross_entropy(x, samara.tensor([0, -100])).backward()
    assert x.grad[1].tolist() == [0.0, 0.0]
    assert np.isfinite(x.grad[0].numpy()).all()


def test_one_hot_probabilities_equal_labels() -> None:
    x, labels = logits(7, 5), np.array([0, 4, 2, 2, 1, 3, 0])
    hot = np.eye(5, dtype=np.float32)[labels]
    for smoothing in (0.0, 0.2):
        pair = []
        for target in (labels, hot):
            t = samara.asarray(x).requires_grad_()
            loss = samara.cross_entropy(t, samara.asarray(target), label_smoothing=smoothing)
            loss.backward()
            pair.append((loss.item(), t.grad.numpy()))
        assert pair[0][0] == pytest.approx(pair[1][0], rel=1e-6)
        np.testing.assert_allclose(pair[0][1], pair[1][1], atol=1e-7)


@pytest.mark.parametrize("shape", [(40, 10), (5, 100), (3, 700), (2, 6, 3, 4)])
def test_the_gradient_is_softmax_minus_one_hot(shape: tuple[int, ...]) -> None:
    x = logits(*shape)
    labels = np.random.default_rng(1).integers(0, shape[1], size=(shape[0], *shape[2:]))
    t = samara.asarray(x).requires_grad_()
    samara.cross_entropy(t, samara.asarray(labels)).backward()
    hot = np.moveaxis(np.eye(shape[1])[labels], -1, 1)
    expected = (np.exp(log_softmax(x)) - hot) / labels.size
    np.testing.assert_allclose(t.grad.numpy(), expected, atol=2e-7)


def test_large_logits_neither_overflow_nor_lose_digits() -> None:
    x = samara.tensor([[1e4, 0.0], [3e38, 3e38], [-1e4, -1e4 + 1]])
    losses = samara.cross_entropy(x, samara.tensor([0, 1, 0]), reduction="none").numpy()
    np.testing.assert_allclose(losses, [0.0, np.log(2), np.log1p(np.e)], rtol=1e-6)


def test_mixed_precision_losses_take_the_wider_dtype() -> None:
    x, y = samara.ones(3, dtype=samara.float16), samara.zeros(3)
    assert samara.mse_loss(x, y).dtype is samara.float32
    assert samara.mse_loss(samara.ones(3), samara.tensor([1, 1, 3])).item() == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    "loss",
    [
        samara.mse_loss,
        samara.l1_loss,
        samara.smooth_l1_loss,
        samara.huber_loss,
        samara.binary_cross_entropy,
        samara.binary_cross_entropy_with_logits,
    ],
)
def test_losses_never_broadcast(loss: Any) -> None:
    with pytest.raises(ShapeError, match=r"\(32,\).*\(32, 1\).*target\.reshape\(32,\)"):
        loss(samara.zeros(32), samara.zeros(32, 1))
    with pytest.raises(ShapeError, match=r"\(\).*\(3,\)"):
        loss(samara.zeros(()), samara.zeros(3))


def test_smooth_l1_with_beta_0_is_l1() -> None:
    x, y = samara.tensor([1.0, -2.0, 3.0]), samara.tensor([1.0, 2.0, 1.0])
    assert samara.smooth_l1_loss(x, y, beta=0.0).item() == samara.l1_loss(x, y).item()


def test_binary_cross_entropy_is_stable_and_agrees_between_its_forms() -> None:
    x = samara.tensor([-1000.0, 1000.0, 0.3], requires_grad=True)
    target = samara.tensor([1.0, 1.0, 0.25])
    loss = samara.binary_cross_entropy_with_logits(x, target, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy()[:2], [1000.0, 0.0])
    loss.sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy(), [-1.0, 0.0, 1 / (1 + np.exp(-0.3)) - 0.25], atol=1e-6
    )
    p = samara.sigmoid(samara.tensor([0.3]))
    same = samara.binary_cross_entropy(p, target[2:]).item()
    assert same == pytest.approx(loss[2].item(), rel=1e-6)
    assert samara.binary_cross_entropy(samara.zeros(1), samara.ones(1)).item() == 100.0


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "classes"), [(5000, 10), (300, 1000), (2, 200_000)])
def test_cross_entropy_has_the_same_bits_for_any_number_of_threads(rows: int, classes: int) -> None:
    x = logits(rows, classes)
    labels = samara.asarray(np.random.default_rng(1).integers(0, classes, size=rows))
    results = []
    for threads in (1, 2, 5):
        samara.set_thread_count(threads)
        t = samara.asarray(x).requires_grad_()
        loss = samara.cross_entropy(t, labels)
        loss.backward()
        results.append((loss.item(), t.grad.numpy()))
    for loss_value, gradient in results[1:]:
        assert loss_value == results[0][0]
        assert np.array_equal(gradient, results[0][1])


@pytest.mark.parametrize("loss", [samara.mse_loss, samara.l1_loss, samara.huber_loss])
def test_elementwise_losses_of_long_inputs(loss: Any) -> None:
    x, y = logits(300_000), logits(300_000, seed=1)
    expected = loss(samara.asarray(x.astype(np.float64)), samara.asarray(y.astype(np.float64)))
    results = []
    for threads in (1, 3):
        samara.set_thread_count(threads)
        results.append(loss(samara.asarray(x), samara.asarray(y)).item())
    assert results[0] == results[1] == pytest.approx(expected.item(), rel=1e-6)


def test_layer_norm_parameters_have_the_same_gradient_for_any_number_of_threads() -> None:
    x, w = logits(3000, 40), logits(40, seed=1)
    g = logits(3000, 40, seed=2)
    results = []
    for threads in (1, 2, 5):
        samara.set_thread_count(threads)
        weight, bias = (samara.asarray(w).requires_grad_() for _ in range(2))
        y = samara.layer_norm(samara.asarray(x), (40,), weight, bias)
        y.backward(samara.asarray(g))
        results.append((weight.grad.numpy(), bias.grad.numpy()))
    for pair in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(pair, results[0], strict=True))
    np.testing.assert_allclose(results[0][1], g.astype(np.float64).sum(0), atol=1e-4)
    wide = x.astype(np.float64)
    z = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(results[0][0], (g * z).sum(0), atol=1e-4)
