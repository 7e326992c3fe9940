"""Sorting where its algorithms have seams: lengths around vectors and networks, patterns, bits."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import samara

# One vector, the networks of 32- and 64-bit words, the radix sort's minimum; and neighbours.
LENGTHS = sorted(
    {n + d for n in (8, 16, 32, 64, 128, 192, 256, 512, 1024) for d in (-1, 0, 1)}
    | {1, 2, 3, 4, 5, 3162}
)
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES += ["float16", "float32", "float64"]
PATTERNS = ["random", "few values", "all equal", "sorted", "reversed", "extremes", "special"]


def make_row(pattern: str, n: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(n)
    if dtype == "bool":
        return {"all equal": np.ones(n, bool), "sorted": np.arange(n) > n // 2}.get(
            pattern, rng.random(n) > 0.5
        )
    kind = np.dtype(dtype).kind
    if kind == "f":
        x = (rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, size=n)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, size=n, dtype=dtype, endpoint=True)
    if pattern == "few values":
        return x[rng.integers(0, min(n, 5), size=n)]
    if pattern == "all equal":
        return np.full(n, x[0])
    if pattern in ("sorted", "reversed"):
        return np.sort(x)[:: 1 if pattern == "sorted" else -1].copy()
    if pattern == "extremes":
        ends = (info.min, info.max) if kind != "f" else (-np.inf, np.inf)
        x[::3], x[1::5] = ends
    if pattern == "special" and kind == "f":
        x[::2], x[1::4], x[::7], x[3::11] = 0.0, -0.0, np.nan, -np.nan
    return x


def stable_order(x: np.ndarray, descending: bool) -> np.ndarray:
    """The stable order along the last axis; NaN is the largest, zeros of either sign are equal."""
    if not descending:
        return np.argsort(x, axis=-1, kind="stable")
    _, rank = np.unique(x, return_inverse=True)
    return np.argsort(-rank.reshape(x.shape), axis=-1, kind="stable")


def bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}")


def check_row(x: np.ndarray, descending: bool) -> None:
    """Values to the bit, in both forms, and the order of equal elements."""
    order = stable_order(x, descending)
    expected = np.take_along_axis(x, order, -1)
    t = samara.asarray(x)
    values = samara.sort(t, descending=descending).numpy()
    np.testing.assert_array_equal(bits(values), bits(expected))
    pair = samara.sort_with_indices(t, descending=descending)
    np.testing.assert_array_equal(pair.indices.numpy(), order)
    np.testing.assert_array_equal(bits(pair.values.numpy()), bits(expected))
    np.testing.assert_array_equal(samara.argsort(t, descending=descending).numpy(), order)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_length_and_pattern(dtype: str, pattern: str) -> None:
    for n in LENGTHS:
        x = make_row(pattern, n, dtype)
        check_row(x, descending=False)
        check_row(x, descending=True)


@pytest.mark.parametrize("k", [1, 10, 200, 900])
@pytest.mark.parametrize("n", [900, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64"])
def test_topk_is_the_start_of_the_order(dtype: str, n: int, k: int) -> None:
    for pattern in ("random", "few values", "special"):
        x = make_row(pattern, n, dtype)
        for largest in (True, False):
            found = samara.topk(samara.asarray(x), k, largest=largest)
            order = stable_order(x, largest)[:k]
            np.testing.assert_array_equal(found.indices.numpy(), order)
            np.testing.assert_array_equal(bits(found.values.numpy()), bits(x[order]))


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_wide_keys_whose_range_leaves_no_room_for_places(dtype: str) -> None:
    """The key and the place no longer fit one word, with many equal keys among them."""
    x = make_row("extremes", 3000, dtype)
    x[100:2000:3] = x[7]
    check_row(x, descending=False)
    check_row(x, descending=True)


@settings(max_examples=150)
@given(
    st.sampled_from(["float16", "float32", "float64"]),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=80),
    st.booleans(),
)
def test_any_bits_of_floats(dtype: str, words: list[int], descending: bool) -> None:
    """Subnormals, NaNs of every payload and sign: each element comes out as it went in."""
    size = np.dtype(dtype).itemsize
    x = np.array([w >> (64 - 8 * size) for w in words], f"u{size}").view(dtype)
    check_row(x, descending)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_the_same_bits_with_any_number_of_threads(dtype: str, threads: int) -> None:
    x = make_row("special", (1 << 20) + 17, dtype)
    before = samara.get_num_threads()
    try:
        samara.set_num_threads(threads)
        check_row(x, descending=False)
    finally:
        samara.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 100, 1000])
@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_in_rows_of_any_length(n: int, side: str) -> None:
    rng = np.random.default_rng(n)
    for dtype in ("int8", "uint64", "int64", "float16", "float32", "float64"):
        row = np.sort(rng.integers(-9 if dtype[0] != "u" else 0, 9, size=n)).astype(dtype)
        values = rng.integers(0, 10, size=37).astype(dtype)
        if dtype.startswith("f"):
            row[n - n // 4 :] = np.nan
            values[::5], values[1::7], values[2::9] = np.nan, -np.inf, -0.0
        found = samara.searchsorted(samara.asarray(row), samara.asarray(values), side=side)
        np.testing.assert_array_equal(found.numpy(), np.searchsorted(row, values, side=side))


def test_searchsorted_looks_up_each_value_in_its_own_row() -> None:
    rng = np.random.default_rng(3)
    rows, values = np.sort(rng.normal(size=(5, 60))), rng.normal(size=(5, 700))
    found = samara.searchsorted(samara.asarray(rows), samara.asarray(values)).numpy()
    for i in range(5):
        np.testing.assert_array_equal(found[i], np.searchsorted(rows[i], values[i]))
