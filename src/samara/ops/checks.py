"""Checks that operations written in Python share; each raises the one error a mistake gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from samara._core import DType
from samara.dtypes import COMPLEX, FLOAT, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.tensor import Tensor

__all__ = ["broadcast", "require_axis_size", "require_choice", "require_dtype", "require_shape"]

_GROUPS = (("integers", INTEGER), ("floats", FLOAT), ("complex numbers", COMPLEX))


def require_dtype(place: str, x: Any, dtypes: Sequence[DType], name: str = "x") -> None:
    """DTypeError unless x is a tensor of one of the dtypes."""
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: argument '{name}' has type {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )
    if x.dtype in dtypes:
        return
    kinds = [text for text, group in _GROUPS if group[0] in dtypes]
    raise DTypeError(
        f"{place}: {name} has dtype {x.dtype}. Expected {' or '.join(kinds) or 'bool'}. "
        f"Fix: convert it first, e.g. {name}.to(samara.float32)."
    )


def require_shape(place: str, x: Tensor, shape: Sequence[int], name: str) -> None:
    """ShapeError unless x has the shape."""
    if tuple(x.shape) != tuple(shape):
        raise ShapeError(
            f"{place}: {name} has shape {tuple(x.shape)}. Expected {tuple(shape)}. "
            f"Fix: reshape {name}."
        )


def require_axis_size(place: str, x: Tensor, axis: int, name: str = "x") -> None:
    """ShapeError where an axis that is reduced to one element has none."""
    if not x.shape[axis]:
        raise ShapeError(
            f"{place}: axis {axis} of {name} of shape {tuple(x.shape)} has no elements. Expected "
            "one or more. Fix: check where the empty tensor comes from."
        )


def require_choice(place: str, name: str, value: Any, choices: Sequence[str]) -> None:
    """ArgumentError unless `value` is one of the choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ArgumentError(
            f"{place}: {name} is {value!r}. Expected one of {listed}. Fix: pass one of these."
        )


def broadcast(place: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape, or ShapeError."""
    rank = max((len(shape) for shape in shapes), default=0)
    common = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            if size != 1 and common[i] not in (1, size):
                listed = " and ".join(str(tuple(one)) for one in shapes)
                raise ShapeError(
                    f"{place}: shapes {listed} do not broadcast. Expected equal sizes, or 1, in "
                    "each axis counted from the last. Fix: reshape one of them."
                )
            common[i] = size if size != 1 else common[i]
    return tuple(common)
