"""Objects that raise, lie or change under the reader, for the campaigns in hostile.py."""

from __future__ import annotations

import ctypes
from typing import Any

import samara


class Deliberate(Exception):
    """What hostile objects raise: it must come through unharmed."""


def raising(*names: str) -> Any:
    """An object whose special methods of those names raise."""

    def fail(*_: Any, **__: Any) -> Any:
        raise Deliberate("raised on purpose")

    return type("Raising", (), dict.fromkeys(names, fail))()


def lying(**answers: Any) -> Any:
    """An object whose special methods give these answers."""
    methods = {
        f"__{name}__": lambda self, *args, _answer=answer, **kwargs: _answer
        for name, answer in answers.items()
    }
    return type("Lying", (), methods)()


class ShrinkingIndex:
    """Empties the list it is in when asked for its value."""

    def __init__(self) -> None:
        self.home: list[Any] = []

    def __index__(self) -> int:
        self.home.clear()
        return 1


def shrinking_list() -> list[Any]:
    item = ShrinkingIndex()
    item.home = [item, 2, 3, 4]
    return item.home


def recursive_list() -> list[Any]:
    items: list[Any] = [1]
    items.append(items)
    return items


def deep_list(depth: int) -> Any:
    items: Any = 1.0
    for _ in range(depth):
        items = [items]
    return items


class LyingList(list[Any]):
    """A list that claims to be long."""

    def __len__(self) -> int:
        return 1000


class LyingSequence:
    """A sequence of two that claims to be one of five."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> float:
        if i > 1:
            raise IndexError
        return 1.5


def used_capsule() -> Any:
    capsule = samara.ones(3).__dlpack__()
    samara.from_dlpack(lying(dlpack=capsule))
    return capsule


class DLTensor(ctypes.Structure):
    """The structure of the protocol, to be filled with lies."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


def capsule_of(tensor: DLTensor, name: bytes, *alive: Any) -> Any:
    """A capsule that points to the structure; both live as long as the program."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    KEPT.append((tensor, name, alive))
    return new(ctypes.addressof(tensor), name, None)


KEPT: list[Any] = []
