"""More words of PyTorch's: what holds of a tensor, switches, tensors from buffers."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.device import current_device, resolve
from samara.device import set_default_device as _set_default_device
from samara.dtypes import to_numpy_dtype
from samara.errors import ArgumentError, DTypeError, UnsupportedError
from samara.lookup import choose
from samara.ops.creation import arange, flagged
from samara.ops.record import PLAIN, ErrorSample, Sample, composite, plain
from samara.printing import set_printoptions
from samara.tensor import Tensor, from_numpy

PLAIN["set_printoptions"] = set_printoptions

# --- what holds of a tensor -----------------------------------------------------------------------


@plain()
def typename(obj: Any) -> str:
    """The name of a tensor's type, or of an object's class. Source: PyTorch, `torch.typename`.

    >>> samara.typename(samara.zeros(1)), samara.typename([])
    ('samara.FloatTensor', 'list')
    """
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    place = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{place}{kind.__qualname__}"


@plain("is_same_size")
def is_same_size(x: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape. Source: PyTorch, `torch.is_same_size`.

    >>> samara.is_same_size(samara.zeros(2, 1), samara.zeros(2))
    False
    """
    return x.shape == other.shape


@plain("is_signed")
def is_signed(x: Tensor) -> bool:
    """Whether the dtype has negative numbers. Source: PyTorch, `torch.is_signed`.

    >>> samara.is_signed(samara.zeros(1)), samara.is_signed(samara.zeros(1, dtype=samara.uint8))
    (True, False)
    """
    return x.dtype.is_signed


# --- switches -------------------------------------------------------------------------------------

_PRECISIONS = {"highest": 0, "high": 1, "medium": 2}
_precision = "highest"


@plain()
def set_float32_matmul_precision(precision: str) -> None:
    """Allows products of float32 matrices to be less exact; they stay exact here.

    precision: "highest", "high" or "medium". Raises ArgumentError for another word. Source:
    PyTorch, `torch.set_float32_matmul_precision`.

    >>> samara.set_float32_matmul_precision("high")
    >>> samara.get_float32_matmul_precision()
    'high'
    """
    global _precision
    choose("set_float32_matmul_precision: precision", precision, _PRECISIONS)
    _precision = precision


@plain()
def get_float32_matmul_precision() -> str:
    """The word that `set_float32_matmul_precision` was given last.

    >>> samara.get_float32_matmul_precision() in ("highest", "high", "medium")
    True
    """
    return _precision


@plain()
def use_deterministic_algorithms(mode: Any, *, warn_only: Any = False) -> None:
    """Nothing: every result is the same, bit for bit, on every run and for any number of threads.

    >>> samara.use_deterministic_algorithms(True)
    """
    del mode, warn_only


@plain()
def are_deterministic_algorithms_enabled() -> bool:
    """True: there are no others.

    >>> samara.are_deterministic_algorithms_enabled()
    True
    """
    return True


@plain()
def set_default_device(device: Any) -> None:
    """Where new tensors of this thread go; None is the CPU. `with samara.device(...)` does it for
    a block. Raises DeviceError for a device that is not there.

    >>> samara.set_default_device("cpu")
    """
    _set_default_device(device)


@plain()
def get_default_device() -> Device:
    """Where new tensors of this thread go.

    >>> samara.get_default_device()
    device('cpu')
    """
    return current_device()


@plain()
def compile(model: Any = None, **options: Any) -> NoReturn:
    """Raises UnsupportedError: there is no compiler of models, and operations are compiled already.

    >>> try:
    ...     samara.compile(samara.nn.ReLU())
    ... except NotImplementedError as error:
    ...     print(str(error)[:22])
    compile: there is none
    """
    del model, options
    raise UnsupportedError(
        "compile: there is none. Expected a model that is called as it is. Fix: leave the call "
        "out; the operations are compiled, and nn.Sequential joins those that stand together."
    )


@plain()
def _assert(condition: Any, message: str) -> None:
    """AssertionError with the message unless the condition holds. Source: PyTorch, `_assert`.

    >>> samara._assert(True, "never")
    """
    if not condition:
        raise AssertionError(message)


# --- tensors --------------------------------------------------------------------------------------


@plain()
def frombuffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor of the numbers in a buffer, whose memory it shares where that may be written.

    buffer: bytes, bytearray, memoryview, array ...; `count` numbers (-1: all) from byte `offset` on
    -> [count]. A buffer that may only be read is copied.

    Raises ArgumentError for bytes that do not divide into numbers, or too few of them. Source:
    PyTorch, `torch.frombuffer`.

    >>> samara.frombuffer(bytearray([1, 0, 2, 0]), dtype=samara.int16).tolist()
    [1, 2]
    """
    try:
        kind = to_numpy_dtype(dtype)
        array = np.frombuffer(buffer, kind, count, offset)
    except (ValueError, BufferError) as error:
        raise ArgumentError(
            f"frombuffer: {error}. Expected room for whole numbers of {dtype}. Fix: correct count "
            "and offset, or the dtype."
        ) from error
    except TypeError as error:
        raise DTypeError(
            f"frombuffer: {error}. Expected a buffer such as bytes or an array, and a dtype. "
            "Fix: use samara.tensor for lists."
        ) from error
    return flagged(from_numpy(array if array.flags.writeable else array.copy()), requires_grad)


def _range_ref(start: Any, end: Any = None, step: Any = 1) -> Any:
    start, end = (0, start) if end is None else (start, end)
    return start + step * np.arange(math.floor((end - start) / step) + 1)


@composite(
    "range(start: number, end: number? = None, step: number = 1, *, dtype: dtype? = None, "
    "device: device? = None, requires_grad: bool = False)",
    doc="""start, start + step, ... up to end itself: floor((end - start) / step) + 1 values.

    range(n) counts from 0. -> [count], of the default dtype unless told otherwise. `arange` leaves
    the end out.

    Raises ArgumentError for a step of 0 or one that leads away from end.
    Source: PyTorch, `torch.range`.

    >>> samara.range(1, 3).tolist()
    [1.0, 2.0, 3.0]
    """,
    ref=_range_ref,
    ulp=1,
    samples=lambda rng: [Sample(4), Sample(2, 7), Sample(7, 2, -2), Sample(0.0, 1.1, 0.25)],
    errors=lambda: [
        ErrorSample(ArgumentError, "step is 0", 0, 5, 0),
        ErrorSample(ArgumentError, "from 5 to 0 by 1", 5, 0),
        ErrorSample(ArgumentError, "from 0 to inf", 0, math.inf),
    ],
    methods=(),
    differentiable=False,
)
def range(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    start, end = (0, start) if end is None else (start, end)
    if not step:
        raise ArgumentError("range: step is 0. Expected another number. Fix: pass e.g. step=1.")
    length = (end - start) / step
    if not 0 <= length < math.inf:
        raise ArgumentError(
            f"range: from {start} to {end} by {step} given. Expected finite numbers and a step "
            "towards the end. Fix: correct the sign of step."
        )
    count = math.floor(length) + 1
    kind = _core.default_dtype() if dtype is None else dtype
    # Half a step beyond the last value, so that rounding neither adds nor drops one.
    stop = start + (count - 0.5) * step
    made = arange(start, stop, step, dtype=kind, device=resolve(device))
    return flagged(made, requires_grad)
