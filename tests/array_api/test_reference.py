"""Every function of the main namespace against array-api-strict: dtypes, shapes and values."""

from __future__ import annotations

import inspect
import itertools
import operator
import zlib
from typing import Any

import array_api_strict
import numpy as np
import pytest

import samara
from tests.array_api.strict import (
    ALL,
    BOOL,
    COMPLEX,
    FLOAT,
    FLOATING,
    INTEGER,
    NUMERIC,
    REAL,
    compare,
    draw,
    of,
)

SHAPES: list[tuple[int, ...]] = [(), (1,), (5,), (0,), (3, 4), (2, 1, 3), (40,)]
PAIRS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    *(((), ()), ((5,), (5,)), ((3, 1), (1, 4)), ((2, 3), (3,)), ((0,), (1,)), ((40,), (40,))),
]
ARRAYS = [(5,), (3, 4), (2, 3, 4), (1,), (0, 3)]
UNARY = {
    **dict.fromkeys(
        [
            "abs",
            "conj",
            "isfinite",
            "isinf",
            "isnan",
            "negative",
            "positive",
            "real",
            "round",
            "square",
        ],
        NUMERIC,
    ),
    **dict.fromkeys(
        [
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atanh",
            "cos",
            "cosh",
            "exp",
            "log",
            "log1p",
            "log2",
            "log10",
            "sin",
            "sinh",
            "sqrt",
            "tan",
            "tanh",
        ],
        FLOATING,
    ),
    **dict.fromkeys(["ceil", "floor", "trunc", "sign"], REAL),
    "bitwise_invert": BOOL + INTEGER,
    "expm1": FLOAT,
    "imag": COMPLEX,
    "logical_not": BOOL,
    "reciprocal": FLOAT,
    "signbit": FLOAT,
}
BINARY = {
    **dict.fromkeys(["add", "subtract", "multiply", "equal", "not_equal"], NUMERIC),
    **dict.fromkeys(["atan2", "copysign", "hypot", "logaddexp", "nextafter"], FLOAT),
    **dict.fromkeys(["bitwise_and", "bitwise_or", "bitwise_xor"], BOOL + INTEGER),
    **dict.fromkeys(["bitwise_left_shift", "bitwise_right_shift"], INTEGER),
    **dict.fromkeys(
        [
            "floor_divide",
            "remainder",
            "greater",
            "greater_equal",
            "less",
            "less_equal",
            "maximum",
            "minimum",
        ],
        REAL,
    ),
    **dict.fromkeys(["logical_and", "logical_or", "logical_xor"], BOOL),
    "divide": FLOATING,
    "pow": REAL,
}
OPERATORS = {
    **dict.fromkeys(["add", "sub", "mul", "eq", "ne"], NUMERIC),
    **dict.fromkeys(["floordiv", "mod", "lt", "le", "gt", "ge", "pow"], REAL),
    **dict.fromkeys(["and_", "or_", "xor"], BOOL + INTEGER),
    **dict.fromkeys(["lshift", "rshift"], INTEGER),
    "truediv": FLOATING,
}
SCALARS: dict[str, list[Any]] = {
    "b": [True],
    "i": [1, 3],
    "u": [1, 3],
    "f": [1, 2.5],
    "c": [2, 2.5, 1 + 2j],
}


def generator(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def operands(name: str, rng: Any, dtypes: tuple[str, str], shapes: Any) -> tuple[Any, Any]:
    """Two arrays for which the standard defines the result."""
    edges = not any(np.dtype(dtype).kind == "c" for dtype in dtypes)
    a, b = (draw(rng, d, s, edges) for d, s in zip(dtypes, shapes, strict=True))
    if b.dtype.kind in "iu":
        if "shift" in name:
            b = (np.abs(b.astype(np.int64)) % (8 * a.dtype.itemsize)).astype(b.dtype)
        if "pow" in name:
            b = (np.abs(b.astype(np.int64)) % 4).astype(b.dtype)
        if name in ("remainder", "floor_divide", "mod", "floordiv"):
            b = np.where(b == 0, b.dtype.type(3), b)
    return np.asarray(a), np.asarray(b)


def promotable(a: str, b: str) -> bool:
    try:
        array_api_strict.result_type(of(a, array_api_strict), of(b, array_api_strict))
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", UNARY)
def test_elementwise_of_one(name: str) -> None:
    for dtype, shape in itertools.product(UNARY[name], SHAPES):
        edges = name != "square" or dtype not in COMPLEX
        x = draw(generator(name, dtype), dtype, shape, edges)
        compare(lambda xp, x: getattr(xp, name)(x), x)


@pytest.mark.parametrize("name", BINARY)
def test_elementwise_of_two(name: str) -> None:
    for dtypes in itertools.product(BINARY[name], repeat=2):
        if not promotable(*dtypes):
            continue
        for shapes in PAIRS if dtypes[0] == dtypes[1] else PAIRS[:4]:
            a, b = operands(name, generator(name, dtypes), dtypes, shapes)
            compare(lambda xp, x, y: getattr(xp, name)(x, y), a, b)


@pytest.mark.parametrize("name", BINARY)
def test_elementwise_of_a_scalar(name: str) -> None:
    for dtype in BINARY[name]:
        x = draw(generator(name, dtype), dtype, (4,), edges=False)
        x = np.where(x == 0, x.dtype.type(1), x)
        for scalar in SCALARS[x.dtype.kind]:
            compare(lambda xp, x, s=scalar: getattr(xp, name)(x, s), x)
            if name != "pow" and "shift" not in name:
                compare(lambda xp, x, s=scalar: getattr(xp, name)(s, x), x)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    plain = getattr(operator, name)
    in_place = getattr(operator, f"i{name.rstrip('_')}", None)
    for dtypes in itertools.product(OPERATORS[name], repeat=2):
        if not promotable(*dtypes):
            continue
        a, b = operands(name, generator(name, dtypes), dtypes, ((3, 4), (4,)))
        compare(lambda xp, x, y: plain(x, y), a, b)
        if in_place is not None and np.result_type(*dtypes) == np.dtype(dtypes[0]):
            compare(lambda xp, x, y: in_place(x, y), a, b)
    for dtype in OPERATORS[name]:
        x = draw(generator(name, dtype), dtype, (4,), edges=False)
        x = np.where(x == 0, x.dtype.type(1), x)
        for scalar in SCALARS[x.dtype.kind]:
            compare(lambda xp, x, s=scalar: plain(x, s), x)
            if name not in ("pow", "lshift", "rshift"):
                compare(lambda xp, x, s=scalar: plain(s, x), x)


REDUCTIONS = {
    **dict.fromkeys(["sum", "prod"], NUMERIC),
    **dict.fromkeys(["max", "min", "argmax", "argmin"], REAL),
    **dict.fromkeys(["all", "any", "count_nonzero"], ALL),
    **dict.fromkeys(["var", "std"], FLOAT),
    "mean": FLOATING,
}


def axes_of(x: Any, several: bool = True) -> list[Any]:
    found: list[Any] = [None, *range(-x.ndim, x.ndim)]
    return found + ([(0, 1), (-1, 0)] if several and x.ndim > 1 else [])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    for dtype, shape in itertools.product(REDUCTIONS[name], ((5,), (3, 4), (2, 3, 4), (), (1,))):
        x = draw(generator(name, dtype), dtype, shape, edges=False)
        for axis, keepdims in itertools.product(axes_of(x, "arg" not in name), (False, True)):
            options: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
            compare(lambda xp, x, o=options: getattr(xp, name)(x, **o), x)
            if name in ("var", "std"):
                compare(lambda xp, x, o=options: getattr(xp, name)(x, correction=0.5, **o), x)


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_accumulation_dtypes(name: str) -> None:
    for dtype, other in itertools.product(NUMERIC, repeat=2):
        if promotable(dtype, other) and np.result_type(dtype, other) == np.dtype(other):
            x = draw(generator(name, dtype, other), dtype, (4,), edges=False)
            compare(lambda xp, x, o=other: getattr(xp, name)(x, dtype=of(o, xp)), x)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_scans(name: str) -> None:
    for dtype, shape in itertools.product(NUMERIC, ((5,), (3, 4), (0,), (2, 0))):
        x = draw(generator(name, dtype), dtype, shape, edges=False)
        axes = ([None] if x.ndim == 1 else []) + list(range(-x.ndim, x.ndim))
        for axis, initial in itertools.product(axes, (False, True)):
            compare(
                lambda xp, x, a=axis, i=initial: getattr(xp, name)(x, axis=a, include_initial=i), x
            )


ALONG_AN_AXIS: dict[str, Any] = {
    "concat": lambda xp, x, a: xp.concat([x, x], axis=a),
    "diff": lambda xp, x, a: xp.diff(x, axis=a),
    "diff twice": lambda xp, x, a: xp.diff(x, axis=a, n=2),
    "diff with ends": lambda xp, x, a: xp.diff(x, axis=a, prepend=x, append=x),
    "expand_dims": lambda xp, x, a: xp.expand_dims(x, axis=a),
    "flip": lambda xp, x, a: xp.flip(x, axis=a),
    "moveaxis": lambda xp, x, a: xp.moveaxis(x, a, 0),
    "repeat": lambda xp, x, a: xp.repeat(x, 2, axis=a),
    "repeat by an array": lambda xp, x, a: xp.repeat(x, xp.arange(x.shape[a]), axis=a),
    "roll": lambda xp, x, a: xp.roll(x, 2, axis=a),
    "squeeze": lambda xp, x, a: xp.squeeze(xp.expand_dims(x, axis=a), axis=a),
    "stack": lambda xp, x, a: xp.stack([x, x], axis=a),
    "take": lambda xp, x, a: xp.take(
        x, xp.asarray([0, -1] if x.shape[a] else [], dtype=xp.int64), axis=a
    ),
    "take_along_axis": lambda xp, x, a: xp.take_along_axis(
        x, xp.zeros(x.shape, dtype=xp.int64), axis=a
    ),
    "unstack": lambda xp, x, a: xp.unstack(x, axis=a),
}


@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_along_an_axis(name: str) -> None:
    for dtype, shape in itertools.product(ALL, ARRAYS):
        x = draw(generator(name, dtype), dtype, shape)
        for axis in range(-x.ndim, x.ndim):
            if name.startswith("diff") and dtype in BOOL:
                continue
            compare(lambda xp, x, a=axis: ALONG_AN_AXIS[name](xp, x, a), x, exact=True)


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sorting(name: str) -> None:
    for dtype, shape in itertools.product(REAL, ARRAYS):
        x = draw(generator(name, dtype), dtype, shape)
        x = np.where(x == 0, 0, x).astype(dtype)  # which zero goes first is open
        for axis, descending in itertools.product(range(-x.ndim, x.ndim), (False, True)):
            compare(
                lambda xp, x, a=axis, d=descending: getattr(xp, name)(x, axis=a, descending=d), x
            )


WHOLE: dict[str, Any] = {
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, xp.expand_dims(x, axis=0)),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, *x.shape)),
    "concat": lambda xp, x: xp.concat([x, x], axis=None),
    "copy": lambda xp, x: xp.asarray(x, copy=True),
    "flip": lambda xp, x: xp.flip(x),
    "full_like": lambda xp, x: xp.full_like(x, 1),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x) if x.ndim > 1 else x,
    "mT": lambda xp, x: x.mT if x.ndim > 1 else x,
    "nonzero": lambda xp, x: xp.nonzero(x),
    "ones_like": lambda xp, x: xp.ones_like(x),
    "permute_dims": lambda xp, x: xp.permute_dims(x, tuple(range(x.ndim))[::-1]),
    "repeat": lambda xp, x: xp.repeat(x, 3),
    "reshape": lambda xp, x: xp.reshape(x, (-1,)) if x.size else xp.reshape(x, (0, 5)),
    "reshape copy": lambda xp, x: xp.reshape(x, x.shape[::-1], copy=True),
    "roll": lambda xp, x: xp.roll(x, 3),
    "tile": lambda xp, x: xp.tile(x, (2,) * x.ndim),
    "tile shorter": lambda xp, x: xp.tile(x, (2,)),
    "tile longer": lambda xp, x: xp.tile(x, (1, 2, 1, 2)),
    "tril": lambda xp, x: xp.tril(x) if x.ndim > 1 else x,
    "triu": lambda xp, x: xp.triu(x, k=1) if x.ndim > 1 else x,
    "where": lambda xp, x: xp.where(x == x, x, xp.zeros_like(x)),
    "zeros_like": lambda xp, x: xp.zeros_like(x),
    "size": lambda xp, x: int(x.size) if isinstance(x.size, int) else x.size,
    "ndim": lambda xp, x: x.ndim,
    "shape": lambda xp, x: x.shape,
}


@pytest.mark.parametrize("name", WHOLE)
def test_of_a_whole_array(name: str) -> None:
    for dtype, shape in itertools.product(ALL, ARRAYS):
        compare(WHOLE[name], draw(generator(name, dtype), dtype, shape), exact=True)


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse"])
def test_sets(name: str) -> None:
    for dtype, shape in itertools.product(ALL, ARRAYS):
        # The order of NaN among complex numbers and the sign of a zero are open.
        x = draw(generator(name, dtype), dtype, shape, edges=dtype not in COMPLEX)
        x = np.where(x == 0, 0, x).astype(dtype)
        compare(lambda xp, x: getattr(xp, name)(x), x, exact=True)


def test_sets_of_complex_numbers() -> None:
    x = samara.asarray([1j, complex(-0.0, 1.0), complex(np.nan, 1), complex(np.nan, 1), 2, 2j, 2])
    values, indices, inverse, counts = samara.unique_all(x)
    assert values.tolist()[:3] == [1j, 2j, 2] and values.shape == (5,)
    assert counts.tolist() == [2, 1, 2, 1, 1] and indices.tolist() == [0, 5, 4, 2, 3]
    assert inverse.tolist() == [0, 0, 3, 4, 2, 1, 2]
    assert samara.unique_values(x).shape == (5,) and samara.unique_counts(x).counts.sum() == 7


def test_membership() -> None:
    for dtype in NUMERIC:
        x = draw(generator("isin", dtype), dtype, (30,))
        among = x[::3]
        for invert in (False, True):
            received = samara.isin(samara.asarray(x), samara.asarray(among), invert=invert)
            np.testing.assert_array_equal(received.numpy(), np.isin(x, among, invert=invert))
        one = samara.asarray(x)
        np.testing.assert_array_equal(samara.isin(one, 1).numpy(), np.isin(x, 1))
        assert samara.isin(int(abs(among[-1].real)) % 3, one).shape == ()


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    for dtype in REAL:
        values = draw(generator(dtype), dtype, (3, 4), edges=False)
        edges = np.array([0, 1, 1, 3]).astype(dtype)
        compare(lambda xp, e, v: xp.searchsorted(e, v, side=side), edges, values)
        compare(
            lambda xp, e, v: xp.searchsorted(e, v, side=side, sorter=xp.asarray([3, 2, 1, 0])),
            edges[::-1],
            values,
        )
        compare(lambda xp, e: xp.searchsorted(e, 2, side=side), edges)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_products(dtype: str) -> None:
    for shape in [(4,), (3, 4), (2, 3, 4)]:
        x = draw(generator(dtype, shape), dtype, shape, edges=False)
        compare(lambda xp, x: xp.vecdot(x, x), x)
        compare(lambda xp, x: xp.vecdot(x, x, axis=-1), x)
        compare(lambda xp, x: xp.tensordot(x, x, axes=((0,), (0,))), x)
        compare(lambda xp, x: xp.tensordot(x, x, axes=0), x)
        back = tuple(range(x.ndim))[::-1]
        compare(lambda xp, x, p=back: xp.tensordot(x, xp.permute_dims(x, p), axes=1), x)
        if x.ndim > 1:
            compare(lambda xp, x: xp.matmul(x, x.mT), x)
            compare(lambda xp, x: x @ x[(0,) * (x.ndim - 1) + (...,)], x)


@pytest.mark.parametrize("dtype", REAL)
def test_clip(dtype: str) -> None:
    x = draw(generator(dtype), dtype, (20,))
    for low, high in ((1, 3), (2, None), (None, 2), (None, None)):
        compare(lambda xp, x, a=low, b=high: xp.clip(x, a, b), x)
    compare(lambda xp, x: xp.clip(x, xp.ones_like(x), xp.full_like(x, 2)), x)


def test_dtype_functions() -> None:
    for a, b in itertools.product(ALL, repeat=2):
        x = draw(generator(a, b), a, (3, 4), edges=False)
        if promotable(a, b):
            compare(lambda xp, x, o=b: xp.result_type(x, of(o, xp)), x)
            within = array_api_strict.can_cast(of(a, array_api_strict), of(b, array_api_strict))
            if within:  # casts between kinds are left open
                compare(
                    lambda xp, x, o=b: (xp.can_cast(x, of(o, xp)), xp.can_cast(x.dtype, of(o, xp))),
                    x,
                )
        kinds = np.dtype(a).kind + np.dtype(b).kind
        if not kinds.startswith("c") or kinds == "cc":
            x = np.abs(x) if b.startswith("u") and "c" not in kinds else x
            compare(lambda xp, x, o=b: xp.astype(x, of(o, xp)), x)
            compare(lambda xp, x, o=b: xp.astype(x, of(o, xp), device=x.device, copy=False), x)


def test_limits_of_dtypes() -> None:
    for dtype in INTEGER:
        got, wanted = samara.iinfo(of(dtype, samara)), np.iinfo(dtype)
        assert (got.bits, got.min, got.max) == (wanted.bits, wanted.min, wanted.max)
    for dtype in FLOAT:
        wanted_f = np.finfo(dtype)
        for given in (of(dtype, samara), samara.zeros(1, dtype=of(dtype, samara))):
            limits = samara.finfo(given)
            assert (limits.bits, limits.eps, limits.max, limits.min, limits.smallest_normal) == (
                *(wanted_f.bits, float(wanted_f.eps), float(wanted_f.max), float(wanted_f.min)),
                float(wanted_f.smallest_normal),
            )


CREATION: dict[str, Any] = {
    "arange": lambda xp: [
        xp.arange(*a, dtype=xp.float64) for a in ((3,), (1, 9, 2), (9, 1, -2), (0.5, 3.0, 0.25))
    ],
    "arange of ints": lambda xp: [xp.arange(*a) for a in ((3,), (1, 4), (9, 1, -2), (4, 1))],
    "asarray": lambda xp: [xp.asarray(v) for v in (True, 3, [1, 2], [[True], [False]])],
    "broadcast_shapes": lambda xp: xp.broadcast_shapes((2, 1), (3,), ()),
    "eye": lambda xp: [xp.eye(3, k=k, dtype=xp.int8) for k in (-4, -1, 0, 2)],
    "eye wide": lambda xp: [xp.eye(3, 4, k=k, dtype=xp.float64) for k in (-1, 0, 5)],
    "full": lambda xp: [xp.full((2,), v) for v in (True, 7)],
    "linspace": lambda xp: [
        xp.linspace(*a, dtype=xp.float64, endpoint=e)
        for a in ((0, 1, 5), (1.0, -1.0, 3), (0, 10, 1), (0, 10, 0))
        for e in (True, False)
    ],
    "meshgrid": lambda xp: xp.meshgrid(xp.arange(3), xp.arange(2)),
    "meshgrid ij": lambda xp: xp.meshgrid(xp.arange(3), xp.arange(2), indexing="ij"),
    "ones": lambda xp: [xp.ones(s, dtype=of(d, xp)) for d in ALL for s in (3, (), (2, 3))],
    "zeros": lambda xp: [xp.zeros(s, dtype=of(d, xp)) for d in ALL for s in (3, (), (2, 3))],
    "empty": lambda xp: [xp.empty(s, dtype=of(d, xp)).shape for d in ALL for s in (3, (), (2, 3))],
    "isdtype": lambda xp: [
        xp.isdtype(of(d, xp), k)
        for d in ALL
        for k in (
            *("bool", "signed integer", "unsigned integer", "integral", "real floating"),
            *("complex floating", "numeric", ("bool", "integral"), of("int8", xp)),
        )
    ],
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(name: str) -> None:
    compare(CREATION[name])


def test_every_name_of_the_standard_is_there() -> None:
    own = {"Device", "ArrayAPIStrictFlags", "__version__"}
    names = [n for n in array_api_strict.__all__ if n not in own and "_flags" not in n]
    assert len(names) > 150
    missing = [name for name in names if not hasattr(samara, name)]
    for extension in ("linalg", "fft"):
        theirs, ours = getattr(array_api_strict, extension), getattr(samara, extension)
        missing += [f"{extension}.{n}" for n in theirs.__all__ if not hasattr(ours, n)]
    array = array_api_strict._array_object.Array
    public = {n for n in vars(array) if n.startswith("__") or not n.startswith("_")}
    public -= {*vars(object), "__slots__", "__weakref__", "__buffer__", "__dict__", "__module__"}
    missing += [f"Tensor.{n}" for n in public if not hasattr(samara.Tensor, n)]
    assert missing == []


def test_parameters_have_the_names_of_the_standard() -> None:
    """Those that are not positional-only are accepted by name, and the others in their place."""
    wrong = []
    for name in array_api_strict.__all__:
        function, ours = getattr(array_api_strict, name), getattr(samara, name, None)
        if not inspect.isfunction(function) or ours is None or "_flags" in name:
            continue
        parameters = inspect.signature(ours).parameters
        for place, parameter in enumerate(inspect.signature(function).parameters.values()):
            if parameter.kind is parameter.KEYWORD_ONLY:
                fits = parameter.name in parameters
            elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                fits = list(parameters)[place] == parameter.name
            else:
                fits = place < len(parameters)
            if not fits:
                wrong.append(f"{name}: {parameter}")
    assert wrong == []
