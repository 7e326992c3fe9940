"""Where tensors live: device objects, the default device and its choice."""

from __future__ import annotations

import os
import threading
from types import TracebackType

import samara._core as _core
from samara._core import Device
from samara.errors import DeviceError, DTypeError

__all__ = ["Device", "current_device", "device", "is_available", "resolve", "set_default_device"]


class _State(threading.local):
    """The default device of each thread; None until something chose one."""

    def __init__(self) -> None:
        self.chosen: Device | None = None


_state = _State()


def is_available(name: str) -> bool:
    """Whether this process can put tensors on a device.

    >>> is_available("cpu"), is_available("cuda")
    (True, False)
    """
    return _core.device_available(name)


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
        raise DTypeError(
            f"device: a {type(given).__name__} was given. Expected 'auto', a name such as 'cpu', "
            "or a samara.Device. Fix: pass one of these."
        )
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


class device:
    """Makes a device the default of new tensors inside a `with` block, in this thread.

    >>> with samara.device("cpu"):
    ...     samara.zeros(2).device
    device('cpu')
    """

    def __init__(self, name: Device | str) -> None:
        self._device = resolve(name)
        self._previous: list[Device | None] = []

    def __enter__(self) -> Device:
        """Switches, and returns the device."""
        self._previous.append(_state.chosen)
        _state.chosen = self._device
        return self._device

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restores the previous default, also after an exception."""
        _state.chosen = self._previous.pop()
