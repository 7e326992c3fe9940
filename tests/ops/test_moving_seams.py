"""gather, scatter_add, argmax, running products, masks, copies: around blocks and vectors."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import samara
from samara.errors import IndexOutOfRangeError

REALS = ["uint8", "int8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"]


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("index_dtype", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_of_every_size(axis: int, dtype: str, index_dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-50, 50, size=(5, 40, 100)).astype(dtype)
    low = 0 if index_dtype == "uint8" else -x.shape[axis]
    for count in (1, 5, 511, 512, 513, 1500):
        shape = [3, 33, 90]
        shape[axis] = count
        index = rng.integers(low, x.shape[axis], size=shape).astype(index_dtype)
        part = x[tuple(slice(None) if a == axis else slice(0, shape[a]) for a in range(3))]
        found = samara.gather(samara.asarray(x), axis, samara.asarray(index)).numpy()
        np.testing.assert_array_equal(found, np.take_along_axis(part, index.astype(np.int64), axis))


def test_gather_of_strided_and_reversed_rows() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 80)).astype("float32")
    index = rng.integers(-30, 30, size=(40, 80))
    t, i = samara.asarray(x), samara.asarray(index)
    expected = np.take_along_axis(x.T, index[:, :80].T, 1)
    np.testing.assert_array_equal(samara.gather(t.T, 1, i.T).numpy(), expected)
    flipped = samara.gather(samara.flip(t, 1), 0, i).numpy()
    np.testing.assert_array_equal(flipped, np.take_along_axis(x[:, ::-1], index, 0))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "complex64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_scatter_add_sums_in_order_and_rounds_once(axis: int, dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(7, 600)) * 8).astype(dtype)
    source = (rng.normal(size=(7, 600)) * 8).astype(dtype)
    index = rng.integers(-x.shape[axis], x.shape[axis], size=(5, 550))
    wide = {"c": "complex128", "f": "float64", "i": "int64"}[np.dtype(dtype).kind]
    expected = x.astype(wide)
    for place in np.ndindex(index.shape):
        at = list(place)
        at[axis] = index[place]
        expected[tuple(at)] += source[place]
    arguments = (axis, samara.asarray(index), samara.asarray(source))
    found = samara.scatter_add(samara.asarray(x), *arguments).numpy()
    # Half precision is rounded by way of single precision.
    rounded = expected.astype("float32") if dtype == "float16" else expected
    np.testing.assert_array_equal(found, rounded.astype(dtype))
    own = samara.asarray(x.copy())
    assert own.scatter_add_(*arguments) is own
    np.testing.assert_array_equal(own.numpy(), found)
    view = samara.zeros(7, 1200, dtype=own.dtype)[:, ::2]
    view.copy_(samara.asarray(x)).scatter_add_(*arguments)
    np.testing.assert_array_equal(view.numpy(), found)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [0, 511, 512, 1023])
@pytest.mark.parametrize("wrong", [1024, -1025, 2**62, -(2**63)])
def test_an_index_out_of_range_changes_nothing(wrong: int, place: int, axis: int) -> None:
    x = samara.arange(2 * 1024).reshape(2, 1024).to(samara.float32)
    x = x if axis == 1 else x.T.contiguous()
    index = samara.zeros(2, 1024, dtype=samara.int64)
    index[1, place] = wrong
    index = index if axis == 1 else index.T.contiguous()
    before = x.tolist()
    for call in (x.gather, x.scatter_, x.scatter_add_):
        source = () if call == x.gather else (samara.ones_like(x),)
        with pytest.raises(IndexOutOfRangeError, match=f"index {wrong} is out of range"):
            call(axis, index, *source)
    with pytest.raises(IndexOutOfRangeError, match=f"index {wrong} is out of range"):
        samara.scatter_add(x, axis, index, samara.ones_like(x))
    assert x.tolist() == before


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scatter_add_of_few_indices_into_a_long_lane(dtype: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 3000)).astype(dtype)
    index = rng.integers(-3000, 3000, size=(2, 50))
    index[:, 7], index[:, 9:13] = -1, 2999
    source = rng.normal(size=(2, 50)).astype(dtype)
    expected = x.astype("float64")
    for i, j in np.ndindex(index.shape):
        expected[i, index[i, j]] += source[i, j]
    arguments = (1, samara.asarray(index), samara.asarray(source))
    rounded = (expected.astype("float32") if dtype == "float16" else expected).astype(dtype)
    t = samara.asarray(x.copy())
    np.testing.assert_array_equal(samara.scatter_add(t, *arguments).numpy(), rounded)
    np.testing.assert_array_equal(t.numpy(), x)
    np.testing.assert_array_equal(t.scatter_add_(*arguments).numpy(), rounded)


def test_the_source_may_be_the_target() -> None:
    x = np.arange(12.0, dtype="float32").reshape(3, 4)
    index = np.array([[3, 2, 1, 0]] * 3)
    expected = x.copy()
    for i, j in np.ndindex(x.shape):
        expected[i, index[i, j]] += x[i, j]
    t = samara.asarray(x.copy())
    t.scatter_add_(1, samara.asarray(index), t)
    np.testing.assert_array_equal(t.numpy(), expected)


@pytest.mark.parametrize("dtype", ["bool", *REALS])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_argmax_around_vectors(name: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for n in (1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 127, 128, 129, 257, 700):
        x = numbers(rng, (3, n), dtype) if dtype != "bool" else rng.random((3, n)) > 0.9
        x[1] = x[1, 0]  # all equal
        if dtype.startswith("f"):
            x[2, n // 2 :] = -np.inf if name == "argmax" else np.inf
            x[0, n - 1] = np.nan
        oracle = getattr(np, name)
        for array in (x, x.T, x[:, ::-1], x[:, ::3], np.repeat(x, 9, 0).T):
            for axis in (0, 1):
                # NumPy's first extremum, and first NaN.
                found = getattr(samara, name)(samara.asarray(array), axis=axis).numpy()
                np.testing.assert_array_equal(found, oracle(array, axis=axis))


@pytest.mark.parametrize("columns", [1, 3, 16, 17, 64, 65, 511, 512, 513, 1030])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_extrema_of_columns(dtype: str, columns: int) -> None:
    x = numbers(np.random.default_rng(columns), (130, columns), dtype)
    x[:, ::4] = x[0, 0]
    if dtype.startswith("f"):
        x[77, ::3], x[100, ::6] = np.nan, np.nan
    t = samara.asarray(x)
    values, places = samara.max(t, dim=0)
    np.testing.assert_array_equal(places.numpy(), np.argmax(x, 0))
    np.testing.assert_array_equal(values.numpy(), np.max(x, 0))
    values, places = samara.min(t, dim=0)
    np.testing.assert_array_equal(places.numpy(), np.argmin(x, 0))
    np.testing.assert_array_equal(values.numpy(), np.min(x, 0))


@pytest.mark.parametrize("place", [0, 40_000, 65_536, 99_999])
def test_argmax_of_a_long_row(place: int) -> None:
    x = np.random.default_rng(6).normal(size=100_000).astype("float32")
    x[place] = 99.0
    x[99_999] = 99.0
    assert samara.argmax(samara.asarray(x)).item() == place
    x[[50_000, 70_000]] = np.nan
    assert samara.argmax(samara.asarray(x)).item() == 50_000
    assert samara.argmin(samara.asarray(x)).item() == 50_000


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_totals_of_several_rows(name: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    for n in (1, 2, 33, 200_000 if rows == 1 else 500):
        x = np.exp(rng.normal(size=(rows, n)) * 0.01).astype("float32")
        for axis in (0, 1):
            found = getattr(samara, name)(samara.asarray(x), axis).numpy()
            expected = getattr(np, name)(x.astype("float64"), axis=axis)
            np.testing.assert_allclose(found, expected, rtol=2e-7)
    whole = rng.integers(-9, 9, size=(rows, 50))
    np.testing.assert_array_equal(
        getattr(samara, name)(samara.asarray(whole), 1).numpy(), getattr(np, name)(whole, axis=1)
    )


def test_cumprod_in_double_precision_keeps_what_single_would_lose() -> None:
    x = np.array([1e30, 1e30, 1e-30, 1e-30, 0.5], "float32")
    with np.errstate(over="ignore"):
        expected = np.cumprod(x.astype("float64")).astype("float32")
    np.testing.assert_array_equal(samara.cumprod(samara.asarray(x), 0).numpy(), expected)
    assert np.isfinite(expected[[0, 2, 3, 4]]).all()


@pytest.mark.parametrize("zeros", [[], [0], [3], [2, 5]])
def test_gradient_of_cumprod_at_zeros(zeros: list[int]) -> None:
    rng = np.random.default_rng(8)
    x, weight = rng.normal(size=7), rng.normal(size=7)
    x[zeros] = 0.0
    expected = [
        sum(weight[i] * np.prod(np.delete(x[: i + 1], k)) for i in range(k, 7)) for k in range(7)
    ]
    t = samara.asarray(x).requires_grad_()
    (samara.cumprod(t, 0) * samara.asarray(weight)).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.floats(0, 1))
def test_masks_over_any_axes(seed: int, axes: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=tuple(rng.integers(1, 9, size=3)))
    for first in range(4 - axes):
        mask = rng.random(x.shape[first : first + axes]) < share
        key = (slice(None),) * first + (mask,)
        own = (slice(None),) * first + (samara.asarray(mask),)
        np.testing.assert_array_equal(samara.asarray(x)[own].numpy(), x[key])
        np.testing.assert_array_equal(samara.asarray(x.T.copy()).T[own].numpy(), x[key])
    full = rng.random(x.shape) < share
    np.testing.assert_array_equal(samara.argwhere(samara.asarray(full)).numpy(), np.argwhere(full))
    t = samara.asarray(x).requires_grad_()
    (t[samara.asarray(full)] * 2).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), 2.0 * full)


@pytest.mark.parametrize("shape", [(3, 20_000), (40_000, 2), (100, 7, 90)])
def test_places_of_large_masks(shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(9).random(shape) < 0.3
    np.testing.assert_array_equal(samara.argwhere(samara.asarray(mask)).numpy(), np.argwhere(mask))


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
def test_copies_by_any_stride(dtype: str) -> None:
    rng = np.random.default_rng(10)
    for n in (1, 2, 15, 16, 17, 33, 70):
        x = rng.integers(-9, 9, size=(3, n)).astype(dtype)
        t = samara.asarray(x)
        for key in (np.s_[:, ::-1], np.s_[:, ::2], np.s_[:, ::-2], np.s_[:, 1::3], np.s_[::-1]):
            np.testing.assert_array_equal(np.array(samara.asarray(x[key]).numpy()), x[key])
        np.testing.assert_array_equal(samara.flip(t, 1).clone().numpy(), x[:, ::-1])
        np.testing.assert_array_equal(samara.flip(t).contiguous().numpy(), x[::-1, ::-1])
        np.testing.assert_array_equal(t[:, ::2].contiguous().numpy(), x[:, ::2])
        spread = t[:, :1].expand(3, n).contiguous().numpy()
        np.testing.assert_array_equal(spread, np.broadcast_to(x[:, :1], (3, n)))
        np.testing.assert_array_equal(samara.repeat_interleave(t, 3, 0).numpy(), x.repeat(3, 0))
        np.testing.assert_array_equal(samara.repeat_interleave(t, 2, 1).numpy(), x.repeat(2, 1))
        mask = rng.random((3, n)) < 0.5
        m = samara.asarray(mask)
        for a, b in ((1, x), (x, 1), (1, 0), (x, x[::-1])):
            own = [samara.asarray(v.copy()) if isinstance(v, np.ndarray) else v for v in (a, b)]
            if not isinstance(a, int) or not isinstance(b, int):
                found = samara.where(m, *own).numpy()
                np.testing.assert_array_equal(found, np.where(mask, a, b).astype(found.dtype))
    with pytest.raises(Exception, match="0 or more"):
        samara.repeat_interleave(samara.ones(3), -1)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
def test_copies_of_short_rows_in_any_arrangement(dtype: str) -> None:
    """Row lengths around the registers' sizes, over several axes and over several tiles."""
    rng = np.random.default_rng(12)
    for n in (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 130):
        x = rng.integers(0, 99, size=(6, 5, 9, n)).astype(dtype)
        t = samara.asarray(x)
        np.testing.assert_array_equal(t[::2, 1:, ::-1].contiguous().numpy(), x[::2, 1:, ::-1])
        found = t.permute(2, 0, 1, 3).contiguous().numpy()
        np.testing.assert_array_equal(found, x.transpose(2, 0, 1, 3))
        spread = t[:, None].expand(6, 3, 5, 9, n).contiguous().numpy()
        np.testing.assert_array_equal(spread, np.repeat(x[:, None], 3, 1))
        np.testing.assert_array_equal(samara.cat([t, t[..., :1]], -1).numpy()[..., :n], x)
    x = rng.integers(0, 99, size=(700, 3, 40)).astype(dtype)
    found = samara.repeat_interleave(samara.asarray(x), 2, 1).numpy()
    np.testing.assert_array_equal(found, x.repeat(2, 1))


def test_repeat_interleave_to_second_order_and_from_views() -> None:
    x = np.random.default_rng(13).normal(size=(4, 6))
    t = samara.asarray(x).requires_grad_()
    weight = samara.asarray(np.arange(48.0).reshape(4, 12))
    (gradient,) = samara.autograd.grad(
        (samara.repeat_interleave(t, 2, 1) ** 3 * weight).sum(), [t], create_graph=True
    )
    pairs = np.arange(48.0).reshape(4, 6, 2).sum(-1)
    np.testing.assert_allclose(gradient.detach().numpy(), 3 * x**2 * pairs)
    gradient.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 6 * x * pairs)
    view = samara.flip(samara.asarray(x).T, 0)[:, 1:]
    expected = x.T[::-1, 1:].repeat(3, 0)
    np.testing.assert_array_equal(samara.repeat_interleave(view, 3, 0).numpy(), expected)
    assert samara.repeat_interleave(samara.asarray(x), 0, 0).shape == (0, 6)


def test_sums_of_every_other_column() -> None:
    rng = np.random.default_rng(11)
    for n in (1, 2, 15, 16, 31, 33, 64, 200, 1000, 3001):
        for dtype in ("float16", "float32", "float64"):
            x = rng.normal(size=(4, n)).astype(dtype)
            t = samara.asarray(x)[:, ::2]
            exact = x[:, ::2].astype("float64")
            bound = np.abs(exact).sum(1) * np.finfo(dtype).eps
            found = samara.sum(t, axis=1).numpy().astype("float64")
            assert np.all(np.abs(found - exact.sum(1)) <= bound)
            np.testing.assert_array_equal(samara.amax(t, 1).numpy(), x[:, ::2].max(1))
            norm = samara.norm(t, 2, axis=1).numpy()
            np.testing.assert_allclose(norm, np.sqrt((exact**2).sum(1)), rtol=1e-3)


@pytest.mark.parametrize("name", ["any", "all"])
def test_any_and_all_stop_early_and_late(name: str) -> None:
    for n in (1, 255, 256, 257, 1000):
        for place in {0, n // 2, n - 1}:
            for base in (True, False):
                x = np.full((2, n), base)
                x[1, place] = not base
                found = getattr(samara, name)(samara.asarray(x), axis=1).numpy()
                np.testing.assert_array_equal(found, getattr(np, name)(x, axis=1))
