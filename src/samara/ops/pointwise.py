"""How the records of pointwise operations are written: shared texts, samples and errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from samara._core import DType
from samara.dtypes import ALL, BOOL, COMPLEX, FLOAT, INTEGER, NUMERIC
from samara.errors import DTypeError, ShapeError
from samara.ops.record import ErrorSample, Function, Sample, operation
from samara.tensor import Tensor, asarray

__all__ = [
    "BITS",
    "EDGES",
    "INEXACT",
    "NONZERO_EDGES",
    "ORDERED",
    "REAL_INPUTS",
    "binary",
    "conjugate",
    "operands",
    "unary",
    "wide",
]

# What a functor accepts: functions of real numbers also take whole numbers and bools, which are
# converted to the default dtype.
INEXACT = ALL
REAL_INPUTS = tuple(dtype for dtype in ALL if dtype not in COMPLEX)
ORDERED = BOOL + INTEGER + FLOAT
BITS = BOOL + INTEGER

STANDARD = "Python array API standard 2025.12"

EDGES = (
    *(0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.5, -2.5, 1e4, -1e4),
    *(0.05, -0.05, 1e-40, -1e-40, 1e-310, -1e-310, np.inf, -np.inf, np.nan),
)
# Away from 0, where quotients, powers and angles have poles and steps.
NONZERO_EDGES = tuple(x for x in EDGES if not abs(x) < 1e-30)

Array = np.ndarray[Any, Any]


def wide(function: Function) -> Function:
    """A reference that sees whole numbers and bools as float64, like the operation."""

    def reference(*arrays: Any, **kwargs: Any) -> Any:
        return function(
            *(a if np.asarray(a).dtype.kind in "fc" else np.asarray(a, np.float64) for a in arrays),
            **kwargs,
        )

    return reference


def conjugate(x: Any) -> Any:
    """conj(x) of a complex tensor or number; x itself where it is real."""
    if isinstance(x, Tensor):
        return x.conj() if x.dtype in COMPLEX else x
    return x.conjugate() if isinstance(x, complex) else x


def operands(g: Tensor, *values: Any) -> tuple[Tensor, ...]:
    """The arguments of a gradient rule, numbers and whole-number tensors too, in g's dtype."""
    return tuple(
        v.astype(g.dtype, copy=False)
        if isinstance(v, Tensor)
        else asarray(v, dtype=g.dtype, device=g.device)
        for v in values
    )


def _kinds(dtypes: Sequence[DType]) -> str:
    if all(dtype in dtypes for dtype in ALL):
        return "any dtype"
    groups = (("bool", BOOL), ("integer", INTEGER), ("float", FLOAT), ("complex", COMPLEX))
    return " or ".join(name for name, group in groups if group[0] in dtypes)


def _doc(
    summary: str, shapes: str, dtypes: Sequence[DType], source: str, example: tuple[str, str]
) -> str:
    missing = [dtype for dtype in ALL if dtype not in dtypes]
    raises = f"Raises DTypeError for {_kinds(missing)} tensors" if missing else ""
    if "y:" in shapes:
        raises += (", " if raises else "Raises ") + "ShapeError when the shapes do not broadcast"
    elif not raises:
        raises = "Raises DTypeError for what is neither a tensor nor a number"
    text = f"{summary}\n\n{shapes}\n\n{raises}.\nSource: {source}.\n\n"
    return f"{text}>>> {example[0]}\n{example[1]}\n"


def unary(
    signature: str,
    summary: str,
    *,
    ref: Function,
    example: tuple[str, str],
    grad: Function | None = None,
    dtypes: Sequence[DType] = REAL_INPUTS,
    span: tuple[float, float] = (-3.0, 3.0),
    edges: Iterable[float] = EDGES,
    converts: bool = True,
    settings: Sequence[dict[str, Any]] = ({},),
    source: str | None = None,
    errors: Callable[[], Sequence[ErrorSample]] = lambda: (),
    boolean: bool = False,
    native: str | None = None,
    onnx: str | None = None,
    ulp: float = 1,
    condition: str | None = None,
    methods: tuple[str, ...] | None = None,
    aliases: tuple[str, ...] = (),
    in_place: bool = True,
    other_form: Function | None = None,
) -> Callable[..., Tensor]:
    """Declares a pointwise operation of one tensor.

    span      where random samples lie; `edges` are added to them
    converts  integers and bools are converted to the default dtype, and for `ref` to float64
    settings  values of the other parameters that the samples go through
    boolean   the result is bool
    """
    name = signature[: signature.index("(")]
    dtypes = tuple(dtypes)
    result = "[*S] bool" if boolean else "[*S]"
    note = "; integers and bools become the default dtype" if converts else ""

    def samples(rng: np.random.Generator) -> list[Sample]:
        drawn = rng.uniform(*span, size=(4, 6))
        given = [Sample(drawn, **setting) for setting in settings]
        return given + [Sample(np.array(list(edges)), **setting) for setting in settings]

    return operation(
        signature,
        doc=_doc(
            summary,
            f"x: [*S], {_kinds(dtypes)} -> {result}{note}.",
            dtypes,
            source or f"{STANDARD}, `{name}`",
            example,
        ),
        native=native,
        ref=wide(ref) if converts else ref,
        grad=grad,
        dtypes=dtypes,
        onnx=onnx,
        ulp=ulp,
        condition=condition,
        samples=_belongs_to_caller(samples),
        errors=lambda: [
            ErrorSample(DTypeError, "argument 'x' is a str. Expected a tensor", "text"),
            *errors(),
        ],
        methods=(name, *aliases) if methods is None else methods,
        aliases=aliases,
        in_place=in_place and not boolean,
        other_form=other_form,
        pointwise=True,
    )


def _belongs_to_caller(samples: Function) -> Function:
    """The record belongs to the module that calls `unary` or `binary`."""
    samples.__module__ = sys._getframe(2).f_globals["__name__"]
    return samples


def binary(
    signature: str,
    summary: str,
    *,
    ref: Function,
    example: tuple[str, str],
    grad: Function | None = None,
    dtypes: Sequence[DType] = NUMERIC,
    span: tuple[float, float] = (-3.0, 3.0),
    edges: Iterable[float] = EDGES,
    converts: bool = False,
    samples: Callable[[np.random.Generator], Sequence[Sample]] = lambda rng: (),
    source: str | None = None,
    boolean: bool = False,
    native: str | None = None,
    onnx: str | None = None,
    ulp: float = 1,
    condition: str | None = None,
    methods: tuple[str, ...] | None = None,
    aliases: tuple[str, ...] = (),
    in_place: bool = True,
    pointwise: bool = True,
) -> Callable[..., Tensor]:
    """Declares a pointwise operation of two tensors that broadcast.

    Every pair of `edges` is a sample, and numbers stand in for either tensor. For the other
    fields see `unary`.
    """
    name = signature[: signature.index("(")]
    dtypes = tuple(dtypes)
    result = "[*S] bool" if boolean else "[*S]"
    note = "; integers and bools become the default dtype" if converts else ""

    def all_samples(rng: np.random.Generator) -> list[Sample]:
        def draw(*shape: int) -> Array:
            return rng.uniform(*span, size=shape)

        ends = np.array(list(edges))
        return [
            Sample(draw(4, 6), draw(4, 6)),
            Sample(draw(2, 3, 1), draw(4)),
            Sample(draw(3), draw(2, 1)),
            Sample(draw(3), draw()),
            Sample(draw(3, 2), 2),
            Sample(2, draw(3, 2)),
            Sample(np.repeat(ends, ends.size), np.tile(ends, ends.size)),
            *samples(rng),
        ]

    return operation(
        signature,
        doc=_doc(
            summary,
            f"x: [*A], y: [*B], {_kinds(dtypes)} or numbers -> {result}, the broadcast shape"
            f"{note}.",
            dtypes,
            source or f"{STANDARD}, `{name}`",
            example,
        ),
        native=native,
        ref=wide(ref) if converts else ref,
        grad=grad,
        dtypes=dtypes,
        onnx=onnx,
        ulp=ulp,
        condition=condition,
        samples=_belongs_to_caller(all_samples),
        errors=lambda: [
            ErrorSample(
                ShapeError, r"shapes \(2, 3\) and \(4,\) do not", np.ones((2, 3)), np.ones(4)
            ),
            ErrorSample(DTypeError, "argument 'y' is a list", np.ones(2), [1.0, 2.0]),
        ],
        methods=(name, *aliases) if methods is None else methods,
        aliases=aliases,
        in_place=in_place and not boolean,
        pointwise=pointwise,
    )
