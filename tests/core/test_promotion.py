"""Dtypes: the Array API's promotion table written out, weak Python scalars, limits, kinds."""

from __future__ import annotations

import itertools
import operator

import ml_dtypes
import numpy as np
import pytest

import samara

# Python Array API standard 2025.12, "Type Promotion Rules": signed, unsigned, mixed integers,
# floats, and floats with complex numbers. One row per first operand.
TABLE = """
        int8   int16  int32  int64
int8    int8   int16  int32  int64
int16   int16  int16  int32  int64
int32   int32  int32  int32  int64
int64   int64  int64  int64  int64

        uint8  uint16 uint32 uint64
uint8   uint8  uint16 uint32 uint64
uint16  uint16 uint16 uint32 uint64
uint32  uint32 uint32 uint32 uint64
uint64  uint64 uint64 uint64 uint64

        uint8  uint16 uint32
int8    int16  int32  int64
int16   int16  int32  int64
int32   int32  int32  int64
int64   int64  int64  int64

          float32    float64    complex64  complex128
float32   float32    float64    complex64  complex128
float64   float64    float64    complex128 complex128
complex64 complex64  complex128 complex64  complex128
complex128 complex128 complex128 complex128 complex128

bool
bool    bool
"""

# What the standard leaves open: two half types, halves with wider floats, bool and integers with
# the rest (the other one's dtype), uint64 with signed integers (no integer holds both).
EXTENSION = """
         float16  bfloat16 float32 float64 complex64 complex128
float16  float16  float32  float32 float64 complex64 complex128
bfloat16 float32  bfloat16 float32 float64 complex64 complex128

bool     int8 uint16 int64 float16 bfloat16 float32 complex64
bool     int8 uint16 int64 float16 bfloat16 float32 complex64
int64    int64 int64 int64 float16 bfloat16 float32 complex64
uint8    int16 uint16 int64 float16 bfloat16 float32 complex64
"""


def entries(text: str) -> list[tuple[str, str, str]]:
    found = []
    for block in text.strip("\n").split("\n\n"):
        head, *rows = [line.split() for line in block.splitlines()]
        columns = head[1:] if len(rows[0]) == len(head) else head
        for row in rows:
            found += [(row[0], b, result) for b, result in zip(columns, row[1:], strict=True)]
    return found


def named(name: str) -> samara.DType:
    found = getattr(samara, name)
    assert isinstance(found, samara.DType)
    return found


@pytest.mark.parametrize(("a", "b", "result"), entries(TABLE) + entries(EXTENSION))
def test_promotion_table(a: str, b: str, result: str) -> None:
    assert samara.promote_types(named(a), named(b)) is named(result)
    assert samara.promote_types(named(b), named(a)) is named(result)
    assert samara.result_type(named(a), named(b)) is named(result)


@pytest.mark.parametrize(("a", "b", "result"), entries(TABLE) + entries(EXTENSION))
def test_operations_follow_the_table(a: str, b: str, result: str) -> None:
    x, y = samara.ones(2, dtype=named(a)), samara.ones(2, dtype=named(b))
    for left, right in ((x, y), (y, x)):
        assert samara.where(samara.tensor([True, False]), left, right).dtype is named(result)
        assert samara.equal(left, right).dtype is samara.bool
        if "bool" not in (a, b):
            assert (left + right).dtype is named(result)
            assert (left * right).dtype is named(result)


def test_uint64_with_signed_integers_has_a_float_that_reaches() -> None:
    for name in ("int8", "int16", "int32", "int64"):
        assert samara.promote_types(samara.uint64, named(name)).is_floating_point


def test_promotion_is_commutative_and_associative_within_a_kind() -> None:
    kinds = (samara.dtypes.SIGNED, samara.dtypes.UNSIGNED, samara.dtypes.FLOAT)
    for kind in kinds:
        for a, b, c in itertools.product(kind, repeat=3):
            left = samara.promote_types(samara.promote_types(a, b), c)
            assert left is samara.promote_types(a, samara.promote_types(b, c))


@pytest.mark.parametrize(
    ("dtype", "scalar", "result"),
    [
        ("int8", 1, "int8"),
        ("uint8", 1, "uint8"),
        ("int64", 2.0, "float32"),
        ("float16", 2, "float16"),
        ("bfloat16", 2.5, "bfloat16"),
        ("float32", 2.5, "float32"),
        ("float64", 1, "float64"),
        ("float32", 1j, "complex64"),
        ("float64", 1j, "complex128"),
        ("complex64", 2.5, "complex64"),
        ("int32", 1j, "complex64"),
    ],
)
def test_python_scalars_are_weak(dtype: str, scalar: complex, result: str) -> None:
    x = samara.ones(2, dtype=named(dtype))
    for operation in (operator.add, operator.mul, operator.sub):
        assert operation(x, scalar).dtype is named(result)
        assert operation(scalar, x).dtype is named(result)
    assert samara.result_type(x, scalar) is named(result)


def test_a_0d_tensor_is_not_weak() -> None:
    assert (samara.ones(2) + samara.tensor(1.0, dtype=samara.float64)).dtype is samara.float64


def test_true_division_of_integers_is_real() -> None:
    assert (samara.tensor([1, 2]) / samara.tensor([2, 2])).tolist() == [0.5, 1.0]
    assert (samara.tensor([1], dtype=samara.int8) / 2).dtype is samara.float32


def test_default_dtype() -> None:
    assert samara.get_default_dtype() is samara.float32
    samara.set_default_dtype(samara.float64)
    try:
        assert samara.tensor([1.0]).dtype is samara.float64
        assert samara.zeros(1).dtype is samara.float64
        assert (samara.tensor([1]) * 0.5).dtype is samara.float64
        assert samara.tensor([1j]).dtype is samara.complex128
        assert samara.tensor([1]).dtype is samara.int64
    finally:
        samara.set_default_dtype(samara.float32)
    with pytest.raises(samara.errors.DTypeError, match=r"Expected .*Fix: "):
        samara.set_default_dtype(samara.int32)


def test_can_cast() -> None:
    assert samara.can_cast(samara.int8, samara.int16)
    assert not samara.can_cast(samara.int16, samara.int8)
    assert samara.can_cast(samara.ones(1), samara.float64)
    assert not samara.can_cast(samara.complex64, samara.float64)


def test_isdtype_partitions_the_dtypes() -> None:
    kinds = ("bool", "signed integer", "unsigned integer", "real floating", "complex floating")
    for dtype in samara.dtypes.ALL:
        assert sum(samara.isdtype(dtype, kind) for kind in kinds) == 1
        integral = samara.isdtype(dtype, ("signed integer", "unsigned integer"))
        assert samara.isdtype(dtype, "integral") == integral
        assert samara.isdtype(dtype, "numeric") == (dtype is not samara.bool)
    with pytest.raises(samara.errors.ArgumentError, match="'floaty'"):
        samara.isdtype(samara.float32, "floaty")


def test_limits_agree_with_numpy() -> None:
    for dtype in samara.dtypes.FLOAT:
        ours, theirs = samara.finfo(dtype), ml_dtypes.finfo(samara.dtypes.to_numpy_dtype(dtype))
        assert (ours.bits, ours.eps, ours.max) == (theirs.bits, theirs.eps, theirs.max)
        assert ours.smallest_normal == theirs.smallest_normal
        assert ours.min == -ours.max
    for dtype in samara.dtypes.INTEGER:
        ours_int, theirs_int = samara.iinfo(dtype), np.iinfo(dtype.name)
        assert (ours_int.bits, ours_int.min, ours_int.max) == (
            theirs_int.bits,
            theirs_int.min,
            theirs_int.max,
        )
    assert samara.finfo(samara.complex64).dtype is samara.float32
    with pytest.raises(samara.errors.DTypeError, match="iinfo"):
        samara.finfo(samara.int8)
    with pytest.raises(samara.errors.DTypeError, match="finfo"):
        samara.iinfo(samara.float32)


VALUES = [0.0, 1.0, -1.0, 1.5, -2.5, 3.999, 100.0, 127.0, -128.0]


@pytest.mark.parametrize("target", samara.dtypes.ALL, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("source", samara.dtypes.ALL, ids=lambda dtype: dtype.name)
def test_casts_agree_with_numpy(source: samara.DType, target: samara.DType) -> None:
    from samara.dtypes import to_numpy_dtype

    values = np.abs(VALUES) if source.kind in ("unsigned integer", "bool") else np.array(VALUES)
    array = values.astype(to_numpy_dtype(source))
    if target.kind == "unsigned integer" and source.kind != "signed integer":
        array = array[array.real >= 0] if source.kind != "bool" else array
    if source.is_complex and not target.is_complex and target is not samara.bool:
        with pytest.raises(samara.errors.DTypeError, match=r"(?i)complex.*Fix: "):
            samara.from_numpy(array).to(target)
        return
    expected = array.astype(to_numpy_dtype(target))
    result = samara.from_numpy(array).to(target)
    assert result.dtype is target
    assert result.numpy().tobytes() == expected.tobytes()


def test_rounding_to_half_precision() -> None:
    rng = np.random.default_rng(3)
    wide = (rng.normal(size=4000) * 10.0 ** rng.integers(-9, 6, 4000)).astype(np.float32)
    wide = np.concatenate([wide, [np.inf, -np.inf, np.nan, 0.0, -0.0, 65519.0, 65520.0]])
    wide = wide.astype(np.float32)
    for dtype, like in ((samara.float16, np.float16), (samara.bfloat16, ml_dtypes.bfloat16)):
        with np.errstate(all="ignore"):
            expected = wide.astype(like)
        result = samara.from_numpy(wide).to(dtype).numpy()
        finite = ~np.isnan(wide)
        assert result[finite].tobytes() == expected[finite].tobytes()
        assert np.isnan(result[~finite].astype(np.float32)).all()


def test_namespace_info() -> None:
    info = samara.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] is samara.float32
    assert set(info.dtypes(kind="integral").values()) == set(samara.dtypes.INTEGER)
    assert info.capabilities()["boolean indexing"] is True
    assert str(info.default_device()) == "cpu"


def test_a_python_integer_of_64_bits_keeps_them() -> None:
    x = samara.tensor([2**64 - 2], dtype=samara.uint64)
    assert (x == 2**64 - 1).tolist() == [False] and (x < 2**64 - 1).tolist() == [True]
    assert (x - 2**63).tolist() == [2**63 - 2]
    with pytest.raises(samara.errors.ArgumentError, match="9223372036854775808 does not fit"):
        samara.tensor([1], dtype=samara.uint8) + 2**63
