"""pad against its definition, element by element, and against its shape rules."""

import itertools

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, SamaraError, ShapeError
from samara.nn import functional as F

MODES = ("reflect", "replicate", "circular")


def place(mode, i, size):
    """Which element of a line of `size` stands at place i of the padded line."""
    if mode == "reflect":
        return -i if i < 0 else 2 * (size - 1) - i if i >= size else i
    if mode == "replicate":
        return min(max(i, 0), size - 1)
    return i % size


def padded(x, pad, mode):
    """The definition, one element at a time."""
    ends = [(0, 0)] * (x.ndim - len(pad) // 2) + [
        (pad[2 * k], pad[2 * k + 1]) for k in reversed(range(len(pad) // 2))
    ]
    y = np.zeros([n + a + b for n, (a, b) in zip(x.shape, ends, strict=True)], x.dtype)
    for at in itertools.product(*map(range, y.shape)):
        source = [i - a for i, (a, _) in zip(at, ends, strict=True)]
        if mode == "constant":
            inside = all(0 <= i < n for i, n in zip(source, x.shape, strict=True))
            y[at] = x[tuple(source)] if inside else 7
        else:
            y[at] = x[tuple(place(mode, i, n) for i, n in zip(source, x.shape, strict=True))]
    return y


@pytest.mark.parametrize("mode", ["constant", *MODES])
@pytest.mark.parametrize(
    ("shape", "pad"),
    [
        ((2, 3, 5), (2, 4)),
        ((2, 3, 4, 5), (1, 3, 2, 0)),
        ((3, 4, 5), (0, 0, 3, 1)),
        ((1, 2, 3, 4, 3), (2, 1, 0, 3, 1, 2)),
    ],
)
def test_every_element(mode, shape, pad):
    x = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    value = 7.0 if mode == "constant" else None
    expected = padded(x, pad, mode)
    np.testing.assert_array_equal(samara.pad(samara.tensor(x), pad, mode, value).numpy(), expected)


@pytest.mark.parametrize("mode", ["constant", *MODES])
def test_channels_last_stays_channels_last(mode):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    rows = samara.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), requires_grad=True)
    y = samara.pad(rows.permute(0, 3, 1, 2), (1, 2, 3, 0), mode)
    plain = samara.tensor(x, requires_grad=True)
    expected = samara.pad(plain, (1, 2, 3, 0), mode)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    assert y.stride()[1] == 1 and y.stride()[3] == 3
    weights = samara.tensor(np.random.default_rng(1).normal(size=y.shape).astype(np.float32))
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    np.testing.assert_array_equal(
        rows.grad.numpy(), plain.grad.permute(0, 2, 3, 1).contiguous().numpy()
    )


def test_the_gradient_of_an_edge_counts_its_copies():
    x = samara.ones(1, 1, 3, requires_grad=True)
    samara.pad(x, (2, 4), "replicate").sum().backward()
    assert x.grad.tolist() == [[[3.0, 1.0, 5.0]]]


def test_many_copies_of_one_number_lose_no_digits():
    """16 + 2^-20 summed 2^16 times in float32 one by one would be off by far more than a bit."""
    count = 1 << 16
    x = samara.zeros(1, 1, 1, requires_grad=True)
    samara.pad(x, (count - 1, 0), "replicate").backward(samara.full((1, 1, count), 16.1))
    assert abs(x.grad.item() / (np.float64(np.float32(16.1)) * count) - 1) < 2.0**-23


def test_empty_batches():
    for mode in ("constant", *MODES):
        x = samara.zeros(0, 2, 4, requires_grad=True)
        y = samara.pad(x, (1, 1), mode)
        assert y.shape == (0, 2, 6)
        y.sum().backward()
        assert x.grad.shape == (0, 2, 4)


def test_the_name_in_functional():
    assert F.pad is samara.pad
    assert F.pad(input=samara.ones(1, 2), pad=(1, 0), value=5).tolist() == [[5.0, 1.0, 1.0]]


@pytest.mark.parametrize("mode", MODES)
def test_errors_name_the_axis_and_the_sizes(mode):
    with pytest.raises(ShapeError, match="shape \\(2, 3\\)"):
        samara.pad(samara.ones(2, 3), (1, 1, 1, 1), mode)
    with pytest.raises(ArgumentError, match="3 entries"):
        samara.pad(samara.ones(2, 3), (1, 1, 1), mode)
    if mode != "replicate":
        with pytest.raises(ShapeError, match="axis 1 of size 3 by 4"):
            samara.pad(samara.ones(2, 3), (4, 0), mode)


def test_sizes_that_overflow_are_an_error():
    with pytest.raises(ShapeError, match="overflows"):
        samara.pad(samara.ones(2), (2**62, 2**62))
    with pytest.raises((SamaraError, MemoryError)):
        samara.pad(samara.ones(2), (2**61, 0))
