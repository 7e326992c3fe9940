"""Whole numbers next to the elements. Integers stay as they are; no gradient flows."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from samara.dtypes import FLOAT, INTEGER, NUMERIC
from samara.ops.pointwise import unary

_REAL = INTEGER + FLOAT

floor = unary(
    "floor(x)",
    "The largest whole number that is at most x.",
    ref=lambda x: np.floor(x) if x.dtype.kind == "f" else x,
    dtypes=_REAL,
    converts=False,
    ulp=0,
    onnx="Floor",
    example=("samara.floor(samara.tensor([1.5, -1.5])).tolist()", "[1.0, -2.0]"),
)

ceil = unary(
    "ceil(x)",
    "The smallest whole number that is at least x.",
    ref=lambda x: np.ceil(x) if x.dtype.kind == "f" else x,
    dtypes=_REAL,
    converts=False,
    ulp=0,
    onnx="Ceil",
    example=("samara.ceil(samara.tensor([1.5, -1.5])).tolist()", "[2.0, -1.0]"),
)

trunc = unary(
    "trunc(x)",
    "The whole number next to x in the direction of 0.",
    ref=lambda x: np.trunc(x) if x.dtype.kind == "f" else x,
    dtypes=_REAL,
    converts=False,
    ulp=0,
    aliases=("fix",),
    example=("samara.trunc(samara.tensor([1.5, -1.5])).tolist()", "[1.0, -1.0]"),
)


def _round_to(*args: Any, decimals: int | None = None, **kwargs: Any) -> Any:
    """PyTorch's round(x, decimals=n): to n digits behind the point, before it where n < 0."""
    if decimals is None:
        return NotImplemented
    if not decimals:
        return round(*args, **kwargs)
    (x,) = (*args, *kwargs.values())
    scale = 10.0 ** builtins.abs(decimals)
    return round(x * scale) / scale if decimals > 0 else round(x / scale) * scale


round = unary(
    "round(x)",
    "The nearest whole number, the even one of two; of a complex number both parts.",
    ref=lambda x: np.rint(x) if x.dtype.kind in "fc" else x,
    dtypes=NUMERIC,
    converts=False,
    ulp=0,
    onnx="Round",
    other_form=_round_to,
    example=("samara.round(samara.tensor([0.5, 1.5, -1.7])).tolist()", "[0.0, 2.0, -2.0]"),
)
