"""Words of PyTorch's that model files use."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError


def test_names_of_dtypes() -> None:
    for name, dtype in {
        "half": samara.float16,
        "float": samara.float32,
        "double": samara.float64,
        "short": samara.int16,
        "int": samara.int32,
        "long": samara.int64,
        "cfloat": samara.complex64,
        "cdouble": samara.complex128,
    }.items():
        assert getattr(samara, name) is dtype and isinstance(dtype, samara.dtype)
        assert getattr(samara.ones(2), name)().dtype is dtype


def test_constants() -> None:
    assert samara.pi == np.pi and samara.e == np.e and samara.inf == np.inf
    assert np.isnan(samara.nan) and samara.newaxis is None
    assert samara.ones(2)[samara.newaxis].shape == (1, 2)


def test_sizes() -> None:
    shape = samara.zeros(2, 3).shape
    assert isinstance(shape, samara.Size) and samara.Size(shape) == (2, 3) == shape
    assert samara.Size(shape).numel() == 6 and samara.Size([4])[0] == 4
    assert repr(samara.Size([2, 3])) == "samara.Size([2, 3])"
    assert samara.zeros(samara.Size([2, 3])).shape == shape


def test_questions() -> None:
    x = samara.zeros(2, 3, dtype=samara.complex64)
    assert samara.is_tensor(x) and not samara.is_tensor(x.numpy())
    assert samara.is_complex(x) and not samara.is_floating_point(x) and samara.numel(x) == 6
    assert samara.is_nonzero(samara.tensor(3)) and not samara.tensor([0.0]).is_nonzero()
    with pytest.raises(ShapeError, match="one element"):
        x.is_nonzero()
    with pytest.raises(DTypeError, match="numel"):
        samara.numel([1])
    assert x.layout is samara.strided and not x.is_sparse and isinstance(x.layout, samara.layout)


def test_typed_constructors_and_type() -> None:
    x = samara.LongTensor([[1, 2]])
    assert x.dtype is samara.int64 and x.type() == "samara.LongTensor"
    assert samara.FloatTensor(2, 3).shape == (2, 3) and samara.FloatTensor().shape == (0,)
    assert x.type(samara.float16).dtype is samara.float16
    assert x.type("torch.DoubleTensor").dtype is samara.float64
    assert x.type() != x.float().type() and x.type(samara.int64) is x
    with pytest.raises(ArgumentError, match="LongTensor"):
        x.type("QuaternionTensor")


def test_seeds_and_threads() -> None:
    samara.manual_seed(3)
    first = samara.rand(4)
    samara.seed(3)
    assert (samara.rand(4) == first).all()
    threads = samara.get_num_threads()
    samara.set_num_threads(1)
    assert samara.thread_count() == 1
    samara.set_num_threads(threads)
    assert samara.scalar_tensor(2).dtype is samara.float32


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 2, 2, 3)])
def test_memory_formats(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    order = samara.channels_last if len(shape) == 4 else samara.channels_last_3d
    x = samara.tensor(values, requires_grad=True)
    for y in (
        *(x.contiguous(memory_format=order), x.to(memory_format=order)),
        x.clone(memory_format=order),
    ):
        assert y.is_contiguous(memory_format=order) and not y.is_contiguous()
        assert y.shape == shape and y.stride(1) == 1
        np.testing.assert_array_equal(y.detach().numpy(), values)
        assert y.contiguous(memory_format=order).data_ptr() == y.data_ptr()
        assert y.contiguous().is_contiguous()
    x.contiguous(memory_format=order).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(shape))
    assert x.contiguous(memory_format=samara.preserve_format) is x
    with pytest.raises(ShapeError, match="axes"):
        samara.ones(2).contiguous(memory_format=order)
    with pytest.raises(DTypeError, match="memory_format"):
        x.contiguous(memory_format="channels_last")
    assert pickle.loads(pickle.dumps(order)) is order is copy.deepcopy(order)


def test_a_result_keeps_its_gradient_when_asked() -> None:
    x = samara.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0] and x.grad.tolist() == [18.0, 36.0]
    with pytest.raises(GradientError, match="requires no grad"):
        samara.ones(2).retain_grad()


def test_cuda_says_when_there_is_none() -> None:
    assert samara.ones(2).pin_memory().tolist() == [1.0, 1.0]
    if not samara.is_available("cuda"):
        with pytest.raises(DeviceError):
            samara.ones(2).cuda()


def test_the_oldest_constructor_takes_sizes_or_data() -> None:
    assert samara.Tensor(2, 3).shape == (2, 3) and samara.Tensor().shape == (0,)
    data = samara.Tensor([[1, 2], [3, 4]])
    assert data.dtype is samara.float32 and data.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    weight = samara.nn.Parameter(samara.Tensor(4, 5))
    assert weight.requires_grad and samara.nn.init.ones_(weight).sum().item() == 20.0
    array = np.arange(3)
    assert samara.Tensor(array).dtype is samara.float32
