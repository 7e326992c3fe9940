"""Tensors from data, and the tensor methods that are not operations."""

from __future__ import annotations

import copyreg
import math
from collections.abc import Iterator
from typing import Any, cast

import ml_dtypes
import numpy as np

import samara._core as _core
from samara._core import Device, DType, Tensor
from samara.device import current_device, resolve
from samara.dtypes import ALL, from_numpy_dtype, to_numpy_dtype
from samara.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError
from samara.printing import array_text

__all__ = ["Tensor", "as_tensor", "asarray", "from_dlpack", "from_numpy", "index_array", "tensor"]

_transfer = _core.Operation("transfer(x, device: device)", "transfer")
_astype = _core.Operation("astype(x, dtype: dtype, copy: bool = True)", "astype")
_clone = _core.Operation("clone(x)", "clone")
_contiguous = _core.Operation("contiguous(x)", "contiguous")
_view = _core.Operation("view(x, shape: ints)", "view")
_MAX_RANK = 16
_SCALARS = (bool, int, float, complex)


# --- tensors from data ---------------------------------------------------------------------------


def _share(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over an array's memory; the array has a dtype Samara knows, in native byte order."""
    dtype = from_numpy_dtype(array.dtype)
    if dtype is _core.bfloat16:
        array = array.view(np.uint16)
    return _core.from_buffer(array, dtype)


def _shareable(array: np.ndarray[Any, Any]) -> bool:
    return (
        array.dtype.isnative
        and bool(array.flags.aligned)
        and all(stride % array.itemsize == 0 for stride in array.strides)
    )


def _native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy in native byte order and row-major layout."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)


def _owned(array: np.ndarray[Any, Any]) -> Tensor:
    """A row-major copy of an array in memory of Samara's own."""
    if not _shareable(array):
        return _copied(_share(_native(array)))
    shared = _share(array)
    return _copied(shared) if shared.is_contiguous() else cast(Tensor, _contiguous(shared))


def _check_array(array: np.ndarray[Any, Any], place: str) -> None:
    if array.dtype.name != "bfloat16" and array.dtype.kind in "OUSVMm":
        raise DTypeError(
            f"{place}: an array of dtype {array.dtype} was given. Expected numbers or bools. "
            "Fix: convert it, e.g. array.astype('float32')."
        )
    from_numpy_dtype(array.dtype)


def _array_of(data: Any, place: str) -> np.ndarray[Any, Any]:
    """Nested sequences as an array: floats take the default dtype, ints int64."""
    if isinstance(data, (list, tuple)):
        data = _plain(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            f"{place}: the nested sequence is ragged ({error}). Expected rows of equal length. "
            "Fix: pad the shorter rows."
        ) from None
    except OverflowError as error:
        raise ArgumentError(
            f"{place}: {error}. Expected integers of 64 bits. Fix: pass floats."
        ) from None
    if array.dtype == object and array.size:
        ragged = isinstance(data, (list, tuple)) and any(
            isinstance(item, (list, tuple)) for item in data
        )
        if ragged:
            raise ShapeError(
                f"{place}: the nested sequence is ragged. Expected rows of equal length. "
                "Fix: pad the shorter rows."
            )
    _check_array(array, place)
    return _exact(data, array, place) if array.dtype == np.float64 else array


def _exact(data: Any, array: np.ndarray[Any, Any], place: str) -> np.ndarray[Any, Any]:
    """Integers of which some need uint64 and some do not: NumPy rounds these to floats."""
    if not array.size or np.abs(array).max() < 2.0**63:
        return array
    items = np.asarray(data, object).ravel().tolist()
    if not all(isinstance(item, (int, np.integer)) for item in items):
        return array
    if min(items) < 0:
        raise ArgumentError(
            f"{place}: integers from {min(items)} to {max(items)} fit into no dtype. Expected "
            "integers of 64 bits. Fix: pass floats."
        )
    return np.asarray(items, np.uint64).reshape(array.shape)


def _plain(data: Any, depth: int = 0) -> Any:
    """Tensors inside nested sequences as arrays."""
    if depth > _MAX_RANK:
        raise ShapeError(
            f"tensor: the sequence is nested more than {_MAX_RANK} deep, or holds itself. Expected "
            f"at most {_MAX_RANK} axes. Fix: flatten it."
        )
    if isinstance(data, Tensor):
        return data.detach().numpy()
    if isinstance(data, (list, tuple)) and any(
        isinstance(item, (Tensor, list, tuple)) for item in data
    ):
        return [_plain(item, depth + 1) for item in data]
    return data


def _is_python_data(data: Any) -> bool:
    return isinstance(data, (*_SCALARS, list, tuple, range)) and not isinstance(data, np.generic)


def _default_for(array: np.ndarray[Any, Any]) -> DType:
    kind = array.dtype.kind
    default = _core.default_dtype()
    if kind == "f":
        return default
    if kind == "c":
        return _core.complex128 if default is _core.float64 else _core.complex64
    return from_numpy_dtype(array.dtype)


def tensor(
    data: Any,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor with a copy of the data.

    data: numbers, nested sequences, arrays, tensors -> [*S]. Python floats take the default dtype,
    ints int64; arrays keep theirs. Raises ShapeError for ragged sequences, DTypeError for objects.

    >>> samara.tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    result = asarray(data, dtype=dtype, device=device, copy=True)
    if isinstance(data, Tensor):
        result = result.detach()
    if requires_grad:
        result.requires_grad = True
    return result


def asarray(
    obj: Any,
    /,
    dtype: DType | None = None,
    device: Device | str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """A tensor with the data of `obj`, sharing its memory where `copy` is not True.

    obj: tensors, NumPy arrays, objects with DLPack or the buffer protocol, numbers, nested
    sequences. With copy=False a copy that is needed raises ArgumentError.
    Source: Python Array API standard 2025.12, `asarray`.

    >>> samara.asarray([1.0, 2.0]).dtype
    samara.float32
    """
    if dtype is not None and not isinstance(dtype, DType):
        dtype = _dtype_argument(dtype)
    if isinstance(obj, Tensor):
        return _convert(obj, dtype, device, copy)
    if _is_python_data(obj):
        if copy is False:
            raise ArgumentError(
                "asarray: Python numbers have no memory to share. Expected an array with "
                "copy=False. Fix: leave copy out."
            )
        array = _array_of(obj, "asarray")
        place = current_device() if device is None else device
        return _convert(_owned(array), dtype or _default_for(array), place, None)
    return _convert(_from_foreign(obj, copy), dtype, device, False if copy is False else None)


def _copied(x: Tensor) -> Tensor:
    return cast(Tensor, _clone(x))


def _dtype_argument(dtype: Any) -> DType:
    if isinstance(dtype, DType):
        return dtype
    python_types = {
        bool: _core.bool,
        int: _core.int64,
        float: _core.float64,
        complex: _core.complex128,
    }
    if dtype in python_types:
        return python_types[dtype]
    try:
        return from_numpy_dtype(dtype)
    except TypeError:
        raise DTypeError(
            f"dtype: {dtype!r} was given. Expected a dtype such as samara.float32. "
            "Fix: pass a dtype."
        ) from None


def _from_foreign(obj: Any, copy: bool | None) -> Tensor:
    if isinstance(obj, (np.ndarray, np.generic)) or not hasattr(obj, "__dlpack__"):
        if hasattr(obj, "__array__") or hasattr(obj, "__array_interface__"):
            array = np.asarray(obj)
        else:
            array = _array_of(obj, "asarray")
        _check_array(array, "asarray")
        sharing = _shareable(array) and (array.flags.writeable or copy is False)
        if sharing and copy is not True:
            return _share(array)
        if copy is False:
            raise ArgumentError(
                "asarray: the array's byte order or layout needs a copy. Expected native, aligned "
                "memory with copy=False. Fix: leave copy out."
            )
        return _owned(array)
    shared = from_dlpack(obj)
    return _copied(shared) if copy else shared


def _convert(
    x: Tensor, dtype: DType | None, device: Device | str | None, copy: bool | None
) -> Tensor:
    target = x.device if device is None else resolve(device)
    changes = (dtype is not None and dtype is not x.dtype) or target != x.device
    if changes and copy is False:
        raise ArgumentError(
            "asarray: another dtype or device needs a copy. Expected the array's own with "
            "copy=False. Fix: leave copy out."
        )
    if dtype is not None and dtype is not x.dtype:
        x = _astype(x, dtype)
        copy = None
    if target != x.device:
        return cast(Tensor, _transfer(x, target))
    return _copied(x) if copy else x


as_tensor = asarray


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares a NumPy array's memory.

    array: [*S], writable or not -> [*S]. Raises ArgumentError where sharing is impossible (foreign
    byte order, misaligned memory), DTypeError for dtypes without a counterpart.

    >>> a = np.zeros(3); samara.from_numpy(a)[0] = 1.0; a.tolist()
    [1.0, 0.0, 0.0]
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            f"from_numpy: a {type(array).__name__} was given. Expected a NumPy array. "
            "Fix: use samara.asarray."
        )
    _check_array(array, "from_numpy")
    if not _shareable(array):
        raise ArgumentError(
            "from_numpy: the array's byte order, alignment or strides cannot be shared. Expected "
            "native, aligned memory. Fix: use samara.tensor(array), which copies."
        )
    return _share(array)


def from_dlpack(
    obj: Any, /, *, device: Device | str | None = None, copy: bool | None = None
) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack.

    Source: Python Array API standard 2025.12, `from_dlpack`; DLPack 1.0.

    >>> samara.from_dlpack(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if isinstance(obj, Tensor):
        return _convert(obj.detach(), None, device, copy)
    if not hasattr(obj, "__dlpack__"):
        raise DTypeError(
            f"from_dlpack: a {type(obj).__name__} has no __dlpack__. Expected an array that speaks "
            "DLPack. Fix: use samara.asarray."
        )
    try:
        capsule = obj.__dlpack__(max_version=(1, 0))
    except TypeError:
        capsule = obj.__dlpack__()
    except BufferError as error:
        if not isinstance(obj, np.ndarray):
            raise ArgumentError(
                f"from_dlpack: the producer refuses to share ({error}). Expected memory that may "
                "be shared. Fix: copy the array first."
            ) from None
        return _convert(_share(obj if _shareable(obj) else _native(obj)), None, device, copy)
    return _convert(_core.from_dlpack_capsule(capsule), None, device, copy)


def index_array(obj: Any) -> Tensor:
    """A list or array used as an index, as a tensor of integers or bools."""
    array = np.asarray(obj)
    if array.size == 0 and not isinstance(obj, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise DTypeError(
            f"index: a {type(obj).__name__} of dtype {array.dtype} was used as an index. Expected "
            "integers or bools. Fix: convert it, e.g. with astype(int)."
        )
    return _share(_native(array))


# --- methods -------------------------------------------------------------------------------------


def _numpy(self: Tensor, dtype: Any = None, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The values as a NumPy array that shares the memory; `force` detaches and copies as needed."""
    x = self
    if x.requires_grad:
        if not force:
            raise GradientError(
                "numpy: the tensor requires grad, and NumPy records no gradients. Expected a "
                "tensor outside the graph. Fix: use x.detach().numpy()."
            )
        x = x.detach()
    if str(x.device) != "cpu":
        if not force:
            raise DeviceError(
                f"numpy: the tensor is on '{x.device}'. Expected memory that NumPy can reach. "
                "Fix: use x.to('cpu').numpy()."
            )
        x = _transfer(x, "cpu")
    if x.dtype is _core.bfloat16:
        bits = np.asarray(_core.reinterpret(x, _core.uint16))
        array: np.ndarray[Any, Any] = bits.view(ml_dtypes.bfloat16)
    else:
        array = np.asarray(memoryview(x))
    return array if dtype is None else array.astype(dtype)


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    array = _numpy(self)
    if dtype is not None and array.dtype != np.dtype(dtype):
        return array.astype(dtype)
    return array.copy() if copy else array


def _tolist(self: Tensor) -> Any:
    """The values as nested lists of Python numbers."""
    array = _numpy(self, force=True)
    if self.dtype is _core.bfloat16:
        array = array.astype(np.float32)
    values: Any = array.tolist()
    return values


def _text(self: Tensor) -> str:
    array = _numpy(self, force=True)
    if self.dtype is _core.bfloat16:
        array = array.astype(np.float32)
    parts = [array_text(array, "tensor(")]
    plain = (_core.bool, _core.int64, _core.default_dtype())
    if self.dtype not in plain or (self.numel() == 0 and self.dtype is not plain[-1]):
        parts.append(f"dtype={self.dtype!r}")
    if self.numel() == 0:
        parts.append(f"shape={self.shape}")
    if str(self.device) != "cpu":
        parts.append(f"device='{self.device}'")
    node = _core.grad_fn(self)
    if node is not None:
        parts.append(f"grad_fn={node!r}")
    elif self.requires_grad:
        parts.append("requires_grad=True")
    return f"tensor({', '.join(parts)})"


def _like(other: Any, place: str) -> Tensor:
    if isinstance(other, Tensor):
        return other
    raise DTypeError(
        f"{place}: a {type(other).__name__} was given. Expected a tensor. "
        "Fix: convert it with samara.asarray(...)."
    )


def _size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one axis."""
    return self.shape if dim is None else self.shape[dim]


class ElementCount(int):
    """`x.size`: the number of elements, as the standard has it; called, the shape as in PyTorch.

    >>> x = samara.zeros(2, 3); x.size == 6, x.size(), x.size(1)
    (True, (2, 3), 3)
    """

    _shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self._shape if dim is None else self._shape[dim]

    def __reduce__(self) -> Any:
        """A plain int when pickled or copied."""
        return int, (int(self),)


class _SizeAttribute:
    """Gives each tensor its ElementCount, and `Tensor.size(x)` the method."""

    __doc__ = ElementCount.__doc__

    def __get__(self, x: Tensor | None, owner: Any = None) -> Any:
        if x is None:
            return _size
        count = ElementCount(x._elements)
        count._shape = x.shape
        return count


def _stride(self: Tensor, dim: int | None = None) -> Any:
    """Steps between neighbours of each axis in elements, or that of one axis."""
    strides = self._strides()
    return strides if dim is None else strides[dim]


def _in_order(x: Any, order: Any) -> Tensor:
    ordered: Tensor = x.contiguous(memory_format=order)
    return ordered


def _to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same values as another dtype, on another device, or like another tensor.

    to(dtype), to(device), to(device, dtype), to(other); copy=True copies in any case.
    """
    dtype: DType | None = kwargs.pop("dtype", None)
    device: Device | str | None = kwargs.pop("device", None)
    copy = bool(kwargs.pop("copy", False))
    kwargs.pop("non_blocking", None)
    order = kwargs.pop("memory_format", None)
    if kwargs:
        raise DTypeError(
            f"to: there is no argument '{next(iter(kwargs))}'. Expected dtype, device, copy or "
            "memory_format. Fix: correct the name."
        )
    for given in args:
        if isinstance(given, Tensor):
            dtype, device = given.dtype, given.device
        elif isinstance(given, (str, Device)):
            device = given
        elif isinstance(given, bool):
            copy = copy or given
        else:
            dtype = given if isinstance(given, DType) else _dtype_argument(given)
    converted = _convert(self, dtype, device, True if copy else None)
    return converted if order is None else _in_order(converted, order)


def _view_method(self: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape; with a dtype, the same bytes as that dtype."""
    if len(shape) == 1 and isinstance(shape[0], (DType, type)):
        return _core.reinterpret(self, _dtype_argument(shape[0]))
    return cast(Tensor, _view(self, *shape))


def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor with respect to the leaves to their `grad`.

    gradient: dL/dself, needed unless self has one element. The graph is freed unless
    retain_graph; create_graph records the backward pass for second derivatives. Raises
    GradientError without a graph, ShapeError for a non-scalar.
    """
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _core.backward(self, gradient, (), keep, create_graph, True)
        return
    chosen = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gradients = _core.backward(self, gradient, chosen, keep, create_graph, False)
    for x, g in zip(chosen, gradients, strict=True):
        if g is not None:
            x.grad = g if x.grad is None else x.grad + g


def _requires_grad(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Switches recording for this leaf; returns self."""
    self.requires_grad = requires_grad
    return self


class HookHandle:
    """Removes a hook when asked, or at the end of a `with` block."""

    def __init__(self, x: Tensor, hook: Any) -> None:
        self._tensor: Tensor | None = x
        self._hook = hook

    def remove(self) -> None:
        """Takes the hook off; a second call changes nothing."""
        if self._tensor is not None:
            _core.remove_hook(self._tensor, self._hook)
            self._tensor = None

    def __enter__(self) -> HookHandle:
        """Returns the handle."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the hook, also after an exception."""
        self.remove()


def _register_hook(self: Tensor, hook: Any) -> HookHandle:
    """Runs hook(gradient) when this tensor's gradient is known; a returned tensor replaces it."""
    _core.add_hook(self, hook)
    return HookHandle(self, hook)


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if self.ndim == 0:
        raise DTypeError(
            "iteration: the tensor is 0-d. Expected at least one axis. Fix: use x.item()."
        )
    return (self[i] for i in range(self.shape[0]))


def _contains(self: Tensor, value: Any) -> bool:
    found = self == value
    if not isinstance(found, Tensor):
        raise DTypeError(
            f"in: a {type(value).__name__} was looked for in a tensor. Expected a number or a "
            "tensor. Fix: convert it first."
        )
    return bool(found.any())


def _dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    if self.requires_grad:
        raise BufferError(
            "__dlpack__: the tensor requires grad, and others record no gradients. Expected a "
            "tensor outside the graph. Fix: share x.detach()."
        )
    if dl_device is not None and tuple(dl_device) != (1, 0):
        raise BufferError(
            f"__dlpack__: device {dl_device} was asked for. Expected (1, 0), the CPU. "
            "Fix: copy the data there from the CPU."
        )
    shared = _clone(self) if copy else self
    versioned = max_version is not None and max_version[0] >= 1
    return _core.to_dlpack(shared, versioned, bool(copy))


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    if str(self.device) != "cpu":
        raise BufferError(f"__dlpack_device__: '{self.device}' has no DLPack device type.")
    return (1, 0)


def _rebuild(data: Any, dtype: str, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    kind = next((known for known in ALL if known.name == dtype), None)
    sizes = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if (
        kind is None
        or not sizes
        or not isinstance(data, bytes)
        or len(data) != math.prod(shape) * kind.itemsize
    ):
        raise ArgumentError(
            f"pickle: a {type(data).__name__} stands for a {dtype!r} tensor of shape {shape!r}. "
            "Expected as many bytes as its elements have. Fix: the file is damaged; write it again."
        )
    bits = _core.uint16 if kind is _core.bfloat16 else kind
    x = _owned(np.ndarray(shape, to_numpy_dtype(bits), data))
    if bits is not kind:
        x = _core.reinterpret(x, kind)
    x.requires_grad = requires_grad
    return x


def _reduce(self: Tensor, _protocol: Any) -> Any:
    """Only the tensor's own elements travel, also for a small view of a large storage."""
    if not self.is_leaf:
        raise GradientError(
            "pickle: the tensor is the result of an operation with gradients. Expected a leaf. "
            "Fix: pickle x.detach()."
        )
    x = self.detach()
    bits = _core.reinterpret(x, _core.uint16) if x.dtype is _core.bfloat16 else x
    content = (memoryview(bits).tobytes(), self.dtype.name, self.shape)
    if type(self) is Tensor:
        return _rebuild, (*content, self.requires_grad)
    # Subclasses are made around a plain tensor and may carry attributes.
    state = self.__dict__ if hasattr(self, "__dict__") else None
    return _rebuild_subclass, (type(self), content, self.requires_grad, state)


def _rebuild_subclass(kind: Any, content: Any, requires_grad: bool, state: Any) -> Any:
    data, dtype, shape = content
    x = Tensor.__new__(kind, _rebuild(data, dtype, shape, False))
    x.requires_grad = requires_grad
    if state:
        x.__dict__.update(state)
    return x


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy of the elements; a leaf's `grad` is copied too."""
    if id(self) in memo:
        found: Tensor = memo[id(self)]
        return found
    if not self.is_leaf:
        raise GradientError(
            "deepcopy: the tensor is the result of an operation with gradients. Expected a leaf. "
            "Fix: copy x.detach()."
        )
    copied = _copied(self.detach())
    if type(self) is not Tensor:
        copied = Tensor.__new__(type(self), copied)
        if hasattr(self, "__dict__"):
            import copy

            copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
    copied.requires_grad = self.requires_grad
    if self.grad is not None:
        copied.grad = _clone(self.grad.detach())
    memo[id(self)] = copied
    return copied


_API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def _array_namespace(self: Tensor, *, api_version: str | None = None) -> Any:
    """The module with the standard's functions, samara."""
    if api_version is not None and api_version not in _API_VERSIONS:
        raise ArgumentError(
            f"__array_namespace__: version {api_version!r} of the standard was asked for. Expected "
            f"one of {', '.join(_API_VERSIONS)}. Fix: leave api_version out."
        )
    import samara

    return samara


def _to_device(self: Tensor, device: Device | str, /, stream: Any = None) -> Tensor:
    """The same values on another device (the Array API's name of `to`)."""
    if stream is not None:
        raise ArgumentError(
            f"to_device: stream {stream!r} was given, but tensors have no streams. Expected None. "
            "Fix: leave stream out."
        )
    return _convert(self, None, device, None)


def _new(name: str) -> Any:
    def make(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        import samara

        kwargs.setdefault("dtype", self.dtype)
        kwargs.setdefault("device", self.device)
        made: Tensor = getattr(samara, name)(*args, **kwargs)
        return made

    make.__name__ = f"new_{name}"
    make.__doc__ = f"samara.{name}(...) with this tensor's dtype and device by default."
    return make


def _cast_method(name: str, dtype: DType) -> Any:
    def convert(self: Tensor) -> Tensor:
        return _convert(self, dtype, None, None)

    convert.__name__ = name
    convert.__doc__ = f"The values as {dtype.name}."
    return convert


def _install() -> None:
    methods: dict[str, Any] = {
        "numpy": _numpy,
        "tolist": _tolist,
        "size": _SizeAttribute(),
        "stride": _stride,
        "to": _to,
        "to_device": _to_device,
        "view": _view_method,
        "view_as": lambda self, other: _view(self, _like(other, "view_as").shape),
        "backward": _backward,
        "requires_grad_": _requires_grad,
        "register_hook": _register_hook,
        "dim": lambda self: self.ndim,
        "ndimension": lambda self: self.ndim,
        "numel": lambda self: self._elements,
        "nelement": lambda self: self._elements,
        "element_size": lambda self: self.dtype.itemsize,
        "is_floating_point": lambda self: self.dtype.is_floating_point,
        "is_complex": lambda self: self.dtype.is_complex,
        "is_signed": lambda self: not self.dtype.name.startswith(("u", "bool")),
        "cpu": lambda self: _convert(self, None, "cpu", None),
        "type_as": lambda self, other: _to(self, _like(other, "type_as")),
        "__repr__": _text,
        "__str__": _text,
        "__iter__": _iterate,
        "__contains__": _contains,
        "__array__": _array,
        "__dlpack__": _dlpack,
        "__dlpack_device__": _dlpack_device,
        "__reduce_ex__": _reduce,
        "__deepcopy__": _deepcopy,
        "__array_namespace__": _array_namespace,
        "__array_priority__": 1000,  # array + tensor is the tensor's business
        "__complex__": lambda self: complex(self.item()),
        "__format__": lambda self, spec: (
            format(self.item(), spec) if self.ndim == 0 and spec else str(self)
        ),
    }
    for name, dtype in (
        ("float", _core.float32),
        ("double", _core.float64),
        ("half", _core.float16),
        ("bfloat16", _core.bfloat16),
        ("long", _core.int64),
        ("int", _core.int32),
        ("short", _core.int16),
        ("char", _core.int8),
        ("byte", _core.uint8),
        ("bool", _core.bool),
    ):
        methods[name] = _cast_method(name, dtype)
    for name in ("zeros", "ones", "full", "empty", "tensor"):
        methods[f"new_{name}"] = _new(name)
    for name, method in methods.items():
        setattr(Tensor, name, method)
    for name, (read, doc) in {
        "grad_fn": (_core.grad_fn, "The tape node that made the tensor, or None."),
        "itemsize": (lambda self: self.dtype.itemsize, "Bytes per element."),
        "nbytes": (lambda self: self._elements * self.dtype.itemsize, "Bytes of all elements."),
        "is_cpu": (lambda self: self.device.type == "cpu", "Whether the tensor is on the CPU."),
        "is_cuda": (lambda self: self.device.type == "cuda", "Whether it is on a CUDA device."),
        "T": (
            lambda self: self.permute(tuple(reversed(range(self.ndim)))),
            "The axes in reverse order; a view.",
        ),
        "mT": (lambda self: self.transpose(-2, -1), "Each matrix transposed; a view."),
        "H": (lambda self: self.T.conj(), "The conjugate of a transposed matrix."),
        "mH": (lambda self: self.mT.conj(), "The conjugates of transposed matrices."),
    }.items():
        setattr(Tensor, name, property(read, doc=doc))
    copyreg.pickle(Tensor, lambda x: _reduce(x, None))


_install()
