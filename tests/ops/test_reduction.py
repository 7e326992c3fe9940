"""Reductions beyond the records' checks: both dialects, dtypes, long inputs, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import samara

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    before = samara.thread_count()
    yield
    samara.set_thread_count(before)


def array(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# --- dialects -------------------------------------------------------------------------------------


def test_the_keyword_decides_between_the_standard_and_pytorch() -> None:
    x = samara.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    assert samara.max(x, axis=1).tolist() == [5.0, 7.0]
    values, indices = samara.max(x, dim=1)
    assert (values.tolist(), indices.tolist()) == ([5.0, 7.0], [1, 0])
    assert x.min(0).values.tolist() == [1.0, 0.0, 2.0]
    assert x.min(dim=1, keepdim=True).indices.tolist() == [[0], [1]]
    assert x.max().item() == 7.0
    assert x.max(axis=0, keepdims=True).tolist() == [[7.0, 5.0, 7.0]]
    assert x.max(samara.full_like(x, 3.0)).tolist() == [[3.0, 5.0, 3.0], [7.0, 3.0, 7.0]]


def test_mixing_the_spellings_raises() -> None:
    with pytest.raises(samara.errors.ArgumentError, match="use one spelling"):
        samara.ones(2, 3).max(dim=0, keepdims=True)


def test_var_divides_by_n_as_a_function_and_by_n_minus_1_as_a_method() -> None:
    x = array(4, 5)
    t = samara.asarray(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(samara.var(t, axis=0).numpy(), wide.var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(t.var(0).numpy(), wide.var(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(t.std().item(), wide.std(ddof=1), rtol=1e-6)
    np.testing.assert_allclose(t.std(unbiased=False).item(), wide.std(), rtol=1e-6)
    np.testing.assert_allclose(
        samara.var(t, dim=1, keepdim=True).numpy(),
        wide.var(axis=1, ddof=1, keepdims=True),
        rtol=1e-6,
    )


def test_too_few_numbers_for_the_correction_give_nan() -> None:
    assert np.isnan(samara.tensor([3.0]).var().item())
    assert np.isnan(samara.mean(samara.zeros(0)).item())


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "total"),
    [("bool", "int64"), ("int8", "int64"), ("int32", "int64"), ("uint8", "uint64")],
)
def test_integers_sum_and_multiply_in_64_bits(dtype: str, total: str) -> None:
    x = np.ones((300, 2), dtype=dtype)
    t = samara.asarray(x)
    for function in (samara.sum, samara.prod, samara.cumsum):
        assert function(t, axis=0).dtype.name == total
    assert samara.sum(t, axis=0).tolist() == [300, 300]


def test_dtype_converts_before_summing() -> None:
    x = samara.tensor([2.0**-12] * 5, dtype=samara.float16) + 2.0**11
    assert samara.sum(x, dtype=samara.float64).item() == sum(x.tolist())
    assert samara.sum(x, dtype=samara.int32).dtype is samara.int32
    assert (
        samara.sum(samara.tensor([200, 100], dtype=samara.uint8), dtype=samara.uint8).item() == 44
    )


def test_half_precision_is_summed_wider_than_it_is_stored() -> None:
    for dtype in (samara.float16, samara.bfloat16):
        assert samara.sum(samara.ones(5000, dtype=dtype)).item() == pytest.approx(5000, rel=2**-8)


def test_squares_of_large_float32_do_not_overflow_in_a_norm() -> None:
    assert samara.norm(samara.tensor([3e30, 4e30])).item() == pytest.approx(5e30)


def test_complex_sums_and_products() -> None:
    x = np.random.default_rng(1).normal(size=(6, 2)).view(np.complex128)
    t = samara.asarray(x.astype(np.complex64))
    np.testing.assert_allclose(samara.sum(t).numpy(), x.sum(), rtol=1e-6)
    np.testing.assert_allclose(samara.prod(t, axis=0).numpy(), x.prod(axis=0), rtol=1e-5)
    with pytest.raises(samara.errors.DTypeError, match="which have an order"):
        samara.max(t)


# --- selection ------------------------------------------------------------------------------------


def test_nan_wins_and_the_first_of_equals_is_found() -> None:
    x = array(300, 7)
    x[41, 3] = x[250, 3] = np.nan
    x[17, 5] = x[200, 5] = 99.0
    t = samara.asarray(x)
    for axis in (0, 1, None):
        np.testing.assert_array_equal(samara.max(t, axis=axis).numpy(), x.max(axis=axis))
        np.testing.assert_array_equal(samara.argmax(t, axis=axis).numpy(), x.argmax(axis=axis))
        np.testing.assert_array_equal(samara.argmin(t, axis=axis).numpy(), x.argmin(axis=axis))
        np.testing.assert_array_equal(samara.argmax(t.mT, axis=axis).numpy(), x.T.argmax(axis=axis))


def test_a_shared_maximum_shares_its_gradient() -> None:
    x = samara.tensor([1.0, 3.0, 3.0], requires_grad=True)
    samara.max(x).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]
    y = samara.tensor([[1.0, 3.0, 3.0]], requires_grad=True)
    y.max(dim=1).values.sum().backward()
    assert y.grad.tolist() == [[0.0, 1.0, 0.0]]


def test_the_gradient_of_a_product_with_zeros() -> None:
    x = samara.tensor([[2.0, 0.0, 5.0], [0.0, 0.0, 3.0]], requires_grad=True)
    samara.prod(x, axis=1).sum().backward()
    assert x.grad.tolist() == [[0.0, 10.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_gradient_of_a_norm_at_zero_is_zero() -> None:
    for p in (1.0, 2.0, 3.0, float("inf")):
        x = samara.zeros(3, requires_grad=True)
        samara.norm(x, p).backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]


# --- long inputs, threads -------------------------------------------------------------------------

LONG: dict[str, Callable[[samara.Tensor], samara.Tensor]] = {
    "sum": samara.sum,
    "sum of rows": lambda x: samara.sum(x, axis=1),
    "sum of columns": lambda x: samara.sum(x, axis=0),
    "sum of tall columns": lambda x: samara.sum(x.reshape(-1, 5), axis=0),
    "sum of outer and inner axis": lambda x: samara.sum(x.reshape(50, 20, -1), axis=(0, 2)),
    "sum with steps": lambda x: samara.sum(x[:, ::3]),
    "mean": samara.mean,
    "var": samara.var,
    "norm": samara.norm,
    "cumsum": lambda x: samara.cumsum(x.reshape(-1), 0),
    "cumsum from the end": lambda x: samara.cumsum(x.reshape(-1), 0, reverse=True),
    "softmax": lambda x: samara.softmax(x, 1),
    "softmax of one row": lambda x: samara.softmax(x.reshape(-1)),
    "log_softmax of one row": lambda x: samara.log_softmax(x.reshape(-1)),
    "logsumexp": samara.logsumexp,
    "layer_norm": lambda x: samara.layer_norm(x, (x.shape[1],)),
}


@pytest.mark.parametrize("name", LONG)
def test_the_bits_do_not_depend_on_the_number_of_threads(name: str) -> None:
    x = samara.asarray(array(1000, 500))
    results = []
    for threads in (1, 2, 5):
        samara.set_thread_count(threads)
        results.append(LONG[name](x).numpy())
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("name", LONG)
def test_float32_agrees_with_float64(name: str) -> None:
    x = samara.asarray(array(1000, 500))
    narrow = LONG[name](x).numpy().astype(np.float64)
    wide = LONG[name](x.to(samara.float64)).numpy()
    scale = max(1.0, float(np.abs(wide).max()), 300.0 * ("sum" in name))
    assert np.abs(narrow - wide).max() <= 4e-7 * scale


def test_long_inputs_agree_with_numpy() -> None:
    x = array(1000, 500)
    t, wide = samara.asarray(x), x.astype(np.float64)
    np.testing.assert_allclose(samara.sum(t).item(), wide.sum(), atol=1e-3)
    np.testing.assert_allclose(samara.sum(t, axis=0).numpy(), wide.sum(0), atol=1e-4)
    np.testing.assert_allclose(samara.var(t).item(), wide.var(), rtol=1e-6)
    np.testing.assert_allclose(samara.norm(t).item(), np.linalg.norm(wide), rtol=1e-6)
    np.testing.assert_allclose(
        samara.cumsum(t.reshape(-1), 0).numpy(), wide.reshape(-1).cumsum(), atol=1e-3
    )
    np.testing.assert_allclose(samara.logsumexp(t).item(), np.log(np.exp(wide).sum()), rtol=1e-6)
    assert samara.argmax(t).item() == x.argmax()
    x.reshape(-1)[400_001] = x.reshape(-1)[300_000] = 50.0
    assert samara.argmax(samara.asarray(x)).item() == 300_000


def test_long_rows_of_nothing_but_minus_infinity() -> None:
    x = np.full(300_000, -np.inf, dtype=np.float32)
    assert samara.logsumexp(samara.asarray(x)).item() == -np.inf
    x[200_000] = 1.0
    assert samara.logsumexp(samara.asarray(x)).item() == 1.0
    assert samara.softmax(samara.asarray(x)).sum().item() == 1.0


def test_a_sum_of_many_equal_numbers_does_not_drift() -> None:
    expected = 3_000_000 * float(np.float32(0.1))
    total = samara.sum(samara.full((3_000_000,), 0.1)).item()
    assert total == pytest.approx(expected, rel=4e-7)
