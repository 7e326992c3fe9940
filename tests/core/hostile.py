"""Campaigns of random calls with hostile arguments, run as a program so that a crash is seen.

python -m tests.core.hostile AREA SEED STEPS

Every call must give a result or raise one of the exceptions that a user's mistake may raise, with a
message. Anything else ends the program with status 1 and the call's text; a crash ends it with a
signal, and the last line of standard output names the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import pickle
import random
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import samara
from samara import Tensor, _core
from samara.errors import SamaraError
from samara.ops.record import PLAIN, RECORDS
from tests.core.hostile_objects import (
    Deliberate,
    DLTensor,
    LyingList,
    LyingSequence,
    capsule_of,
    deep_list,
    lying,
    raising,
    recursive_list,
    shrinking_list,
    used_capsule,
)

DTYPES = [
    *(samara.bool, samara.uint8, samara.uint16, samara.uint32, samara.uint64),
    *(samara.int8, samara.int16, samara.int32, samara.int64),
    *(samara.float16, samara.bfloat16, samara.float32, samara.float64),
    *(samara.complex64, samara.complex128),
]
HOST = "null"
_core.register_host_backed_device(HOST)
SHAPES = [
    *((), (), (0,), (1,), (3,), (3,), (4,), (2, 3), (2, 3), (3, 2), (3, 3), (0, 3), (3, 0), (1, 3)),
    *((2, 1), (2, 3, 4), (1, 1, 1), (2, 0, 3), (4, 4), (2, 2, 3, 3), (1,) * 16, (130,), (5, 70)),
    *((2**20, 0), (0, 2**40), (2, 2**31, 0)),
]


ALLOWED = (
    SamaraError,
    TypeError,
    ValueError,
    IndexError,
    MemoryError,
    OverflowError,
    BufferError,
    Deliberate,
)


class Campaign:
    """One seeded run: random values, and the promise about every call."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.calls = 0
        self.results = 0

    # --- the promise -----------------------------------------------------------------------------

    def call(self, text: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result, or None after an exception that is allowed."""
        self.calls += 1
        say(f"{self.calls} {text} {show(args)} {show(kwargs)}"[:600])
        try:
            result = function(*args, **kwargs)
        except ALLOWED as error:
            if not str(error) and not isinstance(error, (Deliberate, MemoryError)):
                raise AssertionError(f"an exception without a message: {error!r}") from error
            return None
        self.results += 1
        return result

    def look(self, result: Any) -> None:
        """Reads a result whole, so that memory that is not its own would show."""
        if isinstance(result, tuple):
            for item in result:
                self.look(item)
        if (
            not isinstance(result, Tensor)
            or result.numel() > 20000
            or max(result.shape, default=0) > 50000
        ):
            return
        self.call("read", result.tolist)
        if result.requires_grad and self.rng.random() < 0.7:
            self.call("backward", result.sum().backward)

    # --- values ----------------------------------------------------------------------------------

    def shape(self) -> tuple[int, ...]:
        if self.rng.random() < 0.02:
            return (40000,)
        return self.rng.choice(SHAPES)

    def dtype(self) -> Any:
        common = (samara.float32, samara.float64, samara.int64)
        return self.rng.choice(common if self.rng.random() < 0.5 else DTYPES)

    def array(self, shape: tuple[int, ...]) -> Any:
        array = self.numbers.normal(size=shape) * self.rng.choice([1, 1, 3, 100])
        if array.size and self.rng.random() < 0.1:
            array.reshape(-1)[self.rng.randrange(array.size)] = self.rng.choice(
                [np.nan, np.inf, -np.inf, 1e300, 0.0, -0.0, 2.0**63]
            )
        return array

    def tensor(self, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Tensor:
        """Any layout, dtype and place in the graph."""
        shape = self.shape() if shape is None else shape
        dtype = self.dtype() if dtype is None else dtype
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x = samara.tensor(self.array(shape)).to(dtype)
        x = self.layout(x)
        if dtype.is_floating_point and self.rng.random() < 0.3:
            x = x.detach()
            x.requires_grad = True
            if self.rng.random() < 0.3:
                x = x * 1
        return x

    def layout(self, x: Tensor) -> Tensor:
        kind = self.rng.randrange(14)
        rank = x.ndim
        if kind == 0 and rank >= 2:
            return samara.permute(x, list(reversed(range(rank))))
        if kind == 1 and rank:
            return samara.flip(x, 0)
        if kind == 2 and rank:
            return x[:: self.rng.choice([2, -1, 3])]
        if kind == 3 and rank < 16:
            return x.expand((self.rng.choice([2, 3]), *x.shape))
        if kind == 4 and 0 < x.numel() < 1000:
            return samara.as_strided(x.contiguous(), (3, 3), (1, 1)) if x.numel() >= 5 else x
        if kind == 5 and x.dtype is not samara.bfloat16:
            array = x.numpy().copy()
            array.flags.writeable = False
            return samara.from_numpy(array)
        if kind == 6 and x.dtype is not samara.bfloat16 and rank:
            return samara.from_numpy(x.numpy().copy()[::-1])
        if kind == 7:
            return x.to(HOST)
        if kind == 8 and rank:
            return x[..., :0]
        if kind == 9 and x.dtype is not samara.bfloat16:
            return samara.from_numpy(np.asfortranarray(x.numpy()))
        return x

    def integer(self) -> int:
        if self.rng.random() < 0.75:
            return self.rng.choice([0, 0, 1, 1, 2, -1, -1, 3, -2, 5])
        return self.rng.choice(
            [17, -17, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**30]
        )

    def real(self) -> Any:
        return self.rng.choice(
            [*(0.0, 0.5, 1.0, -1.0, 2.5, 1e-300, 1e308, float("nan"), float("inf"), -0.0), 3, True]
        )

    def hostile(self) -> Any:
        """Something that hardly any parameter wants."""
        return self.rng.choice(HOSTILE)(self)

    def argument(self, kind: str) -> Any:
        """A value for a parameter of that type, mostly a fitting one."""
        if self.rng.random() < 0.08:
            return self.hostile()
        base = kind.rstrip("?")
        if kind.endswith("?") and self.rng.random() < 0.3:
            return None
        if base == "Tensor":
            return self.real() if self.rng.random() < 0.15 else self.tensor()
        if base == "Tensor[]":
            shape = self.shape() if self.rng.random() < 0.7 else None
            dtype = self.dtype() if self.rng.random() < 0.5 else None
            return [self.tensor(shape, dtype) for _ in range(self.rng.choice([0, 1, 2, 2, 3]))]
        if base == "bool":
            return self.rng.choice([True, False])
        if base == "int":
            return self.integer()
        if base == "float":
            return self.real()
        if base == "number":
            return self.rng.choice([self.real(), self.integer(), 1 + 2j])
        if base == "ints":
            if self.rng.random() < 0.2:
                return self.integer()
            return [self.integer() for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 17]))]
        if base == "dtype":
            return self.dtype()
        if base == "device":
            return self.rng.choice(["cpu", "cpu", HOST, "cuda", "cuda:1", "nowhere"])
        if base == "str":
            return self.rng.choice(["mean", "sum", "none", "", "tanh", "a\0b"])
        return self.hostile()


def say(line: str) -> None:
    """A line that is out before the next call may crash."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show(value: Any) -> str:
    """A short text that never fails."""
    if isinstance(value, Tensor):
        flags = "" if value.device == "cpu" else f"@{value.device}"
        return f"{value.dtype.name}{list(value.shape)}/{list(value.stride())}{flags}"
    if type(value) is dict:
        return "{" + ", ".join(f"{key!a}: {show(item)}" for key, item in value.items()) + "}"
    if type(value) in (list, tuple) and len(value) < 20:
        return "[" + ", ".join("..." if item is value else show(item) for item in value) + "]"
    with contextlib.suppress(Exception):
        return ascii(value)[:80]
    return f"<{type(value).__name__}>"


HOSTILE: list[Callable[[Campaign], Any]] = [
    lambda c: None,
    lambda c: object(),
    lambda c: "",
    lambda c: "a\0b",
    lambda c: "\ud800",
    lambda c: b"bytes",
    lambda c: [],
    lambda c: (),
    lambda c: {},
    lambda c: {1: 2},
    lambda c: {3, 4},
    lambda c: float("nan"),
    lambda c: 2**63,
    lambda c: -(2**63),
    lambda c: 2**64,
    lambda c: -(10**40),
    lambda c: 1 + 2j,
    lambda c: ...,
    lambda c: slice(None, None, 0),
    lambda c: [[1, 2], [3]],
    lambda c: [0, 0],
    lambda c: list(range(17)),
    lambda c: [2**62, 2**62],
    lambda c: [-5, "x"],
    lambda c: recursive_list(),
    lambda c: deep_list(70),
    lambda c: shrinking_list(),
    lambda c: LyingList([1, 2]),
    lambda c: iter([1, 2]),
    lambda c: range(3),
    lambda c: raising("__index__"),
    lambda c: raising("__float__"),
    lambda c: raising("__bool__"),
    lambda c: raising("__array__"),
    lambda c: raising("__dlpack__"),
    lambda c: raising("__len__", "__getitem__"),
    lambda c: raising("__iter__", "__len__"),
    lambda c: lying(index="no", int="no"),
    lambda c: lying(float="no"),
    lambda c: lying(array=5),
    lambda c: lying(dlpack=5, dlpack_device=(1, 0)),
    lambda c: lying(dlpack=used_capsule(), dlpack_device=(1, 0)),
    lambda c: lying(len=-1),
    lambda c: LyingSequence(),
    lambda c: type("bool_", (), {"__bool__": raising("__call__").__class__.__call__})(),
    lambda c: np.float32(1.5),
    lambda c: np.int64(2),
    lambda c: np.complex64(1j),
    lambda c: np.datetime64("2020-01-01"),
    lambda c: np.array(["text"]),
    lambda c: np.array([1, 2], dtype=">i4"),
    lambda c: np.array([None, 1], dtype=object),
    lambda c: np.zeros((2, 0)),
    lambda c: np.ones(3, dtype=np.longdouble),
    lambda c: samara.float32,
    lambda c: Tensor,
    lambda c: samara,
    lambda c: samara.add,
    lambda c: lambda *args: None,
    lambda c: c.tensor(),
    lambda c: c.tensor((1,) * 16),
    lambda c: [c.tensor(), 3, None],
    lambda c: samara.ones(2, device=HOST),
]


# --- areas ---------------------------------------------------------------------------------------


def declared(record: Any) -> list[tuple[str, str, bool]]:
    """(name, type, keyword only) of the parameters in a record's signature."""
    inside = record.signature[record.signature.index("(") + 1 : record.signature.rindex(")")]
    parameters, depth, part, keyword_only = [], 0, "", False
    for character in inside + ",":
        depth += (character in "([") - (character in ")]")
        if character != "," or depth:
            part += character
            continue
        text = part.split("=")[0].strip()
        part = ""
        if text == "*":
            keyword_only = True
        elif text:
            name, _, kind = text.partition(":")
            parameters.append((name.strip(), kind.strip() or "Tensor", keyword_only))
    return parameters


def sampled(c: Campaign, record: Any) -> tuple[list[Any], dict[str, Any]]:
    """A sample of the record with one argument exchanged."""
    sample = c.rng.choice(list(record.samples(c.numbers)))
    floating = [d for d in record.dtypes if d.is_floating_point] or [samara.float32]

    def convert(value: Any) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
            return [convert(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        x = samara.asarray(value.copy())
        if value.dtype.kind == "f":
            x = x.to(c.rng.choice(floating))
            x = x.requires_grad_() if c.rng.random() < 0.5 else c.layout(x)
        return x

    args = [convert(value) for value in sample.args]
    kwargs = {key: convert(value) for key, value in sample.kwargs.items()}
    if args and c.rng.random() < 0.8:
        i = c.rng.randrange(len(args))
        plausible = isinstance(args[i], Tensor) and c.rng.random() < 0.7
        args[i] = c.tensor() if plausible else c.hostile()
    return args, kwargs


def operations(c: Campaign) -> None:
    """Records: functions, in-place forms, dim forms; and public functions without a record."""
    if c.rng.random() < 0.05:
        name, plain = c.rng.choice(list(PLAIN.items()))
        kinds = c.rng.choice([["Tensor"], ["Tensor", "Tensor"], ["Tensor", "ints"], ["ints"]])
        c.look(c.call(name, plain, *map(c.argument, kinds)))
        return
    record = c.rng.choice(list(RECORDS.values()))
    function = record.function
    if record.in_place is not None and c.rng.random() < 0.2:
        function = record.in_place
    style = c.rng.random()
    kwargs: dict[str, Any] = {}
    args: list[Any] = []
    if style < 0.4 and record.samples(c.numbers):
        args, kwargs = sampled(c, record)
    elif style < 0.9:
        shape = c.shape() if c.rng.random() < 0.6 else None
        dtype = c.dtype() if c.rng.random() < 0.6 else None
        for name, kind, keyword_only in declared(record):
            fits = kind == "Tensor" and shape is not None and c.rng.random() < 0.8
            value = c.tensor(shape, dtype) if fits else c.argument(kind)
            if keyword_only or kwargs or c.rng.random() < 0.15:
                if c.rng.random() < 0.8:
                    kwargs[name] = value
            else:
                args.append(value)
    else:
        args = [c.hostile() for _ in range(c.rng.randrange(5))]
        for name in ("dim", "axis", "keepdim", "input", "other", "nothing", "\ud800"):
            if c.rng.random() < 0.1:
                kwargs[name] = c.hostile()
    c.look(c.call(record.name, function, *args, **kwargs))


SKIPPED = {"__class__", "__init_subclass__", "__subclasshook__", "__dir__"}
SKIPPED |= {"__delattr__", "__setattr__", "__getattribute__"}  # Python's own, with its own errors
METHODS = sorted(name for name in dir(Tensor) if name not in SKIPPED)


def methods(c: Campaign) -> None:
    """Methods, attributes and operators of tensors."""
    x = c.tensor()
    name = c.rng.choice(METHODS)
    if c.rng.random() < 0.05:
        with contextlib.suppress(AttributeError):  # Python's word for an attribute one cannot set
            c.call(f"set {name}", setattr, x, name, c.hostile())
        return
    found = c.call(f"get {name}", getattr, x, name)
    if not callable(found):
        return
    if c.rng.random() < 0.5:
        arguments = [c.argument(c.rng.choice(["ints", "Tensor", "int", "dtype", "number"]))]
        arguments = arguments[: c.rng.randrange(2)] + [
            c.argument("int") for _ in range(c.rng.choice([0, 0, 1, 2]))
        ]
    else:
        arguments = [c.hostile() for _ in range(c.rng.randrange(4))]
    c.look(c.call(f"method {name} of {show(x)}", found, *arguments))


def key(c: Campaign, shape: tuple[int, ...], depth: int = 0) -> Any:
    """An index of any kind."""
    kind = c.rng.randrange(12 if depth == 0 else 9)
    if kind == 0:
        return c.integer()
    if kind <= 2:
        step = c.rng.choice([None, 1, 2, -1, -2, 2**62, -(2**63), 0 if c.rng.random() < 0.1 else 3])
        return slice(c.rng.choice([None, c.integer()]), c.rng.choice([None, c.integer()]), step)
    if kind == 3:
        return c.rng.choice([None, ..., True, False])
    if kind == 4:
        return samara.tensor(c.numbers.integers(-4, 4, size=c.shape()[:2])).to(
            c.rng.choice([samara.int64, samara.int32, samara.uint8, samara.uint64, samara.int8])
        )
    if kind == 5:
        return [c.integer() for _ in range(c.rng.randrange(4))]
    if kind == 6:
        return samara.tensor(c.numbers.random(shape[: c.rng.randrange(3)]) < 0.5)
    if kind == 7:
        return c.rng.randrange(-3, 3)
    if kind == 8:
        return c.hostile() if c.rng.random() < 0.5 else c.tensor()
    return tuple(key(c, shape, 1) for _ in range(c.rng.choice([0, 1, 2, 2, 3, 4, 18])))


def indexing(c: Campaign) -> None:
    """x[key], x[key] = value, del x[key]."""
    x = c.tensor()
    where = key(c, tuple(x.shape))
    if c.rng.random() < 0.5:
        result = c.call(f"index {show(x)}", x.__getitem__, where)
        if isinstance(result, Tensor) and c.rng.random() < 0.3:
            result = c.call("again", result.__getitem__, key(c, tuple(result.shape)))
        c.look(result)
        return
    value = c.argument(c.rng.choice(["Tensor", "number"]))
    c.call(f"assign {show(x)}", x.__setitem__, where, value)
    c.look(x)


def false_capsule(c: Campaign) -> Any:
    """A capsule whose description is wrong in a way that can be told without reading memory."""
    memory = (ctypes.c_double * 8)()
    rank = c.rng.choice([0, 1, 2, 2, -1, 17])
    sizes = [c.rng.choice([0, 1, 2, -1, 2**62, 2**40]) for _ in range(17)]
    existing = 0 <= rank <= 16 and all(0 <= size <= 2 for size in sizes[:rank])
    strides = [c.rng.choice([1, 0] if existing else [1, 0, -1, 2**62]) for _ in range(17)]
    held = (
        memory,
        (ctypes.c_int64 * 17)(*sizes),
        (ctypes.c_int64 * 17)(*strides),
    )
    tensor = DLTensor(
        ctypes.cast(memory, ctypes.c_void_p) if c.rng.random() < 0.8 else None,
        c.rng.choice([1, 1, 1, 2, -1]),
        0,
        rank,
        c.rng.choice([2, 2, 0, 9]),
        c.rng.choice([64, 64, 32, 7]),
        c.rng.choice([1, 1, 4]),
        ctypes.cast(held[1], ctypes.POINTER(ctypes.c_int64)) if c.rng.random() < 0.9 else None,
        ctypes.cast(held[2], ctypes.POINTER(ctypes.c_int64)) if c.rng.random() < 0.5 else None,
        c.rng.choice([0, 0, 8, 3]),
        None,
        None,
    )
    name = b"dltensor" if c.rng.random() < 0.9 else b"something else"
    return capsule_of(tensor, name, held)


def interchange(c: Campaign) -> None:
    """NumPy, DLPack, buffers, pickle, constructors."""
    kind = c.rng.randrange(9)
    if kind == 0:
        capsule = false_capsule(c)
        c.look(c.call("from_dlpack", samara.from_dlpack, lying(dlpack=capsule)))
        c.look(c.call("from_dlpack again", samara.from_dlpack, lying(dlpack=capsule)))
    elif kind == 1:
        name = c.rng.choice(["tensor", "asarray", "as_tensor", "from_numpy", "from_dlpack"])
        c.look(c.call(name, getattr(samara, name), c.hostile()))
    elif kind == 2:
        name = c.rng.choice(["tensor", "asarray"])
        kwargs = {"dtype": c.argument("dtype"), "device": c.argument("device")}
        data = c.rng.choice([[1.5, 2], [[1], [2]], [True], [1j], c.tensor(), c.hostile()])
        c.look(c.call(name, getattr(samara, name), data, **kwargs))
    elif kind == 3:
        payload = bytearray(pickle.dumps(c.tensor().detach().to("cpu")))
        for _ in range(c.rng.choice([1, 1, 2, 5])):
            payload[c.rng.randrange(len(payload))] = c.rng.randrange(256)
        with contextlib.suppress(*PICKLE_ERRORS):
            result = pickle.loads(bytes(payload))
            if isinstance(result, Tensor):
                c.look(result)
    elif kind == 4:
        flags = c.rng.choice([0, 0x8, 0x18, 0x38, 0x58, 0x98, 0x11C, 0x1C, 0x1D, 0x119])
        c.call(f"buffer {flags:#x}", read_buffer, c.tensor().detach(), flags)
    elif kind == 5:
        x = c.tensor()
        c.call("dlpack out", x.__dlpack__, max_version=c.rng.choice([None, (1, 0), (0, 8), "x"]))
        array = c.call("numpy", x.numpy, force=c.rng.random() < 0.5)
        with contextlib.suppress(*ALLOWED, RuntimeError):
            x.data = c.tensor()
        if array is not None:
            array.sum()
    elif kind == 6:
        x, y = c.tensor(), c.argument("Tensor")
        c.call(f"data of {show(x)}", setattr, x, "data", y)
        c.call("grad", setattr, x, "grad", c.argument("Tensor"))
        c.look(x)
    elif kind == 7:
        arguments = [c.tensor().detach().to("cpu")]
        arguments += [[c.integer() for _ in range(c.rng.randrange(4))] for _ in range(2)]
        c.look(c.call("as_strided", samara.as_strided, *arguments, c.integer()))
    else:
        name = c.rng.choice(
            ["zeros", "ones", "empty", "full", "eye", "arange", "linspace", "rand", "randn"]
        )
        arguments = [c.argument(c.rng.choice(["int", "ints", "number"])) for _ in range(2)]
        c.look(c.call(name, getattr(samara, name), *arguments[: c.rng.randrange(1, 3)]))


PICKLE_ERRORS = (
    *ALLOWED,
    *(pickle.PickleError, EOFError, AttributeError, ImportError, KeyError, UnicodeError),
)


def read_buffer(x: Tensor, flags: int) -> bytes:
    """What a consumer that asks with these flags may read."""
    view = (ctypes.c_char * 256)()
    pythonapi = ctypes.pythonapi
    pythonapi.PyObject_GetBuffer.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
    pythonapi.PyBuffer_Release.argtypes = (ctypes.c_void_p,)
    if pythonapi.PyObject_GetBuffer(x, ctypes.addressof(view), flags) < 0:
        raise AssertionError("an exception was due")
    address = int.from_bytes(view[0:8], "little")
    length = int.from_bytes(view[16:24], "little")
    strided = flags & 0x18 == 0x18 and not flags & 0xE0
    data = b"" if strided else ctypes.string_at(address, length)
    pythonapi.PyBuffer_Release(ctypes.addressof(view))
    return data


def autograd(c: Campaign) -> None:
    """Hooks, rules and observers that misbehave."""
    dtype = c.rng.choice([samara.float32, samara.float64])
    x = samara.tensor(c.numbers.normal(size=(2, 3))).to(dtype).requires_grad_()
    y = c.rng.choice([x * 2, x.exp(), x[0], x.reshape(6), samara.concat([x, x]), x @ x.T])
    z = (y * y).sum()
    target = c.rng.choice([x, y, z])

    def misbehave(*given: Any) -> Any:
        kind = c.rng.randrange(14)
        if kind == 0:
            raise Deliberate("from a hook")
        if kind == 1:
            z.backward()
        elif kind == 2:
            target.register_hook(misbehave if c.rng.random() < 0.1 else lambda g: None)
        elif kind == 3:
            handle.remove()
        elif kind == 4:
            x.data = samara.ones(c.shape())
        elif kind == 5:
            with samara.no_grad():
                x.mul_(2)
        elif kind == 6:
            x.grad = c.rng.choice([None, samara.ones(2, 3).to(dtype)])
        elif kind == 7:
            return c.hostile()
        elif kind == 8:
            return given[0].to(HOST) if isinstance(given[0], Tensor) else None
        elif kind == 9:
            return given[0][..., :1] if isinstance(given[0], Tensor) else None
        elif kind == 10:
            pop_one()
        elif kind == 11:
            samara.grad((x * 3).sum(), [x])
        elif kind == 12:
            return given[0] * 2 if isinstance(given[0], Tensor) else None
        return None

    handles: list[Any] = []

    def pop_one() -> None:
        if handles:
            _core.pop_observer(handles.pop(c.rng.randrange(len(handles))))

    handle = target.register_hook(misbehave)
    if c.rng.random() < 0.5:
        pair = c.rng.choice([(misbehave, None), (None, misbehave), (misbehave, misbehave)])
        handles += [_core.push_observer(*pair) for _ in range(c.rng.choice([1, 2]))]
    for _ in range(2):
        c.call("backward", z.backward, retain_graph=c.rng.random() < 0.5)
        c.call(
            "grad",
            samara.grad,
            c.rng.choice([z, y, x]),
            c.rng.choice([[x], [y, x], x, c.hostile()]),
            create_graph=c.rng.random() < 0.5,
        )
        c.call("operation", lambda: (x * y.sum()).tolist())
    while handles:
        pop_one()
    rule = misbehave if c.rng.random() < 0.7 else c.hostile()
    c.call("rule", with_rule, c, rule, x, y)


def with_rule(c: Campaign, rule: Any, x: Tensor, y: Tensor) -> Any:
    """An operation whose Python rule is garbage."""
    if not hasattr(c, "rules"):
        c.rules = {}
    signature, native = c.rng.choice(
        [
            ("gamble(x, y)", "multiply"),
            ("gamble(x)", "exp"),
            ("gamble(x: Tensor[], axis: int = 0)", "concat"),
            ("gamble(x, shape: ints)", "reshape"),
            ("gamble()", "exp"),
            ("gamble(x)", "concat"),
            ("gamble(x: int)", "add"),
            ("gamble(x, y: ints)", "matmul"),
        ]
    )
    operation = _core.Operation(signature, native, rule=lambda *args, **kwargs: rule(*args))
    arguments: list[Any] = {
        "gamble(x, y)": [x, x],
        "gamble(x: Tensor[], axis: int = 0)": [[x, x]],
        "gamble(x, shape: ints)": [x, [6]],
        "gamble()": [],
        "gamble(x: int)": [1],
        "gamble(x, y: ints)": [x, [1]],
    }.get(signature, [x])
    result = operation(*arguments)
    first = result[0] if isinstance(result, tuple) else result
    total = first.sum()
    return samara.grad(total, [x], create_graph=True)


def optimizers(c: Campaign) -> None:
    """The fused optimizers, with parameters and states that change under them."""
    rule = c.rng.choice(["sgd", "adam", "rmsprop", "adagrad", "nothing"])
    parameters = [c.tensor(dtype=c.rng.choice(DTYPES[9:])) for _ in range(c.rng.randrange(4))]
    if c.rng.random() < 0.2:
        parameters.append(c.hostile())
    made = c.call("make", _core.FusedOptimizer, rule, parameters)
    if made is None:
        return
    for _ in range(6):
        x = c.rng.choice([*parameters, c.tensor()])
        kind = c.rng.randrange(8)
        settings = {"lr": c.real(), c.rng.choice(["momentum", "amsgrad", "eps", "no"]): c.hostile()}
        state = [c.rng.choice([None, x, c.tensor(), c.hostile()]) for _ in range(3)]
        if kind == 0:
            c.call("configure", made.configure, **settings)
        elif kind == 1:
            c.call("settings", made.configure, lr=0.1, momentum=0.9, centered=True, nesterov=True)
        elif kind == 2:
            c.call("grad", setattr, x, "grad", c.tensor(tuple(x.shape), x.dtype).detach())
        elif kind == 3:
            c.call("state", made.set_state, c.integer(), c.integer(), state)
        elif kind == 4:
            c.call("data", setattr, x, "data", c.tensor(None, x.dtype))
        elif kind == 5:
            c.call("zero", made.zero_grad, c.rng.choice([True, False, c.hostile()]))
        elif kind == 6:
            c.call("read state", made.get_state, c.integer())
        c.call("step", c.rng.choice([made.step, made.apply, made.first_nonfinite]))
    c.look(parameters[0] if parameters else None)


def threads(c: Campaign) -> None:
    """Several threads on the same tensors and graphs."""
    x = samara.tensor(c.numbers.normal(size=(200, 200)), requires_grad=True)
    w = samara.tensor(c.numbers.normal(size=(200,)), requires_grad=True)
    base = samara.zeros(40000)
    shared = (x.exp() * w).sum()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        mine = Campaign(c.rng.randrange(2**31) + number)
        try:
            for _ in range(6):
                kind = mine.rng.randrange(8)
                if kind == 0:
                    mine.call("", (x * w).sum().backward)
                elif kind == 1:
                    mine.call("", shared.backward, retain_graph=mine.rng.random() < 0.7)
                elif kind == 2:
                    mine.call("", lambda: base.reshape(200, 200).T.add_(1.0))
                elif kind == 3:
                    x.grad = None
                elif kind == 4:
                    samara.set_thread_count(mine.rng.choice([1, 2, 3]))
                elif kind == 5:
                    mine.call("", samara.grad, shared, [x, w], retain_graph=True)
                elif kind == 6:
                    operations(mine)
                else:
                    indexing(mine)
        except BaseException as error:
            failures.append(error)

    say(f"{c.calls} threads")
    crew = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    c.calls += len(crew)
    if failures:
        raise failures[0]


AREAS: dict[str, Callable[[Campaign], None]] = {
    "operations": operations,
    "methods": methods,
    "indexing": indexing,
    "interchange": interchange,
    "autograd": autograd,
    "optimizers": optimizers,
    "threads": threads,
}


def main(area: str, seed: int, steps: int, limit_memory: bool = True) -> int:
    """Runs a campaign; 0 when every call kept the promise."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    faulthandler.enable()
    if limit_memory:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    c = Campaign(seed)
    for _ in range(steps):
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            # Hooks and observers also run on the calls that make the arguments.
            with contextlib.suppress(*ALLOWED):
                AREAS[area](c)
        except BaseException as error:
            traceback.print_exc()
            say(f"BROKEN {area} seed {seed}: {type(error).__name__}: {error}")
            return 1
    faulthandler.cancel_dump_traceback_later()
    say(f"kept: {c.calls} calls, {c.results} results")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "unlimited" not in sys.argv))
