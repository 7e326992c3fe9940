"""Tensors as objects: attributes, numbers, printing, subclasses, copies."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref

import ml_dtypes
import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError, GradientError, SamaraError, ShapeError


def test_attributes() -> None:
    x = samara.zeros(2, 3, dtype=samara.float64)
    assert x.shape == (2, 3) and isinstance(x.shape, tuple)
    assert (x.ndim, x.dim(), x.numel(), x.itemsize, x.nbytes) == (2, 2, 6, 8, 48)
    assert x.size() == (2, 3) and x.size(1) == 3 and x.stride() == (3, 1) and x.stride(0) == 3
    assert x.dtype is samara.float64 and x.device == "cpu" and str(x.device) == "cpu"
    assert x.is_contiguous() and x.is_leaf and x.grad is None and x.grad_fn is None
    assert x.data_ptr() % 64 == 0
    assert x.T.shape == (3, 2) and x.mT.shape == (3, 2)
    with pytest.raises(AttributeError):
        x.shape = (6,)


def test_one_object_per_tensor() -> None:
    x = samara.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad is x.grad
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(True, "bool"), (-3, "int8"), (2**64 - 1, "uint64"), (-(2**63), "int64"), (1.5, "bfloat16")],
)
def test_item_keeps_the_value(value: float, dtype: str) -> None:
    item = samara.tensor(value, dtype=getattr(samara, dtype)).item()
    assert item == value and type(item) is type(value)


def test_numbers() -> None:
    x = samara.tensor([2.75])
    assert (int(x), float(x), bool(x), complex(x)) == (2, 2.75, True, 2.75 + 0j)
    assert [10, 20, 30][samara.tensor(1)] == 20
    assert f"{samara.tensor(0.125):.2f}" == "0.12"
    assert len(samara.ones(3, 2)) == 3
    assert [row.tolist() for row in samara.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert 2 in samara.tensor([1, 2]) and 5 not in samara.tensor([1, 2])


@pytest.mark.parametrize(
    "use",
    [
        lambda: bool(samara.ones(2)),
        lambda: float(samara.ones(2)),
        lambda: samara.ones(2).item(),
        lambda: bool(samara.ones(0)),
        lambda: [1][samara.tensor(0.5)],
        lambda: len(samara.tensor(1.0)),
        lambda: list(samara.tensor(1.0)),
        lambda: samara.tensor([[1, 2], [3]]),
        lambda: samara.tensor(["a"]),
        lambda: samara.tensor([object()]),
        lambda: samara.Tensor((2, 3)),
        lambda: samara.Tensor(1.5),
        lambda: samara.Tensor([1.0], 2),
        lambda: samara.Tensor(None),
        lambda: samara.ones(2) + "a",
        lambda: samara.ones(2).to("float31"),
        lambda: samara.ones(-1),
        lambda: samara.tensor([2**70]),
    ],
)
def test_misuse_raises_with_a_way_out(use: object) -> None:
    with pytest.raises((SamaraError, TypeError)) as caught:
        use()
    if isinstance(caught.value, SamaraError):
        assert "Expected" in str(caught.value) and "Fix" in str(caught.value)


def test_equality_is_elementwise_and_hash_is_identity() -> None:
    x, y = samara.tensor([1, 2]), samara.tensor([1, 3])
    assert (x == y).tolist() == [True, False]
    assert (x != y).tolist() == [False, True]
    assert len({x, y, x}) == 2


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (lambda: samara.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: samara.tensor(3), "tensor(3)"),
        (lambda: samara.tensor([True]), "tensor([ True])"),
        (lambda: samara.tensor([1.0], dtype=samara.bfloat16), "dtype=samara.bfloat16"),
        (lambda: samara.ones(0, 3), "shape=(0, 3)"),
        (lambda: samara.ones(1, requires_grad=True), "requires_grad=True"),
        (lambda: samara.ones(1, requires_grad=True) * 2, "multiply"),
        (lambda: samara.zeros(10_000), "..."),
    ],
)
def test_repr(x: object, text: str) -> None:
    shown = repr(x())
    assert text in shown
    assert len(shown) < 200


def test_repr_of_many_rows_lines_up() -> None:
    lines = repr(samara.tensor([[1.0, -2.0], [3.0, 4.0]])).splitlines()
    assert len(lines) == 2 and lines[1].index("[") == lines[0].rindex("[")


class Labelled(samara.Tensor):
    """A subclass with an attribute of its own."""

    label: str


def test_subclasses_carry_attributes_and_share_memory() -> None:
    x = samara.zeros(3)
    y = Labelled(x)
    y.label = "weights"
    y[0] = 5.0
    assert x.tolist() == [5.0, 0.0, 0.0]
    assert isinstance(y, samara.Tensor) and type(y + 1) is samara.Tensor
    z = copy.deepcopy(y)
    assert type(z) is Labelled and z.label == "weights" and z.tolist() == y.tolist()
    assert z.data_ptr() != y.data_ptr()


@pytest.mark.parametrize("dtype", samara.dtypes.ALL, ids=lambda dtype: dtype.name)
def test_pickle_keeps_dtype_values_and_flags(dtype: samara.DType) -> None:
    x = samara.tensor([[0, 1], [1, 0]]).to(dtype)
    x.requires_grad = dtype.is_floating_point
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype is dtype and y.shape == x.shape and y.requires_grad == x.requires_grad
    assert y.tolist() == x.tolist()


def test_a_small_view_carries_only_its_own_bytes() -> None:
    large = samara.zeros(1000, 1000)
    view = large[3:5, ::500]
    assert len(pickle.dumps(view)) < 1000
    copied = copy.deepcopy(view)
    assert copied.tolist() == view.tolist()
    samara._core.trim_memory()
    before = samara.memory_statistics()["live_bytes"]
    again = copy.deepcopy(view)
    assert samara.memory_statistics()["live_bytes"] - before < 4096
    assert again.shape == (2, 2)


def test_deepcopy_keeps_sharing_inside_one_copy() -> None:
    x = samara.ones(2, requires_grad=True)
    x.grad = samara.tensor([1.0, 2.0])
    a, b = copy.deepcopy([x, x])
    assert a is b and a.requires_grad and a.grad is not None
    assert a.grad.tolist() == [1.0, 2.0] and a.grad.data_ptr() != x.grad.data_ptr()


def test_results_of_operations_are_not_pickled_silently() -> None:
    y = samara.ones(2, requires_grad=True) * 2
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(GradientError, match=r"detach\(\)"):
            carry(y)


def test_copy_writes_into_the_target() -> None:
    x = samara.zeros(2, 3)
    pointer = x.data_ptr()
    assert x.copy_(samara.tensor([1, 2, 3])) is x
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2 and x.data_ptr() == pointer
    with pytest.raises(ShapeError, match="copy"):
        x.copy_(samara.ones(4))


def test_data_is_the_same_memory_outside_the_graph() -> None:
    x = samara.ones(2, requires_grad=True)
    alias = x.data
    assert not alias.requires_grad and alias.data_ptr() == x.data_ptr()
    alias[0] = 7.0
    assert x.tolist() == [7.0, 1.0]
    x.data = samara.zeros(3)
    assert x.shape == (3,) and x.requires_grad


def test_to() -> None:
    x = samara.ones(2)
    assert x.to(samara.float32) is x and x.to("cpu") is x
    assert x.to(samara.float32, copy=True).data_ptr() != x.data_ptr()
    assert x.to(samara.int8).dtype is samara.int8
    assert x.to(samara.ones(1, dtype=samara.float64)).dtype is samara.float64
    assert x.to("cpu", samara.float16).dtype is samara.float16
    assert x.double().dtype is samara.float64 and x.long().dtype is samara.int64
    with pytest.raises(DTypeError, match="there is no argument 'dtyp'"):
        x.to(dtyp=samara.int8)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1, 2], "int64"),
        ([1.0], "float32"),
        ([True], "bool"),
        ([1j], "complex64"),
        ([[1, 2.5]], "float32"),
        ([], "float32"),
        (np.array([1.0]), "float64"),
        (np.array([1], np.uint16), "uint16"),
        (np.float64(2.0), "float64"),
        (np.array([1.0], ml_dtypes.bfloat16), "bfloat16"),
        (range(3), "int64"),
        ([samara.tensor(1), samara.tensor(2)], "int64"),
    ],
)
def test_dtype_of_data(data: object, dtype: str) -> None:
    x = samara.tensor(data)
    assert x.dtype is getattr(samara, dtype)
    expected = [int(v) for v in data] if dtype == "int64" else np.asarray(data).tolist()
    assert x.tolist() == expected


def test_tensor_copies_and_asarray_shares() -> None:
    array = np.zeros(2, np.float32)
    copied, shared = samara.tensor(array), samara.asarray(array)
    array[0] = 1.0
    assert copied.tolist() == [0.0, 0.0] and shared.tolist() == [1.0, 0.0]
    assert samara.asarray(shared) is shared
    x = samara.ones(1, requires_grad=True)
    assert not samara.tensor(x).requires_grad


def test_signatures() -> None:
    assert list(inspect.signature(samara.softmax).parameters) == ["x", "axis"]
    assert inspect.signature(samara.softmax).parameters["axis"].default == -1
    keyword = inspect.signature(samara.sum).parameters["dtype"]
    assert keyword.kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.signature(samara.Tensor.softmax).parameters


def test_a_call_binds_like_python() -> None:
    x = samara.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert samara.sum(x, 1).tolist() == samara.sum(x=x, axis=1).tolist() == [3.0, 8.0]
    assert samara.sum(input=x, dim=1).tolist() == [3.0, 8.0]
    for call, text in [
        (lambda: samara.sum(x, axs=1), "there is no argument 'axs'"),
        (lambda: samara.sum(x, 1, axis=1), "given twice"),
        (lambda: samara.sum(), "'x' is missing"),
        (lambda: samara.sum(x, 1, False, samara.float64), "positional"),
        (lambda: samara.sum(x, axis="1"), "is a str"),
        (lambda: samara.sum([1.0]), "is a list"),
    ]:
        with pytest.raises(DTypeError, match=text):
            call()


def test_reshape_takes_sizes_one_by_one() -> None:
    x = samara.arange(6)
    assert x.reshape(2, 3).shape == x.reshape((2, 3)).shape == (2, 3)
    assert x.reshape(3, -1).shape == (3, 2)
    assert x.view(6, 1).shape == (6, 1)


def test_view_as_another_dtype_of_the_same_size() -> None:
    x = samara.tensor([1.0, -2.0])
    assert (
        x.view(samara.int32).tolist() == np.array([1.0, -2.0], np.float32).view(np.int32).tolist()
    )
    with pytest.raises(DTypeError, match="4 bytes"):
        x.view(samara.int64)


def test_operations_are_pickled_by_name() -> None:
    for operation in (samara.exp, samara.softmax, samara.outer):
        assert pickle.loads(pickle.dumps(operation)) is operation
        assert copy.deepcopy(operation) is operation
    assert "samara.exp" in repr(samara.exp) and samara.exp.__name__ == "exp"


def test_large_integers_beside_small_ones_keep_their_bits() -> None:
    values = [2**63 + 1, 5, 0]
    for x in (samara.tensor(values), samara.tensor(values, dtype=samara.uint64)):
        assert x.dtype is samara.uint64 and x.tolist() == values
    assert samara.tensor([float(2**63), 5.0]).dtype is samara.float32
    with pytest.raises(ArgumentError, match="fit into no dtype"):
        samara.tensor([-1, 2**63])
