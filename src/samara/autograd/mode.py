"""Whether operations are recorded: context managers that also decorate functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import samara._core as _core

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether this thread records operations now.

    >>> with samara.no_grad():
    ...     samara.is_grad_enabled()
    False
    """
    return _core.grad_enabled()


class _Mode:
    """Sets recording inside a `with` block or a decorated function, and restores it after."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        """Switches; blocks nest."""
        self._previous.append(_core.set_grad_enabled(self._enabled))

    def __exit__(self, *_: object) -> None:
        """Restores the previous state, also after an exception."""
        _core.set_grad_enabled(self._previous.pop())

    def __call__(self, function: F) -> F:
        """The function, run in this mode."""
        enabled = self._enabled

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            previous = _core.set_grad_enabled(enabled)
            try:
                return function(*args, **kwargs)
            finally:
                _core.set_grad_enabled(previous)

        return cast(F, wrapped)


class no_grad(_Mode):
    """Operations inside are not recorded.

    >>> x = samara.ones(2, requires_grad=True)
    >>> with samara.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, function: Any = None) -> Any:
        """`@no_grad` without parentheses decorates, too."""
        self = super().__new__(cls)
        if function is None:
            return self
        _Mode.__init__(self, False)
        return self(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Mode):
    """Operations inside are recorded, also within `no_grad`.

    >>> x = samara.ones(2, requires_grad=True)
    >>> with samara.no_grad(), samara.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)


inference_mode = no_grad


class set_grad_enabled(_Mode):
    """Switches recording at once, and back at the end when used in a `with` statement.

    >>> with samara.set_grad_enabled(False):
    ...     samara.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._before = _core.set_grad_enabled(mode)

    def __enter__(self) -> None:
        """The state was switched when the object was made."""
        self._previous.append(self._before)
