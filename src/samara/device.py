"""Where tensors live: device objects, the default device and its choice."""

from __future__ import annotations

import os
import threading
from typing import Any

import samara._core as _core
from samara._core import Device
from samara.errors import DeviceError, DTypeError

__all__ = ["Device", "current_device", "device", "is_available", "resolve", "set_default_device"]


class _State(threading.local):
    """The default device of each thread; None until something chose one."""

    def __init__(self) -> None:
        self.chosen: Device | None = None
        self.outer: list[Device | None] = []  # those before the `with` blocks that are open


_state = _State()


def is_available(name: str) -> bool:
    """Whether this process can put tensors on a device.

    >>> is_available("cpu"), is_available("cuda")
    (True, False)
    """
    return _core.device_available(name)


def _no_device(given: object) -> DTypeError:
    return DTypeError(
        f"device: a {type(given).__name__} was given. Expected 'auto', a name such as 'cpu', "
        "or a samara.Device. Fix: pass one of these."
    )


def resolve(given: Device | str | None) -> Device:
    """The device meant by an argument: an object, a name, "auto", or None for the default.

    Explicit devices that are not there raise DeviceError; "auto" takes the best there is.

    >>> resolve("auto")
    device('cpu')
    """
    if given is None:
        return current_device()
    if isinstance(given, Device):
        found = given
    elif isinstance(given, str):
        if given == "auto":
            return Device("cuda") if _core.device_available("cuda") else Device("cpu")
        found = Device(given)
    else:
        raise _no_device(given)
    if not _core.device_available(str(found)):
        raise DeviceError(
            f"device: '{found}' is not available in this process. Expected a device that "
            "`samara doctor` lists as ready. Fix: use device='auto' to fall back to the CPU."
        )
    return found


def set_default_device(given: Device | str | None) -> None:
    """Makes a device the default of new tensors in this thread; None is the CPU.

    >>> set_default_device("cpu")
    """
    _state.chosen = Device("cpu") if given is None else resolve(given)


def current_device() -> Device:
    """The device that new tensors take: `with samara.device(...)`, SAMARA_DEVICE, or the CPU."""
    if _state.chosen is None:
        name = os.environ.get("SAMARA_DEVICE")
        _state.chosen = resolve(name) if name else Device("cpu")
    return _state.chosen


class _OfDevices(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Device)


class device(metaclass=_OfDevices):
    """A device: "cpu", "cuda", "cuda:1", "auto"; or type and index, or the index of a GPU.

    It is a `samara.Device`, as `x.device` is. In a `with` block it is where new tensors go, in this
    thread. Raises DeviceError for an unknown name, and where one is used that is not there.

    >>> with samara.device("cpu"):
    ...     samara.zeros(2).device
    device('cpu')
    >>> device = samara.device("cuda" if samara.cuda.is_available() else "cpu")
    >>> samara.zeros(2, device=device).device == device, isinstance(device, samara.device)
    (True, True)
    """

    def __new__(cls, type: Device | str | int, index: int | None = None) -> Any:
        """The device of a name, a number, or itself."""
        if isinstance(type, Device) and index is None:
            return type
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            return Device(f"cuda:{type}")
        if not isinstance(type, str):
            raise _no_device(type)
        if type == "auto":
            return resolve(type)
        if type in ("cpu", "cpu:0") and not index:
            return Device("cpu")
        return Device(type if index is None else f"{type}:{index}")


def _enter(self: Device) -> Device:
    """Makes the device the default; raises DeviceError where it is not there."""
    found = resolve(self)
    _state.outer.append(_state.chosen)
    _state.chosen = found
    return found


def _exit(self: Device, *error: object) -> None:
    """Restores the previous default, also after an exception."""
    _state.chosen = _state.outer.pop()


for _name, _method in {"__enter__": _enter, "__exit__": _exit}.items():
    setattr(Device, _name, _method)
