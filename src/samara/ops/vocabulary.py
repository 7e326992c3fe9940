"""Words that model files written for PyTorch use and that compute nothing new."""

from __future__ import annotations

import math
import weakref
from typing import Any

import samara._core as _core
from samara._core import Device, DType
from samara.device import resolve
from samara.errors import ArgumentError, DTypeError, GradientError, ShapeError
from samara.ops.memory import clone, contiguous
from samara.ops.record import METHODS, plain
from samara.tensor import Tensor, tensor

__all__ = [
    "Layout",
    "MemoryFormat",
    "Size",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "preserve_format",
    "strided",
]


class _AnyTuple(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, tuple)


class Size(tuple[int, ...], metaclass=_AnyTuple):
    """A shape as PyTorch names it: a tuple of ints. `x.shape` is a plain tuple, and counts as one.

    >>> samara.Size([2, 3]) == samara.zeros(2, 3).shape, samara.Size([2, 3]).numel()
    (True, 6)
    >>> isinstance(samara.zeros(2, 3).shape, samara.Size)
    True
    """

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __repr__(self) -> str:
        """The sizes in brackets, as in PyTorch."""
        return f"samara.Size({list(self)})"


class _Constant:
    """A named value; compared by identity."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        """The name in the namespace."""
        return f"samara.{self.name}"

    def __reduce__(self) -> str:
        """Pickled and copied by name."""
        return self.name


class MemoryFormat(_Constant):
    """An order in which the elements of an image lie."""


class Layout(_Constant):
    """How a tensor is stored; all of Samara's are strided."""


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")
strided = Layout("strided")
_CHANNELS_LAST = {4: channels_last, 5: channels_last_3d}


def _in_format(x: Tensor, memory_format: Any, place: str) -> Tensor:
    """X itself where it lies in that order already, or a copy."""
    if memory_format is preserve_format:
        return x
    if memory_format is contiguous_format:
        return contiguous(x)
    if not isinstance(memory_format, MemoryFormat):
        raise DTypeError(
            f"{place}: memory_format is a {type(memory_format).__name__}. Expected "
            "samara.contiguous_format, channels_last or preserve_format. Fix: pass one of them."
        )
    if _CHANNELS_LAST.get(x.ndim) is not memory_format:
        raise ShapeError(
            f"{place}: {memory_format!r} was asked for a tensor of shape {x.shape}. Expected "
            f"{5 if memory_format is channels_last_3d else 4} axes, [N, C, *spatial]. "
            "Fix: reshape it."
        )
    last = (0, *range(2, x.ndim), 1)
    first = (0, x.ndim - 1, *range(1, x.ndim - 1))
    ordered: Tensor = contiguous(x.permute(last))
    return ordered.permute(first)


def _contiguous_method(x: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """X with its elements in row-major order, or channels last; x itself where it lies so."""
    if memory_format is contiguous_format:
        return contiguous(x)
    return _in_format(x, memory_format, "contiguous")


def _clone_method(x: Tensor, *, memory_format: Any = preserve_format) -> Tensor:
    """A copy; gradients pass."""
    copied = clone(x)
    return _in_format(copied, memory_format, "clone")


def _is_contiguous_method(x: Tensor, memory_format: Any = contiguous_format) -> bool:
    """Whether the elements lie in row-major order, or channels last."""
    if memory_format is contiguous_format or memory_format is preserve_format:
        return _is_row_major(x)
    if _CHANNELS_LAST.get(x.ndim) is not memory_format:
        return False
    return _is_row_major(x.permute((0, *range(2, x.ndim), 1)))


_is_row_major = Tensor.is_contiguous


@plain()
def is_tensor(obj: Any) -> bool:
    """Whether the object is a tensor.

    >>> samara.is_tensor(samara.zeros(1)), samara.is_tensor([0.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


@plain()
def is_floating_point(x: Tensor) -> bool:
    """Whether the elements are real floating-point numbers.

    >>> samara.is_floating_point(samara.zeros(1)), samara.is_floating_point(samara.arange(2))
    (True, False)
    """
    return x.dtype.is_floating_point


@plain()
def is_complex(x: Tensor) -> bool:
    """Whether the elements are complex numbers.

    >>> samara.is_complex(samara.zeros(1, dtype=samara.complex64))
    True
    """
    return x.dtype.is_complex


@plain()
def numel(x: Tensor) -> int:
    """The number of elements.

    >>> samara.numel(samara.zeros(2, 3))
    6
    """
    count: int = x.numel()
    return count


@plain("is_nonzero")
def is_nonzero(x: Tensor) -> bool:
    """Whether the one element of x is not 0. Raises ShapeError for more or fewer elements.

    >>> samara.is_nonzero(samara.tensor([2.0]))
    True
    """
    if x.numel() != 1:
        raise ShapeError(
            f"is_nonzero: x has shape {x.shape}. Expected one element. Fix: use (x != 0).any()."
        )
    return bool(x.item())


@plain()
def scalar_tensor(
    value: Any, *, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """A 0-d tensor of a number, of the default floating dtype unless told otherwise.

    >>> samara.scalar_tensor(2).dtype
    samara.float32
    """
    return tensor(value, dtype=dtype or _core.default_dtype(), device=device)


@plain()
def set_num_threads(count: Any) -> None:
    """Sets how many threads compute: PyTorch's name of `samara.set_thread_count`.

    >>> samara.set_num_threads(samara.get_num_threads())
    """
    _core.set_thread_count(count)


@plain()
def get_num_threads() -> int:
    """How many threads compute: PyTorch's name of `samara.thread_count`.

    >>> samara.get_num_threads() == samara.thread_count()
    True
    """
    return _core.thread_count()


_SCALARS = (bool, float, complex, str)
# PyTorch's names of dtypes in constructors: FloatTensor([1, 2]), LongTensor(2, 3).
_TYPE_NAMES = {
    "BoolTensor": _core.bool,
    "ByteTensor": _core.uint8,
    "CharTensor": _core.int8,
    "ShortTensor": _core.int16,
    "IntTensor": _core.int32,
    "LongTensor": _core.int64,
    "HalfTensor": _core.float16,
    "BFloat16Tensor": _core.bfloat16,
    "FloatTensor": _core.float32,
    "DoubleTensor": _core.float64,
}


def from_sizes_or_data(
    *data: Any, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """PyTorch's oldest constructor: sizes make a tensor of any values, a sequence is its data.

    Tensor(2, 3) -> [2, 3]; Tensor() -> [0]; Tensor([2, 3]) -> [2], of the default dtype. Raises
    ArgumentError for a tuple of ints: it might be either.
    """
    dtype = _core.default_dtype() if dtype is None else dtype
    if all(isinstance(size, int) and not isinstance(size, bool) for size in data):
        from samara.ops.creation import empty

        made: Tensor = empty(data or 0, dtype=dtype, device=device)
        return made
    given = data[0]
    if len(data) > 1 or isinstance(given, _SCALARS):
        raise DTypeError(
            f"Tensor: received {', '.join(map(repr, data))}. Expected a tensor, sizes as ints, or "
            "one sequence of numbers. Fix: use samara.tensor(data)."
        )
    if isinstance(given, tuple) and given and all(isinstance(item, int) for item in given):
        raise ArgumentError(
            f"Tensor: {given} may be a shape or data. Expected ints one by one, or a list. Fix: "
            "write samara.empty(shape), or samara.tensor(data)."
        )
    return tensor(given, dtype=dtype, device=device)


def _typed_constructor(name: str, dtype: DType) -> Any:
    def make(*data: Any) -> Tensor:
        return from_sizes_or_data(*data, dtype=dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""A tensor of {dtype.name}: of data, or of sizes with any values.

    Raises ArgumentError for a tuple of ints, which might be either.

    >>> samara.{name}([1, 0]).dtype
    samara.{dtype.name}
    """
    return make


for _name, _dtype in _TYPE_NAMES.items():
    plain()(_typed_constructor(_name, _dtype))


def _type(x: Tensor, dtype: Any = None) -> Any:
    """The name of the tensor's type, such as 'samara.FloatTensor', or x in another dtype."""
    if dtype is None:
        names = {kind: name for name, kind in _TYPE_NAMES.items()}
        return f"samara.{names.get(x.dtype, x.dtype.name)}"
    if isinstance(dtype, str):
        short = dtype.rpartition(".")[2]
        if short not in _TYPE_NAMES:
            raise ArgumentError(
                f"type: there is no {dtype!r}. Expected one of {', '.join(_TYPE_NAMES)}, or a "
                "dtype. Fix: correct the name."
            )
        dtype = _TYPE_NAMES[short]
    return x.to(dtype)


def _cuda(x: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The same values on a CUDA device."""
    return x.to(resolve("cuda" if device is None else device))


def _retain_grad(x: Tensor) -> None:
    """Keeps the gradient of a result in its `grad`, as leaves do."""
    if not x.requires_grad:
        raise GradientError(
            "retain_grad: the tensor requires no grad. Expected one that does. "
            "Fix: compute it from tensors that require grad."
        )
    if x.is_leaf or x in _retained:
        return
    held = weakref.ref(x)
    _retained[x] = True

    def keep(gradient: Tensor) -> None:
        result = held()
        if result is not None:
            result.grad = gradient if result.grad is None else result.grad + gradient

    x.register_hook(keep)


class _ByIdentity:
    """Which tensors were asked to retain their gradient; forgets them when they die."""

    def __init__(self) -> None:
        self._marks: dict[int, Any] = {}

    def __contains__(self, x: Tensor) -> bool:
        return id(x) in self._marks

    def __setitem__(self, x: Tensor, value: bool) -> None:
        key = id(x)
        self._marks[key] = weakref.ref(x, lambda _: self._marks.pop(key, None))


_retained = _ByIdentity()

METHODS.update(
    {
        "cfloat": lambda x: x.to(_core.complex64),
        "cdouble": lambda x: x.to(_core.complex128),
        "clone": _clone_method,
        "contiguous": _contiguous_method,
        "cuda": _cuda,
        "is_contiguous": _is_contiguous_method,
        "is_sparse": property(lambda x: False, doc="False: every tensor is strided."),
        "layout": property(lambda x: strided, doc="samara.strided, the only one."),
        "pin_memory": lambda x: x,
        "retain_grad": _retain_grad,
        "retains_grad": property(
            lambda x: not x.is_leaf and x in _retained, doc="Whether retain_grad was called."
        ),
        "type": _type,
    }
)
