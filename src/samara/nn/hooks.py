"""Handles of hooks."""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any

__all__ = ["RemovableHandle"]

_ids = itertools.count()


class RemovableHandle:
    """Takes a hook away again: with `remove()`, or at the end of a `with` block.

    >>> from samara import nn
    >>> handle = nn.ReLU().register_forward_hook(lambda module, args, output: None)
    >>> handle.remove()
    """

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.id = next(_ids)
        self._hooks = hooks

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()
