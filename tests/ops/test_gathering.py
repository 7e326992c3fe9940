"""What a record's samples cannot express about gather, scatter, take and embedding."""

import numpy as np
import pytest

import samara
from samara.errors import IndexOutOfRangeError, ShapeError

INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = ["bool", "uint8", "int64", "float16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("integer", INTEGERS)
def test_every_integer_dtype_is_an_index(integer: str) -> None:
    x = np.arange(12.0).reshape(3, 4)
    index = np.array([[0, 3], [1, 1], [2, 0]], integer)
    found = samara.gather(samara.asarray(x), 1, samara.asarray(index))
    np.testing.assert_array_equal(found.numpy(), np.take_along_axis(x, index.astype(int), 1))
    rows = samara.take(samara.asarray(x), samara.asarray(index[:, 0]), axis=0)
    np.testing.assert_array_equal(rows.numpy(), x[index[:, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300,), (40, 50), (7, 60, 33), (2000, 3)])
def test_long_lanes_in_every_dtype(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    x = rng.integers(0, 100, size=shape).astype(dtype)
    t = samara.asarray(x)
    for axis, size in enumerate(shape):
        index = rng.integers(-size, size, size=shape)
        np.testing.assert_array_equal(
            samara.gather(t, axis, samara.asarray(index)).numpy(),
            np.take_along_axis(x, index, axis),
        )
        unique = np.argsort(rng.random(shape), axis=axis)
        expected = np.zeros_like(x)
        np.put_along_axis(expected, unique, x, axis)
        found = samara.scatter(samara.zeros_like(t), axis, samara.asarray(unique), t)
        np.testing.assert_array_equal(found.numpy(), expected)
        places = list(np.indices(shape))
        places[axis] = index
        # Small whole numbers add up without rounding in every dtype but float16.
        values = (x.real % 2 if dtype == "float16" else x).astype(dtype)
        added = np.zeros_like(x)
        np.add.at(added, tuple(places), values)
        found = samara.scatter_add(
            samara.zeros_like(t), axis, samara.asarray(index), samara.asarray(values)
        )
        np.testing.assert_array_equal(found.numpy(), added)


def test_a_long_sum_into_one_place_is_rounded_once() -> None:
    values = np.random.default_rng(0).random(100_000).astype("float32")
    index = samara.zeros(100_000, dtype=samara.int64)
    exact = np.float32(values.astype("float64").sum())
    tensor = samara.asarray(values)
    assert samara.scatter_add(samara.zeros(1), 0, index, tensor).item() == exact
    assert samara.index_add(samara.zeros(1), 0, index, tensor).item() == exact
    # A float16 sum in float16 steps would stop growing at 2048.
    ones = samara.ones(5000, dtype=samara.float16)
    total = samara.index_add(samara.zeros(1, dtype=samara.float16), 0, index[:5000], ones)
    assert total.item() == 5000


def test_the_last_of_equal_indices_wins() -> None:
    index = samara.tensor([1, 0, 1, 1, 0])
    found = samara.scatter(samara.zeros(2), 0, index, samara.tensor([1.0, 2, 3, 4, 5]))
    assert found.tolist() == [5.0, 4.0]


def test_only_the_value_that_remains_gets_a_gradient() -> None:
    src = samara.tensor([[1.0, 2, 3], [4, 5, 6]]).requires_grad_()
    x = samara.zeros(2, 4).requires_grad_()
    y = samara.scatter(x, 1, samara.tensor([[1, 1, 0], [3, 2, 3]]), src)
    (y * samara.asarray(np.arange(8.0, dtype="float32").reshape(2, 4))).sum().backward()
    assert src.grad.tolist() == [[0.0, 1.0, 0.0], [0.0, 6.0, 7.0]]
    assert x.grad.tolist() == [[0.0, 0.0, 2.0, 3.0], [4.0, 5.0, 0.0, 0.0]]


def test_methods_and_keywords_as_in_pytorch() -> None:
    x = samara.tensor([[1.0, 2.0], [3.0, 4.0]])
    index = samara.tensor([[1], [0]])
    assert x.gather(1, index).tolist() == [[2.0], [3.0]]
    assert x.gather(dim=1, index=index).tolist() == [[2.0], [3.0]]
    assert samara.gather(input=x, dim=1, index=index).tolist() == [[2.0], [3.0]]
    assert x.index_select(dim=0, index=samara.tensor([1])).tolist() == [[3.0, 4.0]]
    assert x.take(samara.tensor([3, 0])).tolist() == [4.0, 1.0]
    y = samara.zeros(2, 2)
    assert y.scatter_add_(1, index, samara.ones(2, 1)) is y
    assert y.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    y.scatter_(1, index, 5.0)
    assert y.tolist() == [[0.0, 5.0], [5.0, 0.0]]
    y.index_add_(0, samara.tensor([0]), samara.ones(1, 2), alpha=-1)
    assert y.tolist() == [[-1.0, 4.0], [5.0, 0.0]]
    assert samara.tensor([[0, 5]]).nonzero().tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", [samara.float32, samara.float16, samara.bfloat16])
def test_in_place_forms_write_into_views(dtype: samara.DType) -> None:
    x = samara.zeros(3, 4, dtype=dtype)
    column = x[:, 1]
    column.scatter_add_(0, samara.tensor([2, 0, 2]), samara.ones(3, dtype=dtype))
    x.T.index_add_(0, samara.tensor([3]), samara.ones(1, 3, dtype=dtype))
    assert x.to(samara.float32).tolist() == [[0, 1, 0, 1], [0, 0, 0, 1], [0, 2, 0, 1]]


def test_in_place_forms_read_what_overlaps_them_first() -> None:
    x = samara.tensor([0.0, 1, 2, 3])
    x[1:].scatter_(0, samara.tensor([0, 1, 2]), x[:3])
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0]


def test_a_failed_scatter_changes_nothing() -> None:
    x = samara.zeros(2, 3)
    bad = samara.tensor([[0, 1], [2, 3]])
    for write in (x.scatter_, x.scatter_add_):
        with pytest.raises(IndexOutOfRangeError, match="index 3 is out of range for axis 1"):
            write(1, bad, samara.ones(2, 2))
    assert not x.numpy().any()


def test_embedding_gradient_counts_each_use_and_skips_padding() -> None:
    rng = np.random.default_rng(6)
    for rows, width, count in [(5, 3, 20), (40, 64, 3000), (1000, 16, 50)]:
        table = rng.normal(size=(rows, width)).astype("float32")
        ids = rng.integers(0, rows, size=(2, count))
        weight = rng.normal(size=(2, count, width)).astype("float32")
        expected = np.zeros((rows, width))
        np.add.at(expected, ids, weight.astype("float64"))
        for padding in (None, 2, -1):
            t = samara.asarray(table).requires_grad_()
            y = samara.embedding(samara.asarray(ids), t, padding)
            np.testing.assert_array_equal(y.detach().numpy(), table[ids])
            (y * samara.asarray(weight)).sum().backward()
            kept = expected.copy()
            if padding is not None:
                kept[padding] = 0
            np.testing.assert_array_equal(t.grad.numpy(), kept.astype("float32"))


def test_embedding_second_order_leaves_padding_alone() -> None:
    t = samara.asarray(np.arange(6.0).reshape(3, 2)).requires_grad_()
    y = samara.embedding(samara.tensor([0, 1, 1, 2]), t, padding_idx=1)
    (first,) = samara.autograd.grad((y**3).sum(), [t], create_graph=True)
    (second,) = samara.autograd.grad(first.sum(), [t])
    values = np.arange(6.0).reshape(3, 2)
    used = np.array([[1.0], [0.0], [1.0]])
    np.testing.assert_allclose(first.detach().numpy(), 3 * values**2 * used)
    np.testing.assert_allclose(second.numpy(), 6 * values * used)


def test_bincount_with_weights_is_differentiable() -> None:
    w = samara.tensor([1.0, 2.0, 4.0]).requires_grad_()
    y = samara.bincount(samara.tensor([0, 2, 2]), w, minlength=4)
    assert y.tolist() == [1.0, 0.0, 6.0, 0.0]
    (y * samara.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad.tolist() == [1.0, 3.0, 3.0]
    with pytest.raises(ShapeError, match="weights of shape"):
        samara.bincount(samara.tensor([0, 1]), w)
