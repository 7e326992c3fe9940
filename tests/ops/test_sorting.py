"""What a record's samples cannot express about order: ties, NaN, long rows, every dtype."""

from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import samara
from samara.errors import ArgumentError, DTypeError

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES += ["float16", "float32", "float64"]


def descending_order(x: np.ndarray) -> np.ndarray:
    """The stable order from the largest down, along the last axis, NaN being the largest."""
    _, rank = np.unique(x, return_inverse=True)
    return np.argsort(-rank.reshape(x.shape), axis=-1, kind="stable")


@settings(max_examples=200)
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(max_dims=3, max_side=9, min_side=0))
    ),
    st.data(),
)
def test_sorting_agrees_with_numpy_in_values_and_order(x: np.ndarray, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    order = np.argsort(x, axis=axis, kind="stable")
    t = samara.asarray(x)
    np.testing.assert_array_equal(samara.argsort(t, axis=axis).numpy(), order)
    found = samara.sort(t, axis=axis).numpy()
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, np.take_along_axis(x, order, axis))


@pytest.mark.parametrize("n", [1, 7, 191, 192, 1000, 8192, 70_000, 200_001])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "int16", "float16"])
def test_long_rows(n: int, dtype: str) -> None:
    """Every way of sorting: by comparison, by narrow and wide digits, in one block and several."""
    rng = np.random.default_rng(n)
    x = rng.integers(-100 if dtype != "uint8" else 0, 100, size=n)
    x = (x * (1e15 if dtype in ("float64", "int64") else 1)).astype(dtype)
    if x.dtype.kind == "f":
        x[::13] = np.nan
        x[1::17] = -0.0
        x[2::19] = np.inf
    t = samara.asarray(x)
    np.testing.assert_array_equal(samara.argsort(t).numpy(), np.argsort(x, kind="stable"))
    down = samara.sort_with_indices(t, descending=True)
    np.testing.assert_array_equal(down.indices.numpy(), descending_order(x))
    np.testing.assert_array_equal(down.values.numpy(), x[descending_order(x)])
    k = min(n, 9)
    top = samara.topk(t, k)
    np.testing.assert_array_equal(top.indices.numpy(), descending_order(x)[:k])
    bottom = samara.topk(t, k, largest=False)
    np.testing.assert_array_equal(bottom.indices.numpy(), np.argsort(x, kind="stable")[:k])


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_whole_range_of_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.max, info.min, info.max - 1, info.min + 1, 0, 1], dtype)
    np.testing.assert_array_equal(samara.sort(samara.asarray(x)).numpy(), np.sort(x))


def test_bfloat16_sorts_by_value() -> None:
    values = [3.0, -2.0, float("inf"), 0.0, -0.5, float("-inf")]
    found = samara.sort(samara.tensor(values, dtype=samara.bfloat16))
    assert found.dtype == samara.bfloat16
    assert found.to(samara.float32).tolist() == sorted(values)


def test_nan_counts_as_the_largest_whatever_its_sign() -> None:
    x = np.array([1.0, np.nan, -np.inf, -np.nan, np.inf])
    t = samara.asarray(x)
    assert samara.argsort(t).tolist() == [2, 0, 4, 1, 3]
    assert samara.argsort(t, descending=True).tolist() == [1, 3, 4, 0, 2]
    assert samara.topk(t, 2).indices.tolist() == [1, 3]
    assert samara.topk(t, 2, largest=False).indices.tolist() == [2, 0]


def test_zeros_of_either_sign_are_equal_and_keep_their_sign() -> None:
    x = np.array([0.0, -0.0, -1.0, -0.0, 0.0], np.float32)
    found = samara.sort_with_indices(samara.asarray(x))
    assert found.indices.tolist() == [2, 0, 1, 3, 4]
    np.testing.assert_array_equal(np.signbit(found.values.numpy()), np.signbit(x)[[2, 0, 1, 3, 4]])


def test_unsorted_topk_holds_the_same_elements() -> None:
    x = np.random.default_rng(1).normal(size=(4, 900)).astype("float32")
    found = samara.topk(samara.asarray(x), 25, sorted=False).values.numpy()
    np.testing.assert_array_equal(np.sort(found), np.sort(x)[:, -25:])


def test_the_standards_form_gives_values_and_the_other_gives_pairs() -> None:
    x = samara.tensor([[3, 1, 2]])
    assert samara.sort(x, axis=1).tolist() == [[1, 2, 3]]
    for pair in (samara.sort(x, dim=1), x.sort(), x.sort(dim=-1), x.sort(descending=False)):
        assert pair.values.tolist() == [[1, 2, 3]]
        assert pair.indices.tolist() == [[1, 2, 0]]
    values, indices = x.topk(2, dim=1)
    assert (values.tolist(), indices.tolist()) == ([[3, 2]], [[0, 2]])
    assert x.argsort(dim=1, descending=True).tolist() == [[0, 2, 1]]


def test_kthvalue_is_the_sorted_rows_entry() -> None:
    x = np.random.default_rng(2).normal(size=(3, 7, 2))
    for axis in range(3):
        for k in (1, 2):
            found = samara.kthvalue(samara.asarray(x), k, axis=axis)
            np.testing.assert_array_equal(
                found.values.numpy(), np.take(np.sort(x, axis=axis), k - 1, axis=axis)
            )
            np.testing.assert_array_equal(
                found.indices.numpy(), np.take(np.argsort(x, axis=axis), k - 1, axis=axis)
            )


def test_gradients_return_to_where_the_values_stood() -> None:
    rng = np.random.default_rng(4)
    x, weight = rng.normal(size=(5, 8)), rng.normal(size=(5, 8))
    expected = np.empty_like(x)
    np.put_along_axis(expected, np.argsort(x, axis=0), weight, axis=0)
    t = samara.asarray(x).requires_grad_()
    (samara.sort(t, axis=0) * samara.asarray(weight)).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), expected)

    t = samara.asarray(x).requires_grad_()
    (samara.topk(t, 3).values ** 2).sum().backward()
    third = np.sort(x)[:, -3:-2]
    np.testing.assert_allclose(t.grad.numpy(), np.where(x >= third, 2 * x, 0))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint64"])
def test_searchsorted_among_many_equal_values(side: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x = np.sort(rng.integers(0, 9, size=300)).astype(dtype)
    v = rng.integers(0, 11, size=(20, 30)).astype(dtype)
    found = samara.searchsorted(samara.asarray(x), samara.asarray(v), side=side)
    np.testing.assert_array_equal(found.numpy(), np.searchsorted(x, v, side=side))


def test_searchsorted_compares_in_the_common_dtype() -> None:
    x = samara.tensor([1, 2, 3])
    assert samara.searchsorted(x, samara.tensor([1.5, 2.5])).tolist() == [1, 2]
    assert samara.searchsorted(x, 2).item() == 1


@pytest.mark.parametrize("name", ["sort", "argsort", "topk", "sort_with_indices"])
def test_complex_numbers_have_no_order(name: str) -> None:
    arguments = (1,) if name == "topk" else ()
    with pytest.raises(DTypeError, match="complex64 has no order"):
        getattr(samara, name)(samara.tensor([1j, 2.0]), *arguments)


def test_k_of_an_empty_axis() -> None:
    assert samara.topk(samara.zeros(3, 0), 0).values.shape == (3, 0)
    with pytest.raises(ArgumentError, match="k is 1 for an axis of size 0"):
        samara.topk(samara.zeros(3, 0), 1)
