"""Joining and cutting: views, gradients of parts, dtypes; the records test the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samara
from samara.errors import ArgumentError, DTypeError, ShapeError


def test_concat_promotes():
    parts = [
        samara.tensor([1], dtype=samara.uint8),
        samara.tensor([-2], dtype=samara.int16),
        samara.tensor([0.5], dtype=samara.float32),
    ]
    assert samara.concat(parts[:2]).dtype == samara.int16
    joined = samara.concat(parts)
    assert joined.dtype == samara.float32
    assert joined.tolist() == [1.0, -2.0, 0.5]
    assert samara.stack(parts).tolist() == [[1.0], [-2.0], [0.5]]


def test_aliases_and_pytorch_spelling():
    x = samara.arange(6).reshape(2, 3)
    expected = np.concatenate([np.arange(6).reshape(2, 3)] * 2, axis=1).tolist()
    assert samara.cat([x, x], dim=1).tolist() == expected
    assert samara.concatenate((x, x), axis=1).tolist() == expected


def test_gradient_reaches_each_part():
    x = samara.ones(2, 2, requires_grad=True)
    y = samara.ones(2, 1, dtype=samara.float64, requires_grad=True)
    z = samara.ones(2, 3)
    weights = samara.arange(12.0).reshape(2, 6)
    (samara.concat([x, y, z], axis=1) * weights).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0], [6.0, 7.0]]
    assert y.grad.tolist() == [[2.0], [8.0]]
    assert y.grad.dtype == samara.float64
    assert z.grad is None


def test_the_same_tensor_twice():
    x = samara.ones(2, requires_grad=True)
    (samara.stack([x, x]) * samara.tensor([[1.0], [10.0]])).sum().backward()
    assert x.grad.tolist() == [11.0, 11.0]


def test_second_order():
    x = samara.tensor([1.0, 2.0], dtype=samara.float64, requires_grad=True)
    y = samara.concat([x, x * x])
    (y**3).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    value = np.array([1.0, 2.0])
    assert np.allclose(first.detach().numpy(), 3 * value**2 + 6 * value**5)
    assert np.allclose(x.grad.numpy(), 6 * value + 30 * value**4)


def test_parts_are_views():
    x = samara.zeros(4, 3)
    samara.split(x, [1, 3])[1].fill_(7.0)
    samara.unbind(x, axis=1)[0].fill_(2.0)
    assert x.tolist() == [[2.0, 0.0, 0.0]] + [[2.0, 7.0, 7.0]] * 3


def test_gradient_of_one_part_leaves_the_others_zero():
    x = samara.ones(5, requires_grad=True)
    first, _, last = samara.split(x, 2)
    (first.sum() * 2 + last.sum() * 3).backward()
    assert x.grad.tolist() == [2.0, 2.0, 0.0, 0.0, 3.0]
    y = samara.ones(3, 2, requires_grad=True)
    (samara.unbind(y)[1] * samara.tensor([4.0, 5.0])).sum().backward()
    assert y.grad.tolist() == [[0.0, 0.0], [4.0, 5.0], [0.0, 0.0]]


@given(n=st.integers(0, 13), parts=st.integers(1, 6), rank=st.integers(0, 1))
def test_cuts_match_numpy(n, parts, rank):
    a = np.arange(n * 2).reshape((n, 2) if rank else (2, n))
    axis = 0 if rank else 1
    x = samara.tensor(a)
    pieces = [piece.tolist() for piece in samara.tensor_split(x, parts, axis)]
    assert pieces == [piece.tolist() for piece in np.array_split(a, parts, axis)]
    sizes = [piece.shape[axis] for piece in samara.split(x, parts, axis)]
    assert sizes == [parts] * (n // parts) + [n % parts] * (n % parts > 0 or n == 0)
    assert samara.concat(samara.split(x, parts, axis), axis).tolist() == a.tolist()
    chunks = samara.chunk(x, parts, axis)
    assert samara.concat(chunks, axis).tolist() == a.tolist()
    lengths = [piece.shape[axis] for piece in chunks]
    assert len(lengths) <= parts and max(lengths) == -(-n // parts)


@pytest.mark.parametrize("count", [16, 17, 256, 257, 1000])
def test_many_uneven_parts(count):
    sizes = [i % 3 for i in range(count)]
    x = samara.arange(sum(sizes) * 1.0, requires_grad=True)
    parts = samara.split(x, sizes)
    assert [part.shape for part in parts] == [(size,) for size in sizes]
    assert samara.concat(parts).tolist() == x.tolist()
    samara.stack([part.sum() * i for i, part in enumerate(parts)]).sum().backward()
    assert x.grad.tolist() == [float(i) for i, size in enumerate(sizes) for _ in range(size)]


@given(n=st.integers(0, 8), cuts=st.lists(st.integers(-9, 9), max_size=4))
def test_cuts_before_indices_match_numpy(n, cuts):
    a = np.arange(n)
    pieces = [piece.tolist() for piece in samara.tensor_split(samara.tensor(a), cuts)]
    assert pieces == [piece.tolist() for piece in np.array_split(a, cuts)]


def test_methods():
    x = samara.arange(6).reshape(3, 2)
    assert [p.shape for p in x.split(2)] == [(2, 2), (1, 2)]
    assert [p.shape for p in x.chunk(2, dim=0)] == [(2, 2), (1, 2)]
    assert [p.tolist() for p in x.unbind(1)] == [[0, 2, 4], [1, 3, 5]]
    assert [p.tolist() for p in samara.unstack(x)] == x.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: samara.split(x, 0), ArgumentError, "size 0"),
        (lambda x: samara.split(x, [1, 1]), ShapeError, "add up to 2"),
        (lambda x: samara.split(x, 1, axis=5), IndexError, "axis 5"),
        (lambda x: samara.chunk(x, 0), ArgumentError, "0 chunks"),
        (lambda x: samara.tensor_split(x, 0), ArgumentError, "0 parts"),
        (lambda x: samara.concat(x), DTypeError, "a sequence of tensors"),
        (lambda x: samara.concat([x, 1.0]), DTypeError, "item 1"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(samara.ones(3, 2))


def test_lengths_that_add_up_beyond_an_integer() -> None:
    with pytest.raises(samara.errors.SamaraError, match="63 bits"):
        samara.concat([samara.zeros(2**62, 0)] * 4)
