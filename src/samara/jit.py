"""PyTorch's words of scripting, for model files that use them: everything runs as Python here.

>>> import samara
>>> samara.jit.is_scripting()
False
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from samara.errors import UnsupportedError

__all__ = [
    "Final",
    "annotate",
    "export",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "load",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "unused",
]

F = TypeVar("F", bound=Callable[..., Any])


def is_scripting() -> bool:
    """False: nothing is scripted.

    >>> is_scripting()
    False
    """
    return False


is_tracing = is_scripting


def export(function: F) -> F:
    """The function itself.

    >>> export(len)([1])
    1
    """
    return function


interface = script_if_tracing = script_method = export


def ignore(function: Any = None, drop: bool = False) -> Any:
    """The function itself; also `@ignore()` and `@ignore(drop=True)`.

    >>> ignore(len)([1]), ignore(drop=True)(len)([1])
    (1, 1)
    """
    del drop
    return function if callable(function) else export


unused = ignore


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself.

    >>> annotate(int, 3)
    3
    """
    del the_type
    return the_value


def script(obj: Any, **options: Any) -> Any:
    """A function or class itself, which computes the same. Raises UnsupportedError for a model.

    >>> script(len)([1])
    1
    """
    del options
    if hasattr(obj, "named_parameters") and not isinstance(obj, type):
        _refuse("script")
    return obj


def _refuse(name: str) -> NoReturn:
    raise UnsupportedError(
        f"jit.{name}: models are not turned into scripts. Expected a model that is called as it "
        "is. Fix: leave the call out; samara.save_weights keeps the weights."
    )


def trace(func: Any, *args: Any, **options: Any) -> NoReturn:
    """Raises UnsupportedError."""
    del func, args, options
    _refuse("trace")


def load(*args: Any, **options: Any) -> NoReturn:
    """Raises UnsupportedError."""
    del args, options
    _refuse("load")


def save(*args: Any, **options: Any) -> NoReturn:
    """Raises UnsupportedError."""
    del args, options
    _refuse("save")
