"""grad, value_and_grad, and derivatives of derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import DTypeError, GradientError, ShapeError
from samara.testing import CheckError, gradcheck


def scalar(value: float) -> samara.Tensor:
    return samara.tensor(value, dtype=samara.float64, requires_grad=True)


def test_grad_of_a_function() -> None:
    slope = samara.grad(lambda x: (x**3).sum())
    x = samara.tensor([1.0, 2.0])
    assert slope(x).tolist() == [3.0, 12.0]
    assert x.grad is None and not slope(x).requires_grad


def test_derivatives_of_all_orders() -> None:
    def f(x: Any) -> Any:
        return x**5

    x = samara.tensor(2.0, dtype=samara.float64)
    expected = [5 * 16.0, 20 * 8.0, 60 * 4.0, 120 * 2.0, 120.0]
    for order in range(5):
        function = f
        for _ in range(order + 1):
            function = samara.grad(function)
        assert function(x).item() == pytest.approx(expected[order], rel=1e-13)


def test_value_and_grad_of_several_arguments() -> None:
    run = samara.value_and_grad(lambda x, y, k: (x * y * k).sum(), argnums=(0, 1))
    value, (dx, dy) = run(samara.tensor([1.0, 2.0]), samara.tensor([3.0, 4.0]), k=2.0)
    assert value.item() == 22.0
    assert dx.tolist() == [6.0, 8.0] and dy.tolist() == [2.0, 4.0]


def test_an_argument_without_influence_has_gradient_zero() -> None:
    run = samara.grad(lambda x, y: x.sum(), argnums=1)
    assert run(samara.ones(2), samara.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_misused_functions() -> None:
    x = samara.ones(2)
    with pytest.raises(ShapeError, match=r"shape \(2,\).*Expected a scalar"):
        samara.grad(lambda x: x * 2)(x)
    with pytest.raises(GradientError, match=r"float.*\.item\(\)"):
        samara.grad(lambda x: x.sum().item())(x)
    with pytest.raises((DTypeError, GradientError), match="is a float"):
        samara.grad(lambda x: x)(1.0)


def test_grad_of_tensors() -> None:
    x, y = scalar(2.0), scalar(3.0)
    z = x * x * y
    dx, dy = samara.grad(z, [x, y])
    assert (dx.item(), dy.item()) == (12.0, 4.0)
    assert x.grad is None
    w = samara.tensor([1.0], requires_grad=True)
    with pytest.raises(GradientError, match=r"input 1.*allow_unused"):
        samara.grad(x * 2, [x, w])
    assert samara.grad(x * 2, [x, w], allow_unused=True)[1] is None


def test_grad_by_an_intermediate_tensor() -> None:
    x = scalar(2.0)
    y = x * 3
    assert samara.grad((y * y).sum(), y)[0].item() == 12.0


def test_hessian_of_a_small_network() -> None:
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(6, 3)), rng.normal(size=(3, 4))

    def loss(x: Any) -> Any:
        hidden = samara.tanh(x @ samara.tensor(w))
        return (samara.softmax(hidden, axis=-1) ** 2).sum() + samara.logsumexp(hidden)

    x = samara.tensor(a, requires_grad=True)
    (first,) = samara.grad(loss(x), x, create_graph=True)
    direction = rng.normal(size=a.shape)
    (product,) = samara.grad((first * samara.tensor(direction)).sum(), x)
    step = 1e-5

    def slope(at: Any) -> Any:
        return samara.grad(loss)(samara.tensor(at)).numpy()

    numeric = (slope(a + step * direction) - slope(a - step * direction)) / (2 * step)
    np.testing.assert_allclose(product.numpy(), numeric, rtol=1e-6, atol=1e-9)


def test_gradient_penalty() -> None:
    """The gradient of a gradient's norm, as used in penalties, by its closed form."""
    a = np.array([1.0, 2.0, -2.0])
    x = samara.tensor(a, requires_grad=True)
    (g,) = samara.grad((x**3).sum(), x, create_graph=True)
    (g**2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 36 * a**3, rtol=1e-13)


def test_create_graph_accumulates_into_a_graph() -> None:
    x = scalar(2.0)
    (x**3).backward(create_graph=True)
    assert x.grad is not None and x.grad.requires_grad
    (second,) = samara.grad(x.grad, x)
    assert second.item() == 12.0
    x.grad = None


def test_second_order_through_views_and_in_place_edits() -> None:
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = samara.tensor(a, requires_grad=True)
    y = x * x
    y[0].add_(x[1] ** 3)
    weights = np.array([[1.0, 100.0], [10.0, 1000.0]])
    (g,) = samara.grad((y.T * samara.tensor(weights.T)).sum(), x, create_graph=True)
    g.sum().backward()
    expected = 2 * weights
    expected[1] += weights[0] * 6 * a[1]
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-13)


def test_complex_gradient_points_up_the_real_loss() -> None:
    z = samara.tensor([1.0 + 2.0j, -0.5j], dtype=samara.complex128, requires_grad=True)
    samara.real(z * z.conj()).sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), 2 * np.array([1.0 + 2.0j, -0.5j]))


# --- the checker itself --------------------------------------------------------------------------


def test_gradcheck_finds_a_wrong_gradient() -> None:
    def off_by_a_factor(x: Any) -> Any:
        return x * x.detach()  # claims the slope x where it is 2 x

    with pytest.raises(CheckError, match="first derivative"):
        gradcheck(off_by_a_factor, [np.array([1.0, 2.0])])


def test_gradcheck_finds_a_wrong_second_derivative() -> None:
    def cube(x: Any) -> Any:
        at = x.detach()
        return (x - at) * (3 * at * at) + at**3  # the right slope, recorded as a constant

    with pytest.raises(CheckError, match="second derivative"):
        gradcheck(cube, [np.array([1.0, 2.0])])


def test_gradcheck_leaves_kinks_and_poles_out() -> None:
    report = gradcheck(lambda x: x.relu(), [np.array([-1.0, 0.0, 2.0, np.nan, np.inf])])
    assert report.outputs == 2 and report.total == 5
    report = gradcheck(lambda x: x.sqrt(), [np.array([0.0, 4.0, -1.0])])
    assert report.outputs == 1


def test_gradcheck_asks_for_doubles() -> None:
    with pytest.raises(DTypeError, match="float32"):
        gradcheck(lambda x: x, [np.ones(2, np.float32)])
    with pytest.raises(CheckError, match="do not require grad"):
        gradcheck(lambda x: x.detach(), [np.ones(2)])


def test_a_hook_on_an_intermediate_tensor_changes_what_grad_returns() -> None:
    x = scalar(1.0)
    h = x * 2
    h.register_hook(lambda g: g * 10)
    first, second = samara.grad(h * h, [h, x])
    assert first.item() == 40.0 and second.item() == 80.0


def test_grad_leaves_alone_what_leads_to_no_input() -> None:
    x = scalar(3.0)
    h = x * x
    assert samara.grad(h * 1.0, [x])[0].item() == 6.0  # frees the graph behind h
    assert samara.grad(h * h, [h])[0].item() == 18.0  # which is not needed here
    y = scalar(2.0)
    loss = (y * y) * (x * x)
    frozen = x * x
    assert samara.grad(loss, [y], retain_graph=True)[0].item() == 36.0
    assert samara.grad(loss, [x])[0].item() == 24.0
    assert samara.grad(frozen.unsqueeze(0).expand(3).sum(), [frozen])[0].item() == 3.0


def test_pytorchs_keywords() -> None:
    x, w = samara.tensor([1.0, 2.0], requires_grad=True), samara.ones(2, requires_grad=True)
    (found,) = samara.autograd.grad(
        outputs=x * x, inputs=x, grad_outputs=samara.tensor([1.0, 3.0]), only_inputs=True
    )
    assert found.tolist() == [2.0, 12.0]
    first, second = samara.grad((x * x).sum(), [x, w], materialize_grads=True)
    assert first.tolist() == [2.0, 4.0] and second.tolist() == [0.0, 0.0]
    with pytest.raises(NotImplementedError, match="is_grads_batched=True"):
        samara.grad(x * x, x, is_grads_batched=True)
    with pytest.raises(samara.errors.DTypeError, match="nothing to differentiate"):
        samara.grad()
