"""The exceptions Samara raises: one type per kind of mistake, each also a standard Python one.

Every message says what was received, what was expected and how to fix it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = [
    "ArgumentError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "GradientError",
    "IndexOutOfRangeError",
    "LinAlgError",
    "MissingLibraryError",
    "NumericsError",
    "OutOfMemoryError",
    "SamaraError",
    "ShapeError",
    "TrainingError",
    "UnsupportedError",
]


class SamaraError(Exception):
    """Base class of all errors that Samara raises on purpose."""

    #: The module that raised it and its own words, once a model has put the place before them.
    _origin: tuple[Any, str] | None = None


class ShapeError(SamaraError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(SamaraError, TypeError):
    """An argument of the wrong type, or a tensor of a dtype the operation does not take."""


class ArgumentError(SamaraError, ValueError):
    """An argument whose value makes no sense."""


class DeviceError(SamaraError, RuntimeError):
    """A device that is not there, or tensors on different devices."""


class GradientError(SamaraError, RuntimeError):
    """A gradient that cannot be computed as asked."""


class IndexOutOfRangeError(SamaraError, IndexError):
    """An axis, index or label outside its range."""


class OutOfMemoryError(SamaraError, MemoryError):
    """Memory that could not be had."""


class UnsupportedError(SamaraError, NotImplementedError):
    """Something that exists elsewhere but not here."""


class DataError(SamaraError, ValueError):
    """Data that cannot be read or used, with the place in the file."""


class LinAlgError(SamaraError, RuntimeError):
    """A matrix that is singular or not positive-definite, or an iteration that did not converge."""


class MissingLibraryError(SamaraError, ImportError):
    """A library that is not installed."""


class TrainingError(SamaraError, RuntimeError):
    """Training that cannot go on."""


class NumericsError(TrainingError, ArithmeticError):
    """NaN or infinity where a finite number is needed; `history`: the training until then."""

    history: Any = None


# In the order of ErrorKind in csrc/core/error.h.
BY_KIND: tuple[type[SamaraError], ...] = (
    ShapeError,
    DTypeError,
    ArgumentError,
    DeviceError,
    GradientError,
    IndexOutOfRangeError,
    OutOfMemoryError,
    UnsupportedError,
    LinAlgError,
    MissingLibraryError,
)

_PACKAGE = str(Path(__file__).parent)


def user_line() -> str:
    """The innermost `file:line` on the stack that lies outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
