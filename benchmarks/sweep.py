"""Every pointwise, reducing, sorting, gathering and indexing operation, by size, dtype and layout.

Against PyTorch and, from 10^5 numbers on, against NumPy. Only the summary and the ten worst rows
go on the page; all rows are printed as they are measured.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import samara
from benchmarks.measure import Row, calls_for, settled, show_row

GROUP = "sweep"
PEER, ARRAYS = "sweep against PyTorch", "sweep against NumPy"
SIZES = (10**3, 10**5, 10**7)
SECONDS = 0.004  # per measurement
ROUNDS = 5

UNARY = (
    "abs", "negative", "square", "sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log",
    "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh", "atanh", "sigmoid", "erf", "erfc", "floor", "ceil", "round", "trunc", "sign", "relu",
    "isnan", "isfinite", "logical_not", "frac", "lgamma", "digamma",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "pow", "maximum",
    "minimum", "atan2", "hypot", "logaddexp", "eq", "lt", "ge", "logical_and", "copysign",
)  # fmt: skip
INTEGER = (
    "add", "subtract", "multiply", "floor_divide", "remainder", "maximum", "bitwise_and",
    "bitwise_or", "bitwise_xor", "eq", "lt", "abs", "negative", "square", "sign",
)  # fmt: skip
REDUCTIONS = (
    "sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "var", "std", "logsumexp", "cumsum",
    "cumprod", "any", "all", "count_nonzero",
)  # fmt: skip
NUMPY_NAMES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "atanh": "arctanh",
    "atan2": "arctan2", "pow": "power", "eq": "equal", "lt": "less", "ge": "greater_equal",
    "remainder": "remainder", "round": "round",
}  # fmt: skip
HALF = ("add", "multiply", "exp", "tanh", "sigmoid", "relu", "sum", "amax")
LAYOUTS = ("add", "multiply", "exp", "sum", "maximum")

Case = tuple[str, Callable[[], Any], Callable[[], Any], Callable[[], Any] | None]


def operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in (0, 1), where every function is defined."""
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(0.05, 0.95, size=size).astype(np.float32) for _ in range(2))
    return x, y


def bound(name: str, library: Any, *arguments: Any, **options: Any) -> Callable[[], Any] | None:
    """A call without arguments, or None where the library has no such function."""
    function = getattr(library, name, None)
    if function is None:
        return None
    return lambda: function(*arguments, **options)


def case(title: str, name: str, arrays: tuple[Any, ...], **options: Any) -> Case | None:
    """The same call in the three libraries."""
    own = bound(name, samara, *map(samara.tensor, arrays), **options)
    peer = bound(name, torch, *map(torch.tensor, arrays), **options)
    if own is None or peer is None:
        raise LookupError(name)
    numpy_name = NUMPY_NAMES.get(name, name)
    third = bound(numpy_name, np, *arrays) if not options else None
    return title, own, peer, third


def pointwise(size: int) -> Iterator[Case]:
    """Float32 and int32, all operands contiguous."""
    x, y = operands(size)
    i, j = (np.round(a * 1000).astype(np.int32) for a in (x, y))
    for name in UNARY:
        yield case(name, name, (x,))
    for name in BINARY:
        yield case(name, name, (x, y))
    for name in INTEGER:
        yield case(f"{name} int32", name, (i, j) if name in BINARY or "bitwise" in name else (i,))
    for name, own, peer, third in (
        ("where", samara, torch, np),
        ("clamp", samara, torch, None),
        ("lerp", samara, torch, None),
        ("addcmul", samara, torch, None),
    ):
        yield from extra(name, own, peer, third, x, y)


def extra(name: str, own: Any, peer: Any, third: Any, x: Any, y: Any) -> Iterator[Case]:
    """Functions of three operands."""
    calls = []
    for library, make in ((own, samara.tensor), (peer, torch.tensor), (third, lambda a: a)):
        if library is None:
            calls.append(None)
            continue
        a, b = make(x), make(y)
        chosen = {
            "where": lambda lib=library, a=a, b=b: lib.where(a > b, a, b),
            "clamp": lambda lib=library, a=a: lib.clamp(a, 0.2, 0.8),
            "lerp": lambda lib=library, a=a, b=b: lib.lerp(a, b, 0.3),
            "addcmul": lambda lib=library, a=a, b=b: lib.addcmul(a, a, b),
        }
        calls.append(chosen[name])
    yield name, calls[0], calls[1], calls[2]


def reducing(size: int) -> Iterator[Case]:
    """The whole array, and each axis of a matrix."""
    x, _ = operands(size)
    side = math.isqrt(size)
    matrix = x[: side * side].reshape(side, side)
    flags = matrix > 0.5
    for name in REDUCTIONS:
        data = flags if name in ("any", "all") else matrix
        own, peer = samara.tensor(data), torch.tensor(data)
        for axis in (0, 1):
            array = None
            if hasattr(np, name) and name != "cumprod":
                array = functools.partial(getattr(np, name), data, axis=axis)
            ours, theirs = getattr(samara, name), getattr(torch, name)
            yield (
                f"{name} axis {axis}",
                lambda f=ours, own=own, axis=axis: f(own, dim=axis),
                lambda f=theirs, peer=peer, axis=axis: f(peer, dim=axis),
                array,
            )


def moving(size: int) -> Iterator[Case]:
    """Sorting, searching, gathering, scattering, indexing, joining, permuting."""
    x, _ = operands(size)
    side = math.isqrt(size)
    matrix = x[: side * side].reshape(side, side)
    rng = np.random.default_rng(1)
    index = rng.integers(0, side, size=(side, side))
    rows = rng.integers(0, side, size=side)
    own, peer = samara.tensor(matrix), torch.tensor(matrix)
    own_index, peer_index = samara.tensor(index), torch.tensor(index)
    own_rows, peer_rows = samara.tensor(rows), torch.tensor(rows)
    own_flat, peer_flat = samara.tensor(x), torch.tensor(x)
    edges = np.linspace(0, 1, 101, dtype=np.float32)
    own_edges, peer_edges = samara.tensor(edges), torch.tensor(edges)

    def each(
        name: str, call: Callable[[Any, Any, Any, Any, Any, Any], Any], array: Any = None
    ) -> Case:
        return (
            name,
            lambda: call(samara, own, own_index, own_rows, own_flat, own_edges),
            lambda: call(torch, peer, peer_index, peer_rows, peer_flat, peer_edges),
            array,
        )

    yield each("sort rows", lambda t, m, i, r, f, e: t.sort(m, dim=1))
    yield (
        "sort rows, values alone",
        lambda: samara.sort(own, axis=1),
        lambda: torch.sort(peer, dim=1).values,
        lambda: np.sort(matrix, axis=1),
    )
    yield each(
        "argsort rows",
        lambda t, m, i, r, f, e: t.argsort(m, dim=1),
        lambda: np.argsort(matrix, axis=1),
    )
    yield each("topk 10", lambda t, m, i, r, f, e: t.topk(m, 10, dim=1))
    yield each(
        "searchsorted",
        lambda t, m, i, r, f, e: t.searchsorted(e, f),
        lambda: np.searchsorted(edges, x),
    )
    yield each(
        "gather",
        lambda t, m, i, r, f, e: t.gather(m, 1, i),
        lambda: np.take_along_axis(matrix, index, 1),
    )
    yield each("scatter_add", lambda t, m, i, r, f, e: t.scatter_add(m, 1, i, m))
    yield each(
        "index_select 0", lambda t, m, i, r, f, e: t.index_select(m, 0, r), lambda: matrix[rows]
    )
    yield each(
        "index_select 1", lambda t, m, i, r, f, e: t.index_select(m, 1, r), lambda: matrix[:, rows]
    )
    yield each("x[rows]", lambda t, m, i, r, f, e: m[r], lambda: matrix[rows])
    yield each("x[mask]", lambda t, m, i, r, f, e: m[m > 0.5], lambda: matrix[matrix > 0.5])
    yield each(
        "nonzero", lambda t, m, i, r, f, e: (m > 0.5).nonzero(), lambda: np.argwhere(matrix > 0.5)
    )
    yield each("masked_fill", lambda t, m, i, r, f, e: m.masked_fill(m > 0.5, 0.0))
    yield each(
        "cat",
        lambda t, m, i, r, f, e: t.cat([m, m], dim=1),
        lambda: np.concatenate([matrix, matrix], 1),
    )
    yield each(
        "stack", lambda t, m, i, r, f, e: t.stack([m, m]), lambda: np.stack([matrix, matrix])
    )
    yield each(
        "flip", lambda t, m, i, r, f, e: t.flip(m, (1,)).clone(), lambda: np.flip(matrix, 1).copy()
    )
    yield each("roll", lambda t, m, i, r, f, e: t.roll(m, 3, 1), lambda: np.roll(matrix, 3, 1))
    yield each("tril", lambda t, m, i, r, f, e: t.tril(m), lambda: np.tril(matrix))
    yield each(
        "repeat_interleave",
        lambda t, m, i, r, f, e: t.repeat_interleave(m, 2, dim=0),
        lambda: np.repeat(matrix, 2, 0),
    )
    yield each(
        "copy transposed",
        lambda t, m, i, r, f, e: m.T.contiguous(),
        lambda: np.ascontiguousarray(matrix.T),
    )
    yield each(
        "to float64", lambda t, m, i, r, f, e: m.to(t.float64), lambda: matrix.astype(np.float64)
    )
    yield each("to bfloat16", lambda t, m, i, r, f, e: m.to(t.bfloat16))


def layouts(size: int) -> Iterator[Case]:
    """A transposed operand, a broadcast one, and bfloat16."""
    x, y = operands(size)
    side = math.isqrt(size)
    a, b = (z[: side * side].reshape(side, side) for z in (x, y))
    own_a, own_b, peer_a, peer_b = (
        samara.tensor(a),
        samara.tensor(b),
        torch.tensor(a),
        torch.tensor(b),
    )
    for name in LAYOUTS:
        own, peer, third = (getattr(library, name) for library in (samara, torch, np))
        two = name in BINARY
        if two:
            yield (
                f"{name}, one transposed",
                lambda f=own: f(own_a, own_b.T),
                lambda f=peer: f(peer_a, peer_b.T),
                lambda f=third: f(a, b.T),
            )
            yield (
                f"{name}, row broadcast",
                lambda f=own: f(own_a, own_b[0]),
                lambda f=peer: f(peer_a, peer_b[0]),
                lambda f=third: f(a, b[0]),
            )
            yield (
                f"{name}, column broadcast",
                lambda f=own: f(own_a, own_b[:, :1]),
                lambda f=peer: f(peer_a, peer_b[:, :1]),
                lambda f=third: f(a, b[:, :1]),
            )
        else:
            yield (
                f"{name}, transposed",
                lambda f=own: f(own_a.T),
                lambda f=peer: f(peer_a.T),
                lambda f=third: f(a.T),
            )
            yield (
                f"{name}, every other column",
                lambda f=own: f(own_a[:, ::2]),
                lambda f=peer: f(peer_a[:, ::2]),
                lambda f=third: f(a[:, ::2]),
            )
    own_x, own_y = samara.tensor(x).to(samara.bfloat16), samara.tensor(y).to(samara.bfloat16)
    peer_x, peer_y = torch.tensor(x).to(torch.bfloat16), torch.tensor(y).to(torch.bfloat16)
    for name in HALF:
        own, peer = getattr(samara, name), getattr(torch, name)
        if name in BINARY:
            yield (
                f"{name} bfloat16",
                lambda f=own: f(own_x, own_y),
                lambda f=peer: f(peer_x, peer_y),
                None,
            )
        else:
            yield f"{name} bfloat16", lambda f=own: f(own_x), lambda f=peer: f(peer_x), None


def timed(step: Callable[[], Any]) -> tuple[Callable[[], Any], int]:
    """A step and the number of calls that fill a measurement."""
    return step, calls_for(step, SECONDS)


def measure(title: str, size: int, own: Any, others: list[tuple[str, Any]]) -> Iterator[Row]:
    """Best of a few interleaved rounds: a machine only ever adds to a time."""
    sides = [timed(own), *(timed(other) for _, other in others)]
    best = [math.inf] * len(sides)
    for _ in range(ROUNDS):
        for i, (step, calls) in enumerate(sides):
            best[i] = min(best[i], settled(step, calls))
    for (group, _), peer in zip(others, best[1:], strict=True):
        ratio = best[0] / peer
        yield Row(
            group, f"{title}, 10^{round(math.log10(size))}", best[0], peer, None, ratio, ratio
        )


def measured() -> Iterator[Row]:
    """All rows."""
    for size in SIZES:
        for family in (pointwise, reducing, moving, layouts):
            for title, own, peer, array in family(size):
                others = [(PEER, peer)]
                if array is not None and size >= 10**5:
                    others.append((ARRAYS, array))
                yield from measure(title, size, own, others)


def rows() -> Iterator[Row]:
    """The geometric mean against each library, and the ten worst rows of each."""
    everything = []
    for row in measured():
        print("   ", show_row(row), flush=True)
        everything.append(row)
    for group, mark, most in ((PEER, 0.6, 1.2), (ARRAYS, None, 1.0)):
        chosen = sorted(
            (row for row in everything if row.group == group), key=lambda row: row.ratio
        )
        ratios = [row.ratio for row in chosen]
        mean = statistics.geometric_mean(ratios)
        above = sum(ratio > most for ratio in ratios)
        note = f"{len(ratios)} rows, {above} above {most}"
        yield Row(group, "geometric mean", mean, 1.0, mark, mean, mean, "x", note)
        yield from chosen[-10:]
