"""Arguments of PyTorch's functions that no signature here declares.

`out=`, `memory_format=`, `generator=`, `dtype=` of functions that convert first, other names of
parameters, and arguments that change nothing here. They are looked at only in calls that do not
fit the signature, so other calls pay nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from samara._core import DType, Tensor
from samara.errors import ArgumentError, ShapeError

__all__ = ["adapted", "key_of", "store"]

Function = Callable[..., Any]

# PyTorch's names of parameters, and those here.
_NAMES = (
    ("size", "shape"),
    ("sizes", "shape"),
    ("stride", "strides"),
    ("storage_offset", "offset"),
    ("tensors", "arrays"),
    ("mat2", "y"),
    ("vec2", "y"),
    ("vec", "y"),
    ("exponent", "y"),
    ("tensor", "y"),
    ("index", "indices"),
    ("sorted_sequence", "x1"),
    ("input1", "x"),
    ("input2", "y"),
    ("log_probs", "x"),
    ("values", "source"),
    ("split_size", "size"),
    ("stop", "end"),
    ("end", "stop"),
)
# They change where or how a result is made, never what it is.
_IDLE = ("layout", "pin_memory", "non_blocking", "_stacklevel", "sparse_grad", "stable")
# These convert their first argument to `dtype` before they compute.
_CASTS = {"log_softmax", "mean", "norm", "softmax", "softmin", "std", "var"}


def store(place: str, out: Any, made: Any) -> Any:
    """Results written into the tensors that the caller gave."""
    if isinstance(made, (tuple, list)):
        given = out if isinstance(out, Sequence) else [out]
        if len(given) != len(made):
            raise ArgumentError(
                f"{place}: out holds {len(given)} tensors. Expected {len(made)}, one for each "
                "result. Fix: pass as many."
            )
        for target, result in zip(given, made, strict=True):
            store(place, target, result)
        return out
    if not isinstance(out, Tensor):
        raise ArgumentError(
            f"{place}: out has type {type(out).__name__}. Expected a tensor. Fix: pass one."
        )
    if out.shape == made.shape:
        return out.copy_(made)
    if out.numel():
        raise ShapeError(
            f"{place}: out has shape {out.shape} for a result of shape {made.shape}. Expected the "
            "same shape, or an empty tensor. Fix: make out with the result's shape."
        )
    out.data = made.detach().to(out.dtype)
    return out


def key_of(place: str, generator: Any) -> Any:
    """The next key of a generator."""
    key = getattr(generator, "next_key", None)
    if key is None:
        raise ArgumentError(
            f"{place}: generator has type {type(generator).__name__}. Expected a "
            "samara.Generator. Fix: pass one, or key=."
        )
    return key()


def adapted(
    place: str,
    known: Collection[str],
    function: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """function(*args, **kwargs) without the arguments it does not know; NotImplemented when they
    are not PyTorch's either.
    """
    rest = dict(kwargs)
    changed = False
    for given, wanted in _NAMES:
        if given in rest and given not in known and wanted in known and wanted not in rest:
            rest[wanted] = rest.pop(given)
            changed = True
    for name in _IDLE:
        if name in rest and name not in known:
            del rest[name]
            changed = True
    extra = {
        name: rest.pop(name)
        for name in ("out", "memory_format", "generator", "dtype")
        if name in rest and name not in known
    }
    if "dtype" in extra and (place not in _CASTS or not args or not isinstance(args[0], Tensor)):
        return NotImplemented
    if not extra and not changed:
        return NotImplemented
    if extra.get("generator") is not None:
        if "key" not in known:
            return NotImplemented
        rest["key"] = key_of(place, extra["generator"])
    if isinstance(extra.get("dtype"), (DType, type)):
        args = (args[0].to(extra["dtype"]), *args[1:])
    made = function(*args, **rest)
    if extra.get("memory_format") is not None and isinstance(made, Tensor):
        made = made.contiguous(memory_format=extra["memory_format"])
    return made if extra.get("out") is None else store(place, extra["out"], made)
