"""Activation checkpointing: the values and gradients of the plain call, with less memory."""

import gc
import threading

import numpy as np
import pytest

import samara
from samara import nn
from samara.autograd import checkpoint_sequential
from samara.errors import ArgumentError, GradientError


def gradients(run, tensors):
    """What run() leaves in the tensors' grad, as NumPy arrays."""
    for tensor in tensors:
        tensor.grad = None
    value = run()
    value.backward()
    return [value.item()] + [None if t.grad is None else t.grad.numpy().copy() for t in tensors]


def same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4), nn.Dropout(0.4), nn.Tanh())


def test_gradients_reach_arguments_and_parameters(model):
    x = samara.randn(5, 4, requires_grad=True)
    tensors = [x, *model.parameters()]
    model.eval()
    plain = gradients(lambda: model(x.sin()).square().sum(), tensors)
    kept = gradients(lambda: samara.checkpoint(model, x.sin()).square().sum(), tensors)
    same(plain, kept)
    assert all(abs(g).max() > 0 for g in kept[1:])


def test_the_random_numbers_are_repeated(model):
    x = samara.randn(50, 4, requires_grad=True)
    tensors = [x, *model.parameters()]
    state = samara.random.get_state()
    plain = gradients(lambda: model(x).square().sum(), tensors)
    after = samara.random.get_state()
    samara.random.set_state(state)
    kept = gradients(lambda: samara.checkpoint(model, x).square().sum(), tensors)
    same(plain, kept)
    assert samara.random.get_state() == after


def test_other_random_numbers_when_asked(model):
    x = samara.randn(50, 4, requires_grad=True)
    first = samara.checkpoint(model, x, preserve_rng_state=False)
    samara.rand(3)
    first.sum().backward()
    # In the columns of the last layer a dropped value has no gradient: another mask was drawn.
    inner = nn.Dropout(0.5)
    y = samara.ones(200, requires_grad=True)
    z = samara.checkpoint(inner, y, preserve_rng_state=False)
    z.sum().backward()
    assert (z.detach().numpy() != y.grad.numpy()).any()
    y.grad = None
    z = samara.checkpoint(inner, y)
    z.sum().backward()
    np.testing.assert_array_equal(z.detach().numpy(), y.grad.numpy())


def test_nested(model):
    model.eval()
    x = samara.randn(5, 4, requires_grad=True)

    def outer(x):
        return samara.checkpoint(model, samara.checkpoint(model, x * 2) + x)

    tensors = [x, *model.parameters()]
    plain = gradients(lambda: model(model(x * 2) + x).square().sum(), tensors)
    same(plain, gradients(lambda: samara.checkpoint(outer, x).square().sum(), tensors))


def test_second_derivatives():
    x = samara.tensor([0.3, -1.2], dtype=samara.float64, requires_grad=True)
    w = samara.tensor([1.5, 0.5], dtype=samara.float64, requires_grad=True)
    y = samara.checkpoint(lambda a: (a.sin() * w * a).sum(), x * 2)
    (slope,) = samara.grad(y, x, create_graph=True)
    slope.sum().backward()
    a, v = 2 * x.detach().numpy(), w.detach().numpy()
    np.testing.assert_allclose(slope.detach().numpy(), 2 * v * (np.sin(a) + a * np.cos(a)))
    np.testing.assert_allclose(x.grad.numpy(), 4 * v * (2 * np.cos(a) - a * np.sin(a)))
    np.testing.assert_allclose(w.grad.numpy(), 2 * (np.sin(a) + a * np.cos(a)))


def test_structures_keywords_and_several_results():
    a, b, c = (samara.randn(3, requires_grad=True) for _ in range(3))

    def function(pair, *, more, scale):
        total = pair[0] * pair[1].exp() + more["c"] * scale
        return {"total": total, "largest": total.argmax(), "rest": [pair[0] * 2, "text"]}

    def run(call):
        result = call(function, (a, b), more={"c": c}, scale=3.0)
        assert result["rest"][1] == "text"
        assert result["largest"].dtype == samara.int64
        return (result["total"] * result["rest"][0]).sum()

    plain = gradients(lambda: run(lambda f, *x, **k: f(*x, **k)), [a, b, c])
    same(plain, gradients(lambda: run(samara.checkpoint), [a, b, c]))


def test_a_result_that_nobody_uses_and_an_argument_passed_on():
    x = samara.ones(2, requires_grad=True)
    same_one, twice = samara.checkpoint(lambda x: (x, x * 2), x)
    assert twice.requires_grad
    (same_one * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_without_gradients_it_is_the_plain_call(model):
    x = samara.ones(2, 4)
    with samara.no_grad():
        assert not samara.checkpoint(model, x).requires_grad
    assert not samara.checkpoint(lambda x: x + 1, x).requires_grad
    assert samara.checkpoint(lambda: 7) == 7


def test_memory(model):
    layers = [nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Tanh()) for _ in range(12)]
    x = samara.randn(2000, 64, requires_grad=True)

    def peak(run):
        for layer in layers:
            layer.zero_grad()
        x.grad = None
        gc.collect()
        run().sum().backward()  # the first call makes parameters and gradients
        before = samara.memory_statistics()["live_bytes"]
        samara.reset_peak_memory()
        run().sum().backward()
        return samara.memory_statistics()["peak_live_bytes"] - before

    plain = peak(lambda: nn.Sequential(*layers)(x))
    kept = peak(lambda: checkpoint_sequential(layers, 12, x))
    parts = peak(lambda: checkpoint_sequential(layers, 4, x))
    assert kept < 0.65 * plain
    assert parts < 0.65 * plain


def test_what_was_kept_is_freed():
    x = samara.randn(1000, requires_grad=True)
    samara.checkpoint(lambda x: x.exp().sum(), x)
    gc.collect()
    before = samara.memory_statistics()["live_bytes"]
    for _ in range(4):
        samara.checkpoint(lambda x: x.exp() * 2, x)  # never differentiated
        samara.checkpoint(lambda x: x.exp() * 2, x).sum().backward()
        x.grad = None
    gc.collect()
    assert samara.memory_statistics()["live_bytes"] == before
    from samara.autograd import recompute

    assert len(recompute._parts) == 0


def test_errors_leave_everything_as_it_was():
    x = samara.ones(2, requires_grad=True)

    def fails(x):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        samara.checkpoint(fails, x)
    assert samara.is_grad_enabled()
    calls = []

    def fails_later(x):
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("later")
        return samara.dropout(x, 0.5)

    state = samara.random.get_state()
    y = samara.checkpoint(fails_later, x)
    after = samara.random.get_state()
    assert after != state
    with pytest.raises(ValueError, match="later"):
        y.sum().backward()
    assert samara.is_grad_enabled()
    assert samara.random.get_state() == after
    assert x.grad is None
    assert (x * 2).requires_grad


def test_mistakes_are_named():
    x = samara.ones(2, requires_grad=True)
    hidden = x * 2
    with pytest.raises(GradientError, match="pass it as an argument"):
        samara.checkpoint(lambda x: x * hidden, x)
    with pytest.raises(GradientError, match="pass it as an argument"):
        samara.checkpoint(lambda h: h * hidden, hidden).sum().backward()
    shapes = iter([2, 3])
    y = samara.checkpoint(lambda x: x.sum() * samara.ones(next(shapes)), x)
    with pytest.raises(GradientError, match="when it was repeated"):
        y.sum().backward()
    with pytest.raises(ArgumentError, match="a function and its arguments"):
        samara.checkpoint(x)
    with pytest.raises(ArgumentError, match="3 segments of 2"):
        checkpoint_sequential([samara.exp, samara.log], 3, x)
    with pytest.raises(NotImplementedError, match="context_fn"):
        samara.checkpoint(samara.exp, x, context_fn=lambda: None)
    y = samara.checkpoint(lambda x: x.exp(), x)
    with samara.no_grad():
        x.add_(1.0)
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()


def test_backward_on_another_thread(model):
    x = samara.randn(50, 4, requires_grad=True)
    state = samara.random.get_state()
    plain = gradients(lambda: model(x).square().sum(), [x])
    samara.random.set_state(state)
    x.grad = None
    loss = samara.checkpoint(model, x).square().sum()
    thread = threading.Thread(target=loss.backward)
    thread.start()
    thread.join()
    same(plain[1:], [x.grad.numpy()])
