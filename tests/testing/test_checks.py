"""Each check finds the defect it is there for: a right operation, spoiled in one way at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError
from samara.ops import RECORDS, Record
from samara.ops.record import ErrorSample, Sample
from samara.testing import CheckError, check_values, layouts, opcheck, ulp_error
from samara.testing.compare import unit_in_last_place
from samara.testing.layouts import broadcast_layout
from samara.testing.operations import CHECKS, check_device, check_names

EXP = RECORDS["exp"]


def spoiled(function: Callable[..., Any], **others: Any) -> Record:
    return replace(EXP, function=function, **others)


DEFECTS: dict[str, tuple[str, Record, str]] = {
    "an inexact value": ("reference", spoiled(lambda x: samara.exp(x) * (1 + 1e-6)), "ULP"),
    "a wider result": ("reference", spoiled(lambda x: samara.exp(x).double()), "dtype float64"),
    "another shape": ("reference", spoiled(lambda x: samara.exp(x).unsqueeze(0)), "shape"),
    "a lost NaN": (
        "reference",
        spoiled(lambda x: samara.where(x == x, samara.exp(x), 0.0)),
        "nan",
    ),
    "a wrong sign of zero": (
        "reference",
        replace(
            RECORDS["negative"],
            function=lambda x: 0 - x,
            samples=lambda rng: [Sample(np.array([0.0, 1.0]))],
        ),
        "sign of zero",
    ),
    "no samples": ("reference", replace(EXP, samples=lambda rng: []), "no samples"),
    "no reference": ("reference", replace(EXP, ref=None), "no reference"),
    "ignored strides": (
        "layouts",
        spoiled(
            lambda x: samara.exp(x if x.is_contiguous() else x.clone().flip(0) if x.ndim else x)
        ),
        "same bits",
    ),
    "a changed argument": ("layouts", spoiled(lambda x: samara.exp(x.fill_(1.0))), "changed"),
    "a dtype not listed": (
        "dtypes",
        replace(EXP, dtypes=(samara.float32,)),
        "nothing was raised",
    ),
    "the wrong error": (
        "errors",
        replace(EXP, errors=lambda: [ErrorSample(IndexError, "str", "text")]),
        "Expected IndexError",
    ),
    "another message": (
        "errors",
        replace(EXP, errors=lambda: [ErrorSample(DTypeError, "purple", "text")]),
        "purple",
    ),
    "a bare message": (
        "errors",
        spoiled(
            lambda x: raise_bare(), errors=lambda: [ErrorSample(ArgumentError, "no", np.ones(1))]
        ),
        "Fix: ",
    ),
    "no error samples": ("errors", replace(EXP, errors=list), "no error samples"),
    "a wrong gradient": (
        "gradients",
        spoiled(lambda x: samara.exp(x.detach()) + (x - x.detach()) * 2),
        "first derivative",
    ),
    "a lost graph": ("gradients", spoiled(lambda x: samara.exp(x.detach())), "require grad"),
    "an in-place form that does not write": (
        "in_place",
        replace(EXP, in_place=lambda x: samara.exp(x)),
        "Expected its target",
    ),
    "a method that differs": (
        "names",
        replace(EXP, methods=("exp2",), samples=lambda rng: [Sample(np.array([1.0, 3.0]))]),
        "of the method",
    ),
    "a missing method": ("names", replace(EXP, methods=("expo",)), "does not exist"),
    "an undeclared parameter": (
        "signature",
        replace(EXP, signature="exp(x, base: float)"),
        "declares",
    ),
    "no annotation": ("signature", spoiled(lambda x: samara.exp(x)), "annotation"),
    "threads that count": (
        "threads",
        spoiled(lambda x: samara.exp(x) * float(samara.thread_count())),
        "with 2 threads",
    ),
}


def raise_bare() -> None:
    raise ArgumentError("no")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str) -> None:
    check, record, message = DEFECTS[name]
    with pytest.raises(CheckError, match=message):
        CHECKS[check](record)


def test_the_device_check_finds_host_memory() -> None:
    samara._core.register_host_backed_device("null")
    check_device(EXP)
    with pytest.raises(CheckError, match="numpy"):
        check_device(spoiled(lambda x: samara.exp(samara.tensor(x.numpy()))))


def test_names_must_be_public() -> None:
    with pytest.raises(CheckError, match=r"samara\.exq"):
        check_names(replace(EXP, aliases=("exq",)))


def test_opcheck_takes_operations_only() -> None:
    opcheck(samara.tanh)
    with pytest.raises(DTypeError, match="without a record"):
        opcheck(lambda x: x)


@pytest.mark.parametrize("dtype", samara.dtypes.FLOAT, ids=lambda dtype: dtype.name)
def test_units_in_the_last_place(dtype: samara.DType) -> None:
    like = samara.dtypes.to_numpy_dtype(dtype)
    values = np.array([1.0, 1.5, 3.0, 100.0, 1e-3]).astype(like)
    above = np.nextafter(values, np.array(np.inf, like)).astype(np.float64)
    spacing = above - values.astype(np.float64)
    assert unit_in_last_place(values.astype(np.float64), dtype).tolist() == spacing.tolist()
    tiny = float(ml_dtypes.finfo(like).smallest_subnormal)
    assert unit_in_last_place(np.array([0.0, tiny]), dtype).tolist() == [tiny, tiny]


def test_ulp_error_of_special_values() -> None:
    inf, nan = np.inf, np.nan
    result = np.array([inf, nan, 1.0, nan, inf, 3.4e38, -inf])
    expected = np.array([inf, nan, nan, 1.0, 1.0, 3.5e38, 3.5e38])
    error = ulp_error(result, expected, samara.float32)
    assert (error == 0).tolist() == [True, True, False, False, False, False, False]
    assert ulp_error(np.array([inf]), np.array([3.5e38]), samara.float32)[0] == 0


def test_check_values() -> None:
    x = samara.tensor([1.0, 2.0])
    check_values(x, np.array([1.0, 2.0 + 1e-7]), ulp=1)
    with pytest.raises(CheckError, match=r"element \[1\]"):
        check_values(x, np.array([1.0, 2.0 + 1e-6]), ulp=1)
    check_values(samara.tensor([250], dtype=samara.uint8), np.array([-6]))
    with pytest.raises(CheckError, match="1 of 2"):
        check_values(samara.tensor([1, 2]), np.array([1, 3]))
    check_values(samara.tensor([1e-3]), np.array([1.1e-3]), ulp=4, scale=np.array([1e3]))


def test_layouts_hold_the_values_elsewhere() -> None:
    array = np.arange(12.0).reshape(3, 4)
    seen = dict(layouts(array))
    assert set(seen) == {"transposed", "sliced", "reversed", "shifted"}
    for view in seen.values():
        assert view.tolist() == array.tolist()
    assert not seen["sliced"].flags.c_contiguous and not seen["transposed"].flags.c_contiguous
    assert seen["reversed"].strides[0] < 0
    assert np.isnan(seen["sliced"].base).sum() == 48 - 12
    assert broadcast_layout(array).strides[0] == 0
