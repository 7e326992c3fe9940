"""Walks over what hangs on a module: sub-modules, parameters, and the lists that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from samara.errors import ArgumentError
from samara.tensor import Tensor

#: Names in a module's `__dict__` that are the module's own bookkeeping.
INTERNAL = frozenset(
    {
        "_entries",
        "_pending",
        "_persistence",
        "_parent",
        "_era",
        "_root_token",
        "_serial",
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_backward_pre_hooks",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
        "_settled",
        "_ready",
        "_plan",
        "training",
    }
)
# A container this long whose first element is plain data is taken for data throughout: a
# vocabulary of a million words is not searched for modules at every call of parameters().
_LONG = 64
_DATA = (str, int, float, bytes, complex)


def members(module: Any) -> Iterator[tuple[str, Any]]:
    """Everything set on the module as (name, value), lists, tuples and dicts opened.

    A list `layers` gives `layers.0`, `layers.1`, ...; a dict gives `name.key`; what a container
    module holds comes under its key alone.
    """
    attributes = vars(module)
    entries = attributes.get("_entries")
    if entries:
        for name, value in entries.items():
            yield from _open(name, value, ())
    pending = attributes.get("_pending")
    if pending:
        yield from pending.items()
    for name, value in list(attributes.items()):
        if name not in INTERNAL:
            yield from _open(name, value, ())


def _open(name: str, value: Any, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        pairs = value.items()
        first = next(iter(value.values()), None)
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
        first = value[0] if value else None
    else:
        yield name, value
        return
    if id(value) in above or (len(value) > _LONG and isinstance(first, _DATA)):
        return
    for key, element in list(pairs):
        # Checked before recursing, so that a list of numbers costs one test per element.
        if isinstance(element, _DATA) or element is None:
            continue
        if isinstance(key, str) and ("." in key or not key):
            if holds_state(element):
                raise ArgumentError(
                    f"{name}[{key!r}]: the key of a dict that holds modules or parameters becomes "
                    'part of their names. Expected a non-empty key without ".". '
                    "Fix: rename the key."
                )
            continue
        yield from _open(f"{name}.{key}", element, (*above, id(value)))


def holds_state(value: Any, depth: int = 4) -> bool:
    """Whether a value is, or contains, a tensor or a module."""
    if isinstance(value, Tensor) or hasattr(value, "named_parameters"):
        return True
    if depth == 0:
        return False
    if isinstance(value, dict):
        return any(holds_state(element, depth - 1) for element in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(holds_state(element, depth - 1) for element in value)
    return False
