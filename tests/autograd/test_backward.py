"""The tape: what backward computes, what it refuses, and how deep it can go."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import DTypeError, GradientError, ShapeError


def leaf(*values: float) -> samara.Tensor:
    return samara.tensor(list(values), dtype=samara.float64, requires_grad=True)


def grad_of(x: samara.Tensor) -> Any:
    assert x.grad is not None
    return x.grad.tolist()


def test_chain_rule() -> None:
    x = leaf(0.5, -1.0, 2.0)
    (x.exp() * x).sum().backward()
    value = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(grad_of(x), np.exp(value) * (1 + value), rtol=1e-14)
    assert x.grad is not None and x.grad.dtype is samara.float64 and not x.grad.requires_grad


def test_a_tensor_used_many_times() -> None:
    x = leaf(3.0)
    y = x * x
    (y * x + y + x).sum().backward()
    assert grad_of(x) == [3 * 9.0 + 2 * 3.0 + 1]


def test_diamond_is_walked_once_per_node() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2 ** 60 paths
        y = y + y
    y.sum().backward()
    assert grad_of(x) == [2.0**60]


def test_gradients_accumulate_until_cleared() -> None:
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * 2).sum().backward()
    assert grad_of(x) == [6.0, 6.0]
    x.grad = None
    (x * 5).sum().backward()
    assert grad_of(x) == [5.0, 5.0]


def test_accumulation_does_not_reach_other_holders() -> None:
    x, y = leaf(1.0), leaf(2.0)
    (x + y).sum().backward()
    first = x.grad
    (x * 10).sum().backward()
    assert grad_of(y) == [1.0] and grad_of(x) == [11.0]
    assert first is x.grad


def test_a_gradient_given_for_a_non_scalar() -> None:
    x = leaf(1.0, 2.0)
    (x * x).backward(samara.tensor([1.0, 10.0]))
    assert grad_of(x) == [2.0, 40.0]
    with pytest.raises(ShapeError, match=r"shape \(3,\).*shape \(2,\)"):
        (x * x).backward(samara.ones(3))


def test_broadcast_and_promoted_arguments_get_gradients_of_their_own_form() -> None:
    x = samara.ones(3, 1, requires_grad=True)
    y = samara.ones(4, dtype=samara.float64, requires_grad=True)
    z = samara.tensor(2.0, dtype=samara.float16, requires_grad=True)
    (x * y * z).sum().backward()
    for t, shape, total in ((x, (3, 1), 24.0), (y, (4,), 24.0), (z, (), 12.0)):
        assert t.grad is not None
        assert t.grad.shape == shape and t.grad.dtype is t.dtype
        assert t.grad.to(samara.float64).sum().item() == total


def test_integers_and_comparisons_stop_gradients() -> None:
    x = leaf(1.0, -2.0)
    assert not (x > 0).requires_grad and not x.to(samara.int64).requires_grad
    assert not samara.argmax(x).requires_grad
    samara.where(x > 0, x, x * 3).sum().backward()
    assert grad_of(x) == [1.0, 3.0]


# --- what is refused -----------------------------------------------------------------------------


def test_backward_on_a_non_scalar() -> None:
    with pytest.raises(ShapeError, match=r"shape \(2,\).*Expected a scalar.*Fix: reduce it"):
        (leaf(1.0, 2.0) * 2).backward()


def test_backward_without_a_graph() -> None:
    with pytest.raises(GradientError, match=r"does not require grad.*Expected .*Fix: "):
        samara.ones(1).sum().backward()
    with samara.no_grad():
        loss = leaf(1.0).sum()
    with pytest.raises(GradientError, match="no_grad"):
        loss.backward()


def test_a_freed_graph() -> None:
    x = leaf(2.0)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert grad_of(x) == [8.0]
    with pytest.raises(GradientError, match=r"freed by an earlier backward.*retain_graph=True"):
        loss.backward()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers_have_no_gradient(dtype: str) -> None:
    kind = getattr(samara, dtype)
    for make in (
        lambda: samara.ones(2, dtype=kind).requires_grad_(),
        lambda: samara.tensor([1, 0], dtype=kind, requires_grad=True),
        lambda: samara.zeros(2, dtype=kind, requires_grad=True),
    ):
        with pytest.raises(DTypeError, match=rf"dtype {dtype} has no gradient.*Fix: convert"):
            make()


def test_only_a_leaf_can_stop_requiring_a_gradient() -> None:
    y = leaf(1.0) * 2
    with pytest.raises(GradientError, match=r"'multiply'.*detach\(\)"):
        y.requires_grad = False
    x = leaf(1.0)
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_a_gradient_of_another_form_cannot_be_assigned() -> None:
    x = leaf(1.0, 2.0)
    for wrong in (samara.ones(3), samara.ones(2)):
        with pytest.raises(ShapeError, match=r"Expected the same shape, dtype and device"):
            x.grad = wrong
    with pytest.raises(DTypeError, match="Expected a tensor"):
        x.grad = [1.0, 2.0]


# --- modes ---------------------------------------------------------------------------------------


def test_no_grad_as_block_and_decorator() -> None:
    x = leaf(1.0)

    @samara.no_grad()
    def double(t: samara.Tensor) -> samara.Tensor:
        return t * 2

    @samara.no_grad
    def triple(t: samara.Tensor) -> samara.Tensor:
        return t * 3

    assert not double(x).requires_grad and not triple(x).requires_grad
    assert (x * 2).requires_grad
    with samara.no_grad():
        with samara.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    with pytest.raises(ValueError, match="inside"), samara.no_grad():
        raise ValueError("inside")
    assert samara.is_grad_enabled()
    with samara.set_grad_enabled(False):
        assert not samara.is_grad_enabled()
    assert samara.is_grad_enabled()


def test_detach_cuts_the_graph() -> None:
    x = leaf(3.0)
    y = x * 2
    (y.detach() * x).sum().backward()
    assert grad_of(x) == [6.0]
    assert y.detach().data_ptr() == y.data_ptr()


# --- hooks ---------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y * y).sum().backward(retain_graph=True)
    assert seen == [[6.0, 12.0]]
    assert grad_of(x) == [181.0, 361.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (y * y).sum().backward()
    assert grad_of(x) == [19.0, 37.0]


def test_a_leaf_hook_runs_once_on_the_whole_gradient() -> None:
    x = leaf(2.0)
    seen: list[float] = []
    with x.register_hook(lambda g: seen.append(g.item())):
        (x * x + x * 5).sum().backward()
    assert seen == [9.0]
    (x * 1).sum().backward()
    assert len(seen) == 1


def test_bad_hooks() -> None:
    x = leaf(1.0, 2.0)
    with x.register_hook(lambda g: g.sum()), pytest.raises(GradientError, match="gradient hook"):
        (x * 2).sum().backward()
    with pytest.raises(GradientError, match="does not require grad"):
        samara.ones(1).register_hook(print)

    def broken(g: samara.Tensor) -> None:
        raise RuntimeError("broken hook")

    x.register_hook(broken)
    with pytest.raises(RuntimeError, match="broken hook"):
        (x * 2).sum().backward()


# --- in-place edits ------------------------------------------------------------------------------


def test_an_edit_after_saving_is_named_with_its_line() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    loss = (y * y).sum()
    y.add_(1.0)  # the line that the message names
    source = Path(__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "the line that the message" in text)
    with pytest.raises(
        GradientError, match=rf"'multiply'.*changed in place.*test_backward.py:{line}.*Fix: "
    ):
        loss.backward()


@pytest.mark.parametrize(
    "edit",
    [
        lambda y: y.__setitem__(0, 5.0),
        lambda y: y[1:].mul_(2.0),
        lambda y: y.T.copy_(samara.zeros(2, dtype=samara.float64)),
        lambda y: y.detach().fill_(0.0),
        lambda y: y.data.zero_(),
        lambda y: y.__iadd__(1.0),
    ],
)
def test_any_write_to_saved_memory_is_noticed(edit: Any) -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    loss = (y * y).sum()
    with samara.no_grad():
        edit(y)
    with pytest.raises(GradientError, match="changed in place"):
        loss.backward()


def test_an_edit_of_what_nobody_saved_is_fine() -> None:
    x = leaf(1.0, 2.0)
    w = samara.tensor([2.0, 4.0], dtype=samara.float64)
    y = x * 3
    loss = (y * w * 2 / w + 1).sum()
    with samara.no_grad():
        y.zero_()
    loss.backward()
    assert grad_of(x) == [6.0, 6.0]


def test_in_place_operations_are_differentiated() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.add_(x)
    y -= 1
    y.mul_(2.0).div_(samara.tensor([1.0, 2.0], dtype=samara.float64))
    y.exp_()
    y.sum().backward()
    np.testing.assert_allclose(grad_of(x), np.exp([4.0, 5.0]) * [6, 3], rtol=1e-14)


def test_an_edit_that_overwrites_what_its_own_gradient_reads() -> None:
    """The gradient needs the y of before, of which the edit keeps a copy."""
    edits = {
        "a product": (lambda y, x: y.mul_(x), [4.0, 8.0]),
        "a product of a view": (lambda y, x: y[1:].mul_(x[1:]), [2.0, 8.0]),
        "a power": (lambda y, x: y.pow_(2.0), [8.0, 16.0]),
        "a product with itself": (lambda y, x: y.mul_(y), [8.0, 16.0]),
    }
    for name, (edit, expected) in edits.items():
        x = leaf(1.0, 2.0)
        y = x * 2
        edit(y, x)
        y.sum().backward()
        np.testing.assert_allclose(grad_of(x), expected, rtol=1e-14, err_msg=name)


def test_frozen_factors_keep_nothing_alive() -> None:
    """x is kept for the gradient of the weight only, so not at all when the weight is frozen."""
    weight = samara.ones(300, 300)
    x = samara.ones(300, 300, requires_grad=True)
    live = samara.memory_statistics()["live_bytes"]
    y = x * 1.0
    for _ in range(5):
        y = samara.linear((y * 2.0) @ weight, weight) / 2.0
    assert samara.memory_statistics()["live_bytes"] - live < 2 * x.nbytes
    (slope,) = samara.grad(y.sum(), x, create_graph=True)
    assert slope.requires_grad is False or slope.shape == x.shape


def test_writing_through_a_view_reaches_the_base() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    y = x * 2
    y[1:2].copy_(v * v)
    first = y[:1]
    first.add_(x[2:])
    (y * samara.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert grad_of(x) == [2.0, 0.0, 201.0]
    assert grad_of(v) == [200.0]


def test_reading_a_view_made_before_a_write() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[1:]
    y.add_(x)
    view.sum().backward()
    assert view.tolist() == [6.0]
    assert grad_of(x) == [0.0, 3.0]


def test_assignment_is_differentiated() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * 2
    y[1] = v[0] * v[0]
    y[[0]] = x[2:]
    (y * samara.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert grad_of(x) == [0.0, 0.0, 201.0]
    assert grad_of(v) == [100.0]


def test_a_buffer_filled_row_by_row() -> None:
    x = leaf(1.0, 2.0)
    rows = samara.zeros(3, 2, dtype=samara.float64)
    for i in range(3):
        rows[i] = x * i
    assert rows.requires_grad
    (rows * rows).sum().backward()
    assert grad_of(x) == [10.0, 20.0]


def test_leaves_are_not_edited_while_recording() -> None:
    x = leaf(1.0, 2.0)
    for edit in (lambda: x.add_(1.0), lambda: x[0].zero_(), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(GradientError, match=r"leaf that requires grad.*no_grad"):
            edit()
    with samara.no_grad():
        x.add_(1.0)
    assert x.tolist() == [2.0, 3.0] and x.is_leaf and x.requires_grad


def test_an_integer_target_cannot_take_a_gradient() -> None:
    counts = samara.zeros(2, dtype=samara.int64)
    with pytest.raises(DTypeError, match=r"int64 tensor.*Fix: convert the target"):
        counts.copy_(leaf(1.0, 2.0))


# --- depth and lifetime --------------------------------------------------------------------------


def test_a_chain_of_200000_operations() -> None:
    x = samara.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1.0
    y.backward()
    assert x.grad is not None and x.grad.item() == 1.0
    loss = y * 2
    del y, loss
    gc.collect()


def test_a_deep_chain_is_freed_without_backward() -> None:
    before = samara.memory_statistics()["live_bytes"]
    x = samara.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y * 1.0
    assert samara.memory_statistics()["live_bytes"] > before
    del x, y
    gc.collect()
    assert samara.memory_statistics()["live_bytes"] == before


def test_graphs_do_not_leak() -> None:
    x = leaf(1.0, 2.0)
    reference = weakref.ref(x)
    y = (x.tanh() * x).sum()
    (slope,) = samara.grad(y, x, create_graph=True)
    slope.sum().backward()
    x.grad = None
    del x, y, slope
    gc.collect()
    assert reference() is None


def test_backward_inputs() -> None:
    x, y = leaf(2.0), leaf(3.0)
    (x * y).sum().backward(inputs=[x])
    assert grad_of(x) == [3.0] and y.grad is None


def test_a_view_made_under_no_grad_is_not_edited_while_recording() -> None:
    y = leaf(1.0, 2.0) * 2
    with samara.no_grad():
        view = y[:1]
        nested = view[:]
        copied = y.T.clone()[:1]
        view.mul_(2.0)
    for target in (view, nested):
        with pytest.raises(GradientError, match="no_grad"):
            target.mul_(leaf(3.0))
    copied.mul_(leaf(3.0))
    assert y.tolist() == [4.0, 4.0]


def test_a_stale_view_of_a_permuted_result_is_an_error() -> None:
    y = samara.ones(3, 4).requires_grad_().T * 2
    view = y[:1]
    y.mul_(2)
    with pytest.raises(GradientError, match="contiguous"):
        _ = view.is_leaf


@pytest.mark.parametrize("name", ["floor_", "sign_", "round_", "bernoulli_", "normal_", "zero_"])
def test_an_in_place_operation_without_gradient_ends_the_history(name: str) -> None:
    x = leaf(0.25, 0.5)
    y = x * 3
    getattr(y[1:], name)()
    y.sum().backward()
    assert grad_of(x) == [3.0, 0.0]
    z = leaf(0.25, 0.5)
    y = z * 0.5
    getattr(y, name)()
    (y + z).sum().backward()
    assert grad_of(z) == [1.0, 1.0]
