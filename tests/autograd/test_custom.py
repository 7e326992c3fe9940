"""Functions with gradients of their own, against NumPy and the same in operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara.autograd import Function, Variable, once_differentiable
from samara.errors import ArgumentError, GradientError, ShapeError, UnsupportedError


class Cubed(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return factor * x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * ctx.factor * g * x**2, None


class Exponential(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


class Parts(Function):
    """PyTorch's newer form: floor and rest of x + y."""

    @staticmethod
    def forward(x: Any, y: Any) -> Any:
        return (x + y).floor(), (x + y) - (x + y).floor(), "text"

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[0])
        ctx.seen = []

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        Parts.last = gradients
        return gradients[-1], 2 * gradients[-1]

    last: Any = None


class Reversed(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return -g


X = np.array([0.5, -1.0, 2.0])


def leaf() -> Any:
    return samara.tensor(X, requires_grad=True)


def test_first_and_second_order() -> None:
    x = leaf()
    y = Cubed.apply(x * 1.0, 2.0)
    np.testing.assert_allclose(y.detach().numpy(), 2 * X**3)
    (first,) = samara.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), 6 * X**2)
    (second,) = samara.grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), 12 * X)


def test_outputs_may_be_saved() -> None:
    x = leaf()
    y = Exponential.apply(x)
    (first,) = samara.grad(y.sum(), x, create_graph=True)
    (second,) = samara.grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), np.exp(X))
    # Without the output there is no way back to the input: an error, no wrong number.
    loss = Exponential.apply(x).sum()
    with pytest.raises(GradientError, match="save the inputs"):
        samara.grad(loss, x, create_graph=True)
    loss = Exponential.apply(x).sum()
    np.testing.assert_allclose(samara.grad(loss, x)[0].numpy(), np.exp(X))


def test_several_outputs_and_arguments() -> None:
    x, y = leaf(), leaf()
    whole, rest, text = Parts.apply(x, y)
    assert text == "text" and not whole.requires_grad and rest.requires_grad
    (3 * rest).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3, 3])
    np.testing.assert_array_equal(y.grad.numpy(), [6, 6, 6])
    # An argument that needs nothing is left out.
    constant = samara.tensor(X)
    Parts.apply(constant, y)[1].sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), [8, 8, 8])
    assert constant.grad is None


def test_a_gradient_that_turns_around() -> None:
    x = leaf()
    (Reversed.apply(x * 2) * samara.tensor(X)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), -2 * X)
    with samara.no_grad():
        assert not Reversed.apply(x).requires_grad
    assert not Reversed.apply(samara.tensor(X)).requires_grad


@pytest.mark.parametrize("materialize", [True, False])
def test_missing_gradients(materialize: bool) -> None:
    seen: list[Any] = []

    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(materialize)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            seen.append(b)
            return a

    Two.apply(leaf())[0].sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), [0, 0, 0])


def test_what_does_not_fit() -> None:
    def function(answer: Any) -> Any:
        class Wrong(Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                return x + y

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return answer(g)

        return Wrong.apply(leaf(), leaf()).sum()

    with pytest.raises(GradientError, match=r"Wrong\.backward: 1 gradients returned for 2"):
        function(lambda g: g).backward()
    with pytest.raises(ShapeError, match=r"the gradient of argument 1 has shape \(\)"):
        function(lambda g: (g, g.sum())).backward()
    with pytest.raises(NotImplementedError, match="backward is missing"):

        class Half(Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x * 1

        Half.apply(leaf()).sum().backward()
    with pytest.raises(NotImplementedError, match="forward is missing"):
        Function.apply(leaf())


def test_saved_tensors_are_guarded() -> None:
    x = leaf()
    inner = samara.tensor(X)

    class Keeps(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(inner, None)
            return x * inner

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            kept, nothing = ctx.saved_tensors
            assert nothing is None
            return g * kept

    y = Keeps.apply(x)
    inner.add_(1.0)
    with pytest.raises(GradientError, match="changed in place since"):
        y.sum().backward()
    context = samara.autograd.custom.Context((True,))
    with pytest.raises(ArgumentError, match="received int"):
        context.save_for_backward(3)
    with pytest.raises(UnsupportedError, match="mark_dirty"):
        context.mark_dirty(x)


def test_first_order_only() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = leaf()
    Once.apply(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    with pytest.raises(GradientError, match="gradients of first order"):
        samara.grad(Once.apply(x).sum(), x, create_graph=True)


def test_memory_goes_with_the_graph() -> None:
    before = len(samara.autograd.custom._calls)
    y = Cubed.apply(leaf(), 1.0)
    assert len(samara.autograd.custom._calls) == before + 1
    del y
    assert len(samara.autograd.custom._calls) == before


def test_backward_of_several_tensors() -> None:
    x, w = leaf(), leaf()
    samara.autograd.backward([(x * w).sum(), w], [None, samara.tensor(X)])
    np.testing.assert_allclose(x.grad.numpy(), X)
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)
    samara.autograd.backward((x * w).sum(), inputs=[x])
    np.testing.assert_allclose(x.grad.numpy(), 2 * X)
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)
    with pytest.raises(ArgumentError, match="inputs is empty"):
        samara.autograd.backward(x.sum(), inputs=[])
    assert Variable(x) is x and Variable(samara.ones(1), requires_grad=True).requires_grad
