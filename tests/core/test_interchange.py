"""Memory shared with NumPy and others, both ways, shown by equal addresses."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError, GradientError, SamaraError

NAMES = [dtype.name for dtype in samara.dtypes.ALL]


def array_of(name: str) -> Any:
    dtype = ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)
    return np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("name", NAMES)
def test_numpy_to_tensor_and_back_is_one_memory(name: str) -> None:
    array = array_of(name)
    x = samara.from_numpy(array)
    assert x.data_ptr() == address(array) and x.dtype.name == name
    back = x.numpy()
    assert address(back) == address(array)
    assert back.dtype == array.dtype and back.tolist() == array.tolist()
    back[0, 0] = 1
    assert bool(x[0, 0] == 1)


@pytest.mark.parametrize("name", NAMES)
def test_tensor_to_numpy_is_one_memory(name: str) -> None:
    x = samara.ones(2, 3, dtype=getattr(samara, name))[:, ::2]
    array = np.asarray(x)
    assert array.shape == (2, 2)
    assert address(x.numpy()) == x.data_ptr()
    x[0, 1] = 0
    assert x.numpy()[0, 1] == 0


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bfloat16"])
def test_dlpack_both_ways_is_one_memory(name: str) -> None:
    array = array_of(name)
    x = samara.from_dlpack(array)
    assert x.data_ptr() == address(array)
    y = samara.ones(2, 3, dtype=getattr(samara, name)).T
    shared = np.from_dlpack(y)
    assert address(shared) == y.data_ptr() and shared.strides == tuple(
        s * y.itemsize for s in y.stride()
    )
    assert y.__dlpack_device__() == (1, 0)


def test_dlpack_between_tensors_keeps_bfloat16() -> None:
    x = samara.ones(2, dtype=samara.bfloat16)

    class Producer:
        def __dlpack__(self, **options: Any) -> Any:
            return x.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return x.__dlpack_device__()

    y = samara.from_dlpack(Producer())
    assert y.dtype is samara.bfloat16 and y.data_ptr() == x.data_ptr()
    assert samara.asarray(Producer()).data_ptr() == x.data_ptr()
    copied = samara.from_dlpack(Producer(), copy=True)
    assert copied.data_ptr() != x.data_ptr()


def test_old_and_new_capsules() -> None:
    x = samara.ones(2)
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    old = x.__dlpack__()
    assert "versioned" not in repr(old)
    y = samara._core.from_dlpack_capsule(old)
    assert y.data_ptr() == x.data_ptr()
    with pytest.raises(ArgumentError, match="used already"):
        samara._core.from_dlpack_capsule(old)


def test_memory_lives_as_long_as_any_view_of_it() -> None:
    class Array(np.ndarray):
        """A subclass, since plain arrays take no weak references to themselves."""

    array = np.ones(5).view(Array)
    alive = weakref.ref(array)
    x = samara.from_numpy(array)[1:]
    del array
    gc.collect()
    assert alive() is not None and x.tolist() == [1.0] * 4
    del x
    gc.collect()
    assert alive() is None
    seen = samara.ones(4).numpy()
    gc.collect()
    assert seen.tolist() == [1.0] * 4


def test_unused_capsules_release_their_memory() -> None:
    live = samara.memory_statistics()["live_bytes"]
    capsule = samara.zeros(1000).__dlpack__(max_version=(1, 0))
    assert samara.memory_statistics()["live_bytes"] > live
    del capsule
    gc.collect()
    assert samara.memory_statistics()["live_bytes"] == live


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::2],
        lambda a: a[::-1, ::-1],
        lambda a: a[:, 1:],
        lambda a: np.broadcast_to(a[0], (3, 4)),
        lambda a: a[:0],
        lambda a: a[1, 2],
    ],
)
def test_strided_arrays(view: Any) -> None:
    array = np.asarray(view(np.arange(12.0).reshape(3, 4)))
    x = samara.from_numpy(array)
    assert x.tolist() == array.tolist()
    if array.size:
        assert x.data_ptr() == address(array)
    assert (x + 1).tolist() == (array + 1).tolist()
    assert x.numpy().strides == array.strides


def test_read_only_arrays_are_not_written() -> None:
    array = np.ones(3)
    array.setflags(write=False)
    x = samara.from_numpy(array)
    assert x.data_ptr() == address(array)
    for write in (
        lambda: x.add_(1.0),
        lambda: x.__setitem__(0, 2.0),
        lambda: x[1:].copy_(samara.zeros(2)),
    ):
        with pytest.raises(ArgumentError, match=r"read-only.*Fix: "):
            write()
    assert array.tolist() == [1.0] * 3
    assert not x.numpy().flags.writeable
    assert (x * 2).tolist() == [2.0] * 3
    with pytest.raises((ArgumentError, BufferError), match="read-only"):
        x.__dlpack__()
    assert not np.from_dlpack(x).flags.writeable
    assert samara.tensor(array).add_(1.0).tolist() == [2.0] * 3
    assert samara.asarray(array).tolist() == [1.0] * 3


def test_foreign_byte_order_is_converted_or_refused() -> None:
    array = np.array([1.0, -2.5, 3.0]).astype(">f4")
    assert samara.tensor(array).tolist() == [1.0, -2.5, 3.0]
    assert samara.asarray(array).dtype is samara.float32
    with pytest.raises(ArgumentError, match="byte order"):
        samara.from_numpy(array)
    with pytest.raises(ArgumentError, match=r"byte order.*Fix: "):
        samara.asarray(array, copy=False)
    assert samara.tensor(np.array([1, 256], ">i2")).tolist() == [1, 256]


def test_misaligned_and_odd_strides() -> None:
    block = np.zeros(17, np.uint8)
    array = block[1:].view(np.float64)
    array[:] = [1.0, 2.0]
    assert samara.tensor(array).tolist() == [1.0, 2.0]
    with pytest.raises(ArgumentError, match="alignment"):
        samara.from_numpy(array)
    records = np.zeros(3, dtype=[("a", np.int8), ("b", np.float32)])
    records["b"] = [1.0, 2.0, 3.0]
    assert samara.tensor(records["b"]).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]),
        np.array([object()]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, np.longdouble),
        np.zeros(1, dtype=[("a", np.int8)]),
        np.zeros(2, ml_dtypes.float8_e5m2),
    ],
)
def test_arrays_without_a_dtype_here(array: Any) -> None:
    for make in (samara.tensor, samara.asarray, samara.from_numpy):
        with pytest.raises(DTypeError, match=r"Expected .*Fix: "):
            make(array)


def test_gradients_do_not_leave_silently() -> None:
    x = samara.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match=r"detach\(\)"):
        x.numpy()
    with pytest.raises((GradientError, BufferError), match="requires grad"):
        np.from_dlpack(x)
    assert x.numpy(force=True).tolist() == x.detach().numpy().tolist() == [1.0, 1.0]


def test_the_buffer_protocol() -> None:
    x = samara.tensor([[1, 2], [3, 4]], dtype=samara.int16)
    view = memoryview(x)
    assert (view.format, view.shape, view.strides) == ("h", (2, 2), (4, 2))
    assert view.tolist() == [[1, 2], [3, 4]]
    assert bytes(x) == np.array([[1, 2], [3, 4]], np.int16).tobytes()
    with pytest.raises(BufferError, match="contiguous"):
        np.frombuffer(x.T, np.int16)
    shared = samara.asarray(bytearray(b"\x01\x02"))
    assert shared.dtype is samara.uint8 and shared.tolist() == [1, 2]


def test_numpy_functions_accept_tensors() -> None:
    x = samara.tensor([1.0, 2.0])
    assert np.add(x, 1).tolist() == [2.0, 3.0]
    assert np.array(x, dtype=np.int32).tolist() == [1, 2]
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    copied = np.array(x)
    copied[0] = 9.0
    assert x.tolist() == [1.0, 2.0]


def test_sharing_is_refused_rather_than_copied() -> None:
    for obj, options in (
        ([1.0], {}),
        (np.ones(2), {"dtype": samara.float32}),
    ):
        with pytest.raises(ArgumentError, match="copy"):
            samara.asarray(obj, copy=False, **options)
    with pytest.raises(SamaraError, match="__dlpack__"):
        samara.from_dlpack([1.0])


def test_memory_that_came_back_overlaps_its_tensor() -> None:
    for back in (lambda x: samara.from_numpy(x.numpy()), samara.from_dlpack):
        x = samara.arange(6.0)
        x[1:].add_(back(x)[:-1])
        assert x.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 9.0]
        x = samara.arange(5000.0)
        x[1:].copy_(back(x)[:-1])
        assert x.tolist() == [0.0, *range(4999)]
