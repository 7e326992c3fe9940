"""NumPy's functions on tensors, copies of tensors, and the devices of DLPack."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DeviceError, DTypeError, GradientError

X = np.array([[3.0, 1.0, 2.0], [7.0, -4.0, 0.5]], np.float32)


def tensor() -> samara.Tensor:
    return samara.asarray(X.copy())


@pytest.mark.parametrize("name", ["sin", "exp", "sqrt", "isfinite", "negative"])
def test_ufuncs_compute_in_numpy(name: str) -> None:
    with np.errstate(invalid="ignore"):
        received = getattr(np, name)(tensor())
        expected = getattr(np, name)(X)
    assert type(received) is np.ndarray and received.dtype == expected.dtype
    np.testing.assert_array_equal(received, expected)
    assert type(np.add(tensor(), X)) is np.ndarray


def test_operators_compute_in_samara() -> None:
    for result in (X + tensor(), tensor() + X, np.float32(1) * tensor(), X @ tensor().T):
        assert isinstance(result, samara.Tensor)
    assert (X.astype(np.float64) * tensor()).dtype is samara.float64
    x = tensor()
    x += X
    np.testing.assert_array_equal(x.numpy(), 2 * X)


@pytest.mark.parametrize(
    "name", ["sum", "mean", "prod", "max", "min", "all", "any", "std", "var", "argmax", "cumsum"]
)
def test_functions_that_ask_for_a_method(name: str) -> None:
    received = getattr(np, name)(tensor(), axis=1)
    np.testing.assert_allclose(np.asarray(received), getattr(np, name)(X, axis=1), rtol=1e-6)


def test_array_of_a_tensor() -> None:
    x = tensor()
    array = np.asarray(x)
    assert array.__array_interface__["data"][0] == x.data_ptr()
    assert np.array(x).__array_interface__["data"][0] != x.data_ptr()
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x, copy=False) is not None and np.size(x) == 6 and np.shape(x) == (2, 3)
    x.requires_grad = True
    with pytest.raises(GradientError, match=r"detach\(\)"):
        np.asarray(x)
    with pytest.raises(GradientError):
        np.sin(x)


@pytest.mark.parametrize("dtype", samara.dtypes.ALL, ids=lambda d: d.name)
def test_copies_keep_values_and_dtype(dtype: Any) -> None:
    x = samara.asarray([[0, 1], [1, 1]]).to(dtype)[:, ::-1]
    for copied in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert copied.dtype is dtype and copied.tolist() == [[1, 0], [1, 1]]
        assert copied.data_ptr() != x.data_ptr()
        copied[0, 0] = 0
        assert x.tolist() == [[1, 0], [1, 1]]


def test_copies_of_dtypes_devices_and_counts() -> None:
    for constant in (samara.float32, samara.bfloat16, samara.Device("cpu")):
        assert pickle.loads(pickle.dumps(constant)) == copy.deepcopy(constant) == constant
    count = tensor().size
    assert count == 6 and isinstance(count, int) and count() == (2, 3) and count(1) == 3
    assert type(copy.copy(count)) is int and type(pickle.loads(pickle.dumps(count))) is int
    assert samara.Tensor.size(tensor()) == (2, 3)


def test_memory_goes_both_ways_without_a_copy() -> None:
    array = X.copy()
    x = samara.from_dlpack(array)
    assert x.data_ptr() == array.__array_interface__["data"][0]
    back = np.from_dlpack(x)
    assert back.__array_interface__["data"][0] == x.data_ptr()
    assert np.from_dlpack(x, copy=True).__array_interface__["data"][0] != x.data_ptr()
    assert samara.from_dlpack(array, copy=True).data_ptr() != x.data_ptr()
    assert samara.from_dlpack(array, device="cpu", copy=False).data_ptr() == x.data_ptr()


def test_dlpack_refuses_what_it_cannot_do() -> None:
    x = tensor()
    with pytest.raises(BufferError, match="Expected"):
        x.__dlpack__(dl_device=(2, 0))
    for wrong in (lambda: samara.from_dlpack(x, device="cuda"), lambda: x.to_device("cuda")):
        if not samara.is_available("cuda"):
            with pytest.raises(DeviceError):
                wrong()
    with pytest.raises(DTypeError, match="__dlpack__"):
        samara.from_dlpack([1.0])
    with pytest.raises(ArgumentError, match="stream"):
        x.to_device("cpu", stream=1)


def test_namespace_of_a_tensor() -> None:
    assert tensor().__array_namespace__() is samara
    assert tensor().__array_namespace__(api_version="2023.12") is samara
    with pytest.raises(ArgumentError, match=r"2021\.12"):
        tensor().__array_namespace__(api_version="2020.1")
    info = samara.__array_namespace_info__()
    assert set(info.dtypes()) == {
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float32", "float64", "complex64", "complex128"),
    }
    assert info.default_device() in info.devices()
    assert info.default_dtypes(device=info.default_device())["indexing"] is samara.int64


def test_median_is_numpys_as_a_function_and_pytorchs_as_a_method() -> None:
    x = np.array([5.0, 1.0, 3.0, 4.0])
    assert samara.median(samara.asarray(x)).item() == np.median(x) == 3.5
    assert samara.asarray(x).median().item() == 3.0
    assert samara.median(samara.asarray(x), dim=0).values.item() == 3.0
    for axis in (0, 1, None):
        np.testing.assert_array_equal(
            samara.median(tensor(), axis=axis).numpy(), np.median(X, axis=axis)
        )


def test_sizes_by_every_name() -> None:
    for zeros in (
        *(samara.zeros(2, 3), samara.zeros((2, 3)), samara.zeros(shape=(2, 3))),
        *(samara.zeros(size=(2, 3)), samara.full(size=(2, 3), fill_value=0.0)),
    ):
        assert zeros.shape == (2, 3) and not zeros.any()
    assert samara.tile(samara.arange(2), repetitions=(2,)).tolist() == [0, 1, 0, 1]
    assert samara.arange(2).tile(2, 1).shape == (2, 2)
