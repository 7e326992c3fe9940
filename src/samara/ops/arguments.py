"""Which argument of a call has another type than the operation's signature says.

Operations written in Python check their arguments only after something has failed, so a good call
pays nothing for it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from samara._core import Device, DType, Tensor
from samara.errors import DTypeError
from samara.random import Key

__all__ = ["wrong_argument"]


def _whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex)) or (
        hasattr(value, "__float__") and not isinstance(value, str)
    )


def _sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


# The types of a signature: what passes, and how to say it.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "Tensor": (lambda v: isinstance(v, Tensor), "a tensor"),
    "Tensor[]": (
        lambda v: _sequence(v) and all(isinstance(x, Tensor) for x in v),
        "a sequence of tensors",
    ),
    "bool": (lambda v: hasattr(v, "__bool__") and not _sequence(v), "True or False"),
    "int": (_whole, "an int"),
    "float": (lambda v: _number(v) and not isinstance(v, complex), "a float"),
    "number": (_number, "a number"),
    "number|str": (lambda v: _number(v) or isinstance(v, str), "a number or a string"),
    "ints": (
        lambda v: _whole(v) or (_sequence(v) and all(_whole(x) for x in v)),
        "an int or a sequence of ints",
    ),
    "any": (lambda v: True, "a value"),
    "floats": (
        lambda v: _number(v) or (_sequence(v) and all(_number(x) for x in v)),
        "a float or a sequence of floats",
    ),
    "dtype": (
        lambda v: isinstance(v, DType) or v in (bool, int, float, complex),
        "a dtype such as samara.float32",
    ),
    "device": (lambda v: isinstance(v, (Device, str)), "a device such as 'cpu'"),
    "str": (lambda v: isinstance(v, str), "a string"),
    "Key": (lambda v: isinstance(v, Key) or _whole(v), "a samara.random.Key or an int"),
}


def _declared(signature: str) -> Iterator[tuple[str, str, bool]]:
    """(name, type, whether None passes) of each parameter."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    for part in re.split(r",(?![^()]*\))", inside):
        declaration, _, default = (piece.strip() for piece in part.partition("="))
        name, _, kind = (piece.strip(" *") for piece in declaration.partition(":"))
        if name:
            optional = kind.endswith("?") or default == "None"
            yield name, kind.rstrip("?") or "Tensor", optional


def wrong_argument(
    signature: str, function: Callable[..., Any], args: Any, kwargs: Any
) -> DTypeError | None:
    """The error that names the first argument of a wrong type or name, or None if all are right."""
    place = signature[: signature.index("(")]
    parameters = inspect.signature(function)
    try:
        given = parameters.bind(*args, **kwargs).arguments
    except TypeError as error:
        return DTypeError(
            f"{place}: {error}. Expected {signature}. Fix: call it with these arguments."
        )
    for name, kind, optional in _declared(signature):
        passes, expected = _TYPES[kind]
        spread = parameters.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        values = given.get(name, ()) if spread else [given[name]] if name in given else []
        if spread and kind == "int" and len(values) == 1:
            passes, expected = _TYPES["ints"]
        for value in values:
            if passes(value) or (optional and value is None):
                continue
            fix = "convert it with samara.asarray(...)" if "tensor" in expected else "pass that"
            return DTypeError(
                f"{place}: argument '{name}' has type {type(value).__name__}. Expected {expected}. "
                f"Fix: {fix}."
            )
    return None
