"""PyTorch's questions about GPUs, answered for this process.

A build without CUDA answers that there is none, so scripts that ask first take the CPU.

>>> import samara
>>> samara.cuda.is_available(), samara.cuda.device_count()
(False, 0)
"""

from __future__ import annotations

import itertools

import samara._core as _core
from samara.errors import DeviceError

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "synchronize",
]


def is_available() -> bool:
    """Whether tensors can be put on a GPU.

    >>> is_available()
    False
    """
    return _core.device_available("cuda")


is_initialized = is_available


def device_count() -> int:
    """How many GPUs there are.

    >>> device_count()
    0
    """
    return next(n for n in itertools.count() if not _core.device_available(f"cuda:{n}"))


def is_bf16_supported() -> bool:
    """Whether a GPU computes in bfloat16.

    >>> is_bf16_supported()
    False
    """
    return is_available()


def _require(place: str) -> None:
    if not is_available():
        raise DeviceError(
            f"cuda.{place}: there is no GPU in this process. Expected one. Fix: ask "
            "samara.cuda.is_available() first, and use the CPU."
        )


def current_device() -> int:
    """The number of the GPU in use. Raises DeviceError where there is none."""
    _require("current_device")
    return 0


def get_device_name(device: object = None) -> str:
    """The GPU's name. Raises DeviceError where there is none."""
    _require("get_device_name")
    return "cuda:0" if device is None else str(device)


def synchronize(device: object = None) -> None:
    """Wait for the GPU. Raises DeviceError where there is none."""
    del device
    _require("synchronize")


def manual_seed(seed: int) -> None:
    """Nothing: a seed gives the same numbers on every device, and `samara.manual_seed` sets it."""
    del seed


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing where there is no GPU; `samara.trim_memory` gives the CPU's memory back."""


def memory_allocated(device: object = None) -> int:
    """Bytes in use on the GPU: 0 where there is none.

    >>> memory_allocated()
    0
    """
    del device
    return 0


max_memory_allocated = memory_allocated
