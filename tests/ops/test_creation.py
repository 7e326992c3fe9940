"""Creation against NumPy and exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samara
from samara.dtypes import ALL
from samara.errors import ArgumentError, DTypeError, ShapeError


def test_sizes_are_spelled_either_way():
    for make in (samara.zeros, samara.ones, samara.empty):
        assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == (2, 3)
        assert make(()).shape == ()
        assert make(4).shape == (4,)
        assert make(0, 3).shape == (0, 3)
    assert samara.full((2, 2), 3.0).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert samara.full(2, 3).tolist() == [3, 3]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_every_dtype(dtype):
    for made, value in [
        (samara.zeros(2, dtype=dtype), 0),
        (samara.ones(2, dtype=dtype), 1),
        (samara.full((2,), 1, dtype=dtype), 1),
    ]:
        assert made.dtype == dtype
        assert made.tolist() == [value, value]
    assert samara.eye(2, dtype=dtype).tolist() == [[1, 0], [0, 1]]
    assert samara.zeros_like(samara.ones(2, dtype=dtype)).dtype == dtype


def test_full_takes_the_kind_of_its_number():
    assert samara.full((1,), True).dtype == samara.bool
    assert samara.full((1,), 2).dtype == samara.int64
    assert samara.full((1,), 2.0).dtype == samara.float32
    assert samara.full((1,), 2j).dtype == samara.complex64


def test_like_functions():
    x = samara.ones(2, 3, dtype=samara.int16)
    assert samara.zeros_like(x).tolist() == [[0] * 3] * 2
    assert samara.ones_like(x, dtype=samara.float64).dtype == samara.float64
    assert samara.full_like(x, 7).tolist() == [[7] * 3] * 2
    assert samara.full_like(x, 7).dtype == samara.int16
    assert samara.empty_like(x.T).shape == (3, 2)
    assert samara.ones_like(samara.ones(2), requires_grad=True).requires_grad


def test_gradient_flag():
    x = samara.zeros(3, requires_grad=True)
    assert x.requires_grad and x.is_leaf
    with pytest.raises(DTypeError, match="no gradient"):
        samara.zeros(3, dtype=samara.int32, requires_grad=True)


@pytest.mark.parametrize(
    "arguments", [(5,), (2, 7), (2, 17, 3), (17, 2, -4), (0,), (5, 5), (5, 2), (-3,), (2, 9, 100)]
)
def test_arange_of_integers(arguments):
    made = samara.arange(*arguments)
    assert made.dtype == samara.int64
    assert made.tolist() == list(range(*arguments))


@given(
    start=st.floats(-1e6, 1e6, allow_subnormal=False),
    step=st.floats(0.01, 1e3).flatmap(lambda s: st.sampled_from([s, -s])),
    count=st.integers(0, 60),
)
def test_arange_of_floats_is_exact_to_the_last_bit(start, step, count):
    stop = float(np.nextafter(start + count * step, start))
    made = samara.arange(start, stop, step, dtype=samara.float64).tolist()
    exact = [float(Fraction(start) + i * Fraction(step)) for i in range(len(made))]
    assert made == exact
    assert len(made) == max(0, math.ceil((stop - start) / step))


def test_arange_at_the_ends_of_int64():
    low, high = -(2**63), 2**63 - 1
    assert samara.arange(high - 3, high, 2).tolist() == [high - 3, high - 1]
    assert samara.arange(low, high, 2**62).tolist() == list(range(low, high, 2**62))
    assert samara.arange(high, low, -(2**62)).tolist() == list(range(high, low, -(2**62)))
    assert samara.arange(0, 256, dtype=samara.uint8).tolist() == list(range(256))


@given(
    start=st.floats(-1e6, 1e6),
    stop=st.floats(-1e6, 1e6),
    count=st.integers(0, 50),
    endpoint=st.booleans(),
)
def test_linspace(start, stop, count, endpoint):
    made = samara.linspace(start, stop, count, endpoint=endpoint, dtype=samara.float64).numpy()
    expected = np.linspace(start, stop, count, endpoint=endpoint)
    scale = max(abs(start), abs(stop))
    assert made.shape == (count,)
    assert np.all(np.abs(made - expected) <= 4e-16 * scale + 1e-300)
    if count > 0:
        assert made[0] == start
    if count > 1 and endpoint:
        assert made[-1] == stop


def test_linspace_of_complex_numbers():
    made = samara.linspace(0, 1 + 2j, 3)
    assert made.dtype == samara.complex64
    assert made.tolist() == [0, 0.5 + 1j, 1 + 2j]


@pytest.mark.parametrize("k", [-5, -1, 0, 1, 3, 2**62, -(2**62)])
@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (2, 4), (4, 2), (0, 3), (3, 0)])
def test_eye_and_triangles(rows, columns, k):
    small = max(min(k, 10), -10)
    assert samara.eye(rows, columns, k=k).tolist() == np.eye(rows, columns, k=small).tolist()
    a = np.arange(2 * rows * columns).reshape(2, rows, columns)
    assert samara.tril(samara.tensor(a), k).tolist() == np.tril(a, small).tolist()
    assert samara.triu(samara.tensor(a), k).tolist() == np.triu(a, small).tolist()
    turned = samara.tensor(a).permute(0, 2, 1)
    assert samara.triu(turned, k).tolist() == np.triu(a.swapaxes(1, 2), small).tolist()


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(3,), (3, 4), (2, 3, 4), (0, 2)])
def test_meshgrid(indexing, sizes):
    axes = [np.arange(n) for n in sizes]
    made = samara.meshgrid(*map(samara.tensor, axes), indexing=indexing)
    expected = np.meshgrid(*axes, indexing=indexing)
    assert [m.tolist() for m in made] == [e.tolist() for e in expected]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: samara.zeros(-1), ShapeError, "negative size"),
        (lambda: samara.zeros(2.5), DTypeError, "int"),
        (lambda: samara.zeros(2**40, 2**40), MemoryError, "more elements"),
        (lambda: samara.arange(0, 1, 0), ArgumentError, "step other than 0"),
        (lambda: samara.arange(0.0, math.inf), ArgumentError, "finite"),
        (lambda: samara.arange(3, dtype=samara.bool), DTypeError, "dtype bool"),
        (lambda: samara.linspace(0, 1, -1), ArgumentError, "num = -1"),
        (lambda: samara.linspace(0, 1, 3, dtype=samara.int32), DTypeError, "int32"),
        (lambda: samara.eye(-1), ArgumentError, "-1 rows"),
        (lambda: samara.tril(samara.ones(3)), ShapeError, "at least 2 axes"),
        (lambda: samara.meshgrid(samara.ones(2, 2)), ShapeError, "1-D"),
        (
            lambda: samara.meshgrid(samara.ones(2), indexing="ab"),
            ArgumentError,
            "'ab'",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
