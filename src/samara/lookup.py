"""Things found by name: an unknown name is answered with the closest one and the whole list."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from samara.errors import ArgumentError

__all__ = ["choose"]

T = TypeVar("T")


def choose(what: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or an ArgumentError that lists the names there are.

    >>> choose("loss", "mse", {"mse": 1})
    1
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = difflib.get_close_matches(str(name).lower(), list(table), 1, 0.5)
    fix = f"did you mean {close[0]!r}?" if close else "choose one of these."
    raise ArgumentError(
        f"{what} is {name!r}. Expected one of: {', '.join(sorted(table))}. Fix: {fix}"
    )
