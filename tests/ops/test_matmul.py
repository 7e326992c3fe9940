"""Matrix products: layouts that must not be copied, dtypes, threads; the records test the rest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samara
from samara.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)


def layouts(a: np.ndarray) -> list[samara.Tensor]:
    """The matrix a, lying in memory in every way an operand may."""
    rows, columns = a.shape
    wide = np.full((rows, 2 * columns), np.nan)
    wide[:, ::2] = a
    tall = np.full((3 * rows, columns), np.nan)
    tall[::3] = a
    padded = np.full((rows + 2, columns + 3), np.nan)
    padded[1:-1, 2:-1] = a
    return [
        samara.tensor(a),
        samara.tensor(a.T.copy()).T,
        samara.tensor(wide)[:, ::2],
        samara.tensor(tall)[::3],
        samara.tensor(padded)[1:-1, 2:-1],
        samara.tensor(padded.T.copy()).T[1:-1, 2:-1],
        samara.tensor(a[::-1].copy()).flip(0),
        samara.tensor(a[:, ::-1].copy()).flip(1),
    ]


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (1, 5, 1), (4, 1, 3), (3, 5, 4), (40, 33, 50)]
)
def test_every_layout(m, k, n):
    a, b = RNG.normal(size=(m, k)), RNG.normal(size=(k, n))
    for x, y in itertools.product(layouts(a), layouts(b)):
        assert np.allclose((x @ y).numpy(), a @ b, rtol=1e-13, atol=1e-13)
    for x, y in zip(layouts(a), layouts(b.T.copy()), strict=True):
        assert np.allclose(samara.linear(x, y).numpy(), a @ b, rtol=1e-13, atol=1e-13)


def test_expanded_operands():
    a, v = RNG.normal(size=(5, 4)), RNG.normal(size=4)
    rows = samara.tensor(v).expand(3, 4)
    assert np.allclose((samara.tensor(a) @ rows.T).numpy(), a @ np.stack([v] * 3, axis=1))
    stacked = samara.tensor(a).expand(6, 5, 4)
    b = RNG.normal(size=(6, 4, 2))
    assert np.allclose((stacked @ samara.tensor(b)).numpy(), a @ b)
    assert np.allclose((stacked @ samara.tensor(b[0])).numpy(), np.stack([a @ b[0]] * 6))


shapes = st.integers(0, 4)


@given(
    batch=st.lists(st.sampled_from([(1, 2), (2, 1), (2, 2), (1, 1), (0, 1), (3, 3)]), max_size=3),
    drop=st.integers(0, 3),
    sizes=st.tuples(shapes, shapes, shapes),
    seed=st.integers(0, 1000),
)
def test_broadcast_stacks(batch, drop, sizes, seed):
    rng = np.random.default_rng(seed)
    m, k, n = sizes
    left = [pair[0] for pair in batch]
    right = [pair[1] for pair in batch][min(drop, len(batch)) :]
    a, b = rng.normal(size=(*left, m, k)), rng.normal(size=(*right, k, n))
    expected = np.matmul(a, b)
    result = samara.matmul(samara.tensor(a), samara.tensor(b))
    assert result.shape == expected.shape
    assert np.allclose(result.numpy(), expected, rtol=1e-13, atol=1e-13)


@given(
    axes=st.permutations(range(4)),
    steps=st.lists(st.sampled_from([1, 2, -1]), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
def test_permuted_and_stepped_stacks(axes, steps, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 3, 5, 2))
    cuts = tuple(slice(None, None, step) for step in steps)
    x_np = a.transpose(axes)[cuts]
    x = samara.tensor(a).permute(*axes)
    for axis, step in enumerate(steps):
        x = x.flip(axis) if step < 0 else x[(slice(None),) * axis + (slice(None, None, step),)]
    b = rng.normal(size=(x_np.shape[-1], 3))
    assert np.allclose((x @ samara.tensor(b)).numpy(), x_np @ b)
    c = rng.normal(size=(*x_np.shape[:2], x_np.shape[-1], 2))
    assert np.allclose((x @ samara.tensor(c)).numpy(), x_np @ c)
    w = rng.normal(size=(6, x_np.shape[-1]))
    assert np.allclose(samara.linear(x, samara.tensor(w)).numpy(), x_np @ w.T)


INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_wrap_around(name):
    dtype = np.dtype(name)
    bounds = np.iinfo(dtype)
    a = RNG.integers(bounds.min, bounds.max, size=(5, 70), dtype=dtype, endpoint=True)
    b = RNG.integers(bounds.min, bounds.max, size=(70, 4), dtype=dtype, endpoint=True)
    result = samara.matmul(samara.tensor(a), samara.tensor(b))
    exact = a.astype(object) @ b.astype(object)
    modulus = 2 ** (8 * dtype.itemsize)
    wrapped = (exact - int(bounds.min)) % modulus + int(bounds.min)
    assert result.dtype == getattr(samara, name)
    assert np.array_equal(result.numpy().astype(object), wrapped)


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("int32", "int64", "int64"),
        ("int32", "float32", "float32"),
        ("float16", "bfloat16", "float32"),
        ("float32", "float64", "float64"),
        ("float32", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("bool", "float32", "float32"),
    ],
)
def test_mixed_dtypes_are_promoted(first, second, common):
    x = samara.ones(2, 3, dtype=getattr(samara, first))
    y = samara.ones(3, 2, dtype=getattr(samara, second))
    for result in (x @ y, samara.linear(x, y.T)):
        assert result.dtype == getattr(samara, common)
        assert result.tolist() == [[3, 3], [3, 3]]


def test_two_bool_matrices_are_refused():
    x = samara.ones(2, 2, dtype=samara.bool)
    with pytest.raises(DTypeError, match="bool"):
        x @ x


def test_numbers_are_refused():
    with pytest.raises(DTypeError, match="not a tensor"):
        samara.matmul(samara.ones(2, 2), 3.0)


@pytest.mark.parametrize("dtype", [samara.float16, samara.bfloat16])
def test_sixteen_bit_results_are_rounded_once(dtype):
    x = samara.randn(20, 300, dtype=samara.float32).to(dtype)
    w = samara.randn(30, 300, dtype=samara.float32).to(dtype)
    b = samara.randn(30, dtype=samara.float32).to(dtype)
    wide = [t.to(samara.float64).numpy() for t in (x, w, b)]
    exact = wide[0] @ wide[1].T + wide[2]
    magnitude = np.abs(wide[0]) @ np.abs(wide[1]).T + np.abs(wide[2])
    error = np.abs(samara.linear(x, w, b).to(samara.float64).numpy() - exact)
    half_ulp = 2.0**-11 if dtype == samara.float16 else 2.0**-8
    assert (error <= half_ulp * np.abs(exact) + 2.0**-20 * magnitude).all()


@pytest.mark.parametrize("dtype", [samara.float32, samara.float64, samara.bfloat16])
@pytest.mark.parametrize(("m", "k", "n"), [(32, 10, 1), (257, 130, 65), (300, 512, 200)])
def test_bits_do_not_depend_on_threads(dtype, m, k, n):
    key = samara.random.key(0)
    x = samara.randn(m, k, key=key.fold(0), dtype=dtype)
    w = samara.randn(n, k, key=key.fold(1), dtype=dtype)
    b = samara.randn(n, key=key.fold(2), dtype=dtype)
    before = samara.thread_count()
    try:
        results = []
        for threads in (1, 2, 3):
            samara.set_thread_count(threads)
            results.append((samara.linear(x, w, b).tolist(), (x.T @ x).tolist()))
    finally:
        samara.set_thread_count(before)
    assert results[0] == results[1] == results[2]


def numeric_gradient(f, x: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        gradient[i] = (f(up) - f(down)) / 2e-6
    return gradient


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 1, 3, 4), (5, 4, 2)),
        ((1, 3, 4), (2, 4, 2)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (4,)),
        ((6, 2, 4), (1, 4, 3)),
    ],
)
def test_gradients_are_summed_over_broadcast_axes(left, right):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    weights = RNG.normal(size=np.matmul(a, b).shape)
    x, y = samara.tensor(a, requires_grad=True), samara.tensor(b, requires_grad=True)
    ((x @ y) * samara.tensor(weights)).sum().backward()
    dx = numeric_gradient(lambda v: (np.matmul(v, b) * weights).sum(), a)
    dy = numeric_gradient(lambda v: (np.matmul(a, v) * weights).sum(), b)
    assert np.allclose(x.grad.numpy(), dx, atol=1e-7)
    assert np.allclose(y.grad.numpy(), dy, atol=1e-7)


def test_complex_gradients_conjugate():
    a = RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))
    b = RNG.normal(size=(3, 2)) + 1j * RNG.normal(size=(3, 2))
    g = RNG.normal(size=(2, 2)) + 1j * RNG.normal(size=(2, 2))
    x, y = samara.tensor(a, requires_grad=True), samara.tensor(b, requires_grad=True)
    (x @ y).backward(samara.tensor(g))
    assert np.allclose(x.grad.numpy(), g @ b.conj().T)
    assert np.allclose(y.grad.numpy(), a.conj().T @ g)


def test_gradients_take_the_inputs_dtypes():
    x = samara.ones(2, 3, dtype=samara.float32, requires_grad=True)
    w = samara.ones(4, 3, dtype=samara.float64, requires_grad=True)
    b = samara.ones(4, dtype=samara.float32, requires_grad=True)
    samara.linear(x, w, b).sum().backward()
    assert [t.grad.dtype for t in (x, w, b)] == [samara.float32, samara.float64, samara.float32]
    assert x.grad.tolist() == [[4.0] * 3] * 2
    assert w.grad.tolist() == [[2.0] * 3] * 4
    assert b.grad.tolist() == [2.0] * 4


def test_in_place_operator():
    x = samara.tensor([[1.0, 2.0], [3.0, 4.0]])
    same = x
    x @= samara.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert x is same
    assert x.tolist() == [[2.0, 1.0], [4.0, 3.0]]
    with pytest.raises(ShapeError, match="in place"):
        x @= samara.ones(2, 3)


def test_non_finite_values_pass_through():
    x = samara.tensor([[np.inf, 1.0], [np.nan, 1.0]])
    result = (x @ samara.ones(2, 1)).tolist()
    assert result[0][0] == np.inf
    assert np.isnan(result[1][0])
