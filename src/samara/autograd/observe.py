"""Seeing every operation of this thread as it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import samara._core as _core

__all__ = ["observe"]


class observe:
    """Calls before(name, arguments) and after(name, arguments, outputs) around each operation.

    Observers nest, see only their own thread, and are not observed themselves. An exception they
    raise ends the operation.

    >>> names = []
    >>> with samara.autograd.observe(after=lambda name, inputs, outputs: names.append(name)):
    ...     x = samara.ones(2) * 2
    >>> names[-1]
    'multiply'
    """

    def __init__(
        self,
        before: Callable[[str, list[Any]], Any] | None = None,
        after: Callable[[str, list[Any], list[Any]], Any] | None = None,
    ) -> None:
        self._before = before
        self._after = after
        self._handles: list[Any] = []

    def __enter__(self) -> observe:
        """Starts observing."""
        self._handles.append(_core.push_observer(self._before, self._after))
        return self

    def __exit__(self, *_: object) -> None:
        """Stops, also after an exception."""
        _core.pop_observer(self._handles.pop())
