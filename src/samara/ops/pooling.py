"""Max, average and adaptive pooling in one to three dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from samara import _core
from samara.errors import ArgumentError, ShapeError
from samara.ops.record import REAL, ErrorSample, Function, Sample, composite, operation
from samara.tensor import Tensor

Array = np.ndarray[Any, Any]

_SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}
_MAX_WINDOW = (
    "x, kernel_size: ints, stride: ints? = None, padding: ints = 0, dilation: ints = 1, "
    "ceil_mode: bool = False"
)


def each_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One number per spatial axis, from one for all or from as many."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values * rank if len(values) == 1 else values


def shapes_text(rank: int) -> str:
    inside = _SPATIAL[rank]
    pooled = ", ".join(f"{name}'" for name in inside.split(", "))
    return f"[N, C, {inside}] or [C, {inside}] -> [N, C, {pooled}] or [C, {pooled}]"


# --- references ----------------------------------------------------------------------------------

Windows = list[list[int]]  # along one axis: for each output the inputs that it covers


def _out_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    room = n + 2 * p - d * (k - 1) - 1
    if not ceil_mode:
        return room // s + 1
    out = -(-room // s) + 1
    return out - 1 if (out - 1) * s >= n + p else out


def _regular(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> Windows:
    begins = [o * s - p for o in range(_out_size(n, k, s, p, d, ceil_mode))]
    return [[i for i in range(b, b + d * k, d) if 0 <= i < n] for b in begins]


def window_axes(
    x: Array, rank: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> list[Windows]:
    numbers = zip(
        x.shape[-rank:],
        each_axis(kernel, rank),
        each_axis(stride or kernel, rank),
        each_axis(padding, rank),
        each_axis(dilation, rank),
        strict=True,
    )
    return [_regular(*each, ceil_mode) for each in numbers]


def _adaptive_axes(x: Array, rank: int, output_size: Any) -> list[Windows]:
    sizes = [m or n for m, n in zip(each_axis(output_size, rank), x.shape[-rank:], strict=True)]
    return [
        [list(range(o * n // m, -(-(o + 1) * n // m))) for o in range(m)]
        for m, n in zip(sizes, x.shape[-rank:], strict=True)
    ]


def reduced(x: Array, axes: list[Windows], reduce: Function) -> Array:
    """reduce(values [*lead, k], their indices in the plane [k], window number) of each window."""
    spatial = x.shape[-len(axes) :]
    plane = np.arange(int(np.prod(spatial))).reshape(spatial)
    rows = x.reshape(*x.shape[: -len(axes)], plane.size)
    outputs = []
    for o in itertools.product(*(range(len(windows)) for windows in axes)):
        at = np.ix_(*(windows[i] for windows, i in zip(axes, o, strict=True)))
        places = plane[at].reshape(-1)
        values = rows[..., places]
        outputs.append(reduce(values, places, o))
    lead, sizes = x.shape[: -len(axes)], [len(windows) for windows in axes]
    return np.stack(outputs, axis=-1).reshape(*lead, *sizes)


def place_of_max(values: Array, plane: Array, _: Any) -> Array:
    """The index of the first maximum, or of the last NaN."""
    wild = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    last = values.shape[-1] - 1 - np.argmax(wild[..., ::-1], axis=-1)
    return np.asarray(plane[np.where(wild.any(axis=-1), last, np.argmax(values, axis=-1))])


def _max_of(x: Array, axes: list[Windows], indices: bool) -> Any:
    values = reduced(x, axes, lambda v, *_: np.max(v, axis=-1))
    return (values, reduced(x, axes, place_of_max)) if indices else values


def _max_ref(rank: int, indices: bool = False) -> Function:
    def ref(
        x: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = indices,
    ) -> Any:
        axes = window_axes(x, rank, kernel_size, stride, padding, dilation, ceil_mode)
        return _max_of(x, axes, return_indices)

    return ref


def _average_ref(rank: int) -> Function:
    def ref(
        x: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Array:
        axes = window_axes(x, rank, kernel_size, stride, padding, 1, ceil_mode)
        numbers = list(
            zip(
                x.shape[-rank:],
                each_axis(kernel_size, rank),
                each_axis(stride or kernel_size, rank),
                each_axis(padding, rank),
                strict=True,
            )
        )

        def mean(values: Array, plane: Array, o: tuple[int, ...]) -> Array:
            count = plane.size
            if count_include_pad:
                # The padding on both sides counts, but not what ceil_mode adds behind it.
                padded = [
                    min(i * s - p + k, n + p) - (i * s - p)
                    for i, (n, k, s, p) in zip(o, numbers, strict=True)
                ]
                count = int(np.prod(padded))
            return np.asarray(values.sum(axis=-1) / (divisor_override or count))

        return reduced(x, axes, mean)

    return ref


# --- max pooling ---------------------------------------------------------------------------------


def signal_shape(rank: int, *lead: int, sizes: Sequence[int] = (7, 6, 5)) -> tuple[int, ...]:
    """A shape: the leading axes and `rank` spatial ones."""
    return (*lead, *sizes[:rank])


def special(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    values = rng.normal(size=shape)
    flat = values.reshape(-1)
    flat[::5] = -np.inf
    flat[1::7] = np.nan
    flat[2::11] = np.inf
    return values


def pool_samples(rank: int, **more: Any) -> Function:
    """Calls that every windowed pooling shares."""

    def samples(rng: np.random.Generator) -> list[Sample]:
        def normal(*lead: int, sizes: Sequence[int] = (7, 6, 5)) -> Array:
            return rng.normal(size=signal_shape(rank, *lead, sizes=sizes))

        uneven = (3, 2, 2)[:rank]
        return [
            Sample(normal(2, 3), 3, 2, 1, **more),
            Sample(normal(2, 2), 2, **more),
            Sample(normal(2, 3), uneven, (2, 1, 2)[:rank], (1, 0, 1)[:rank], **more),
            Sample(normal(3), 3, 2, 1, ceil_mode=True, **more),
            Sample(normal(1, 2), 2, 3, ceil_mode=True, **more),
            Sample(normal(1, 1, sizes=(2, 1, 41)[3 - rank :]), [1] * (rank - 1) + [3], 1, **more),
            Sample(normal(2, sizes=(2, 3, 39)[3 - rank :]), [1] * (rank - 1) + [4], 2, **more),
            Sample(normal(1, 2, sizes=(3, 3, 50)[3 - rank :]), [1] * (rank - 1) + [20], 6, **more),
            Sample(np.ones((1,) * (rank + 2)), 1, **more),
            Sample(np.zeros(signal_shape(rank, 0, 3)), 2, **more),
        ]

    return samples


def _max_samples(rank: int, **more: Any) -> Function:
    shared = pool_samples(rank, **more)

    def samples(rng: np.random.Generator) -> list[Sample]:
        return [
            *shared(rng),
            Sample(rng.normal(size=signal_shape(rank, 2, 2, sizes=(9, 8, 7))), 3, 1, 1, 2, **more),
            Sample(
                rng.normal(size=signal_shape(rank, 2, sizes=(9, 8, 7))), 2, 2, 0, 3, True, **more
            ),
            Sample(special(rng, signal_shape(rank, 2, 3)), 3, 2, 1, **more),
            Sample(
                special(rng, signal_shape(rank, 2, sizes=(3, 3, 40)[3 - rank :])), 3, 1, 1, **more
            ),
        ]

    return samples


def pool_errors(rank: int, *lead: Any) -> Function:
    """`lead` stands between x and the kernel."""

    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        ones = (1,) * rank
        most = x.shape[-rank:]
        large = max(most) + 1
        return [
            ErrorSample(ShapeError, f"spans {large} and the padded input", x, *lead, large),
            ErrorSample(ArgumentError, r"kernel_size is \(0", x, *lead, 0),
            ErrorSample(ArgumentError, r"kernel_size is \(-2", x, *lead, -2),
            ErrorSample(ArgumentError, r"stride is \(0", x, *lead, 2, 0),
            ErrorSample(ArgumentError, r"stride is \(-1", x, *lead, 2, -1),
            ErrorSample(ArgumentError, "4 numbers.*one per", x, *lead, (*ones, 2, 3, 4)[-4:]),
            ErrorSample(ShapeError, r"x has shape \(\)", np.ones(()), *lead, 1),
            ErrorSample(ShapeError, "x has shape", np.ones((1,) * (rank + 3)), *lead, 1),
            ErrorSample(ShapeError, "is empty", np.ones((2, 3, *(0,) * rank)), *lead, 1),
            ErrorSample(ShapeError, "is empty", np.ones((2, 0, *ones)), *lead, 1),
        ]

    return errors


def _padding_errors(rank: int) -> Function:
    shared = pool_errors(rank)

    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        return [
            *shared(),
            ErrorSample(ArgumentError, "at most half the kernel, 1", x, 3, 1, 2),
            ErrorSample(ArgumentError, r"padding is \(-1", x, 3, 1, -1),
        ]

    return errors


def _max_errors(rank: int) -> Function:
    shared = _padding_errors(rank)

    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        return [
            *shared(),
            ErrorSample(ArgumentError, r"dilation is \(0", x, 3, 1, 1, 0),
            ErrorSample(ShapeError, "kernel_size or dilation", x, 3, 1, 0, 4),
        ]

    return errors


def example(rank: int, name: str, arguments: str, result: str) -> str:
    """A call on the numbers 0 to 3 along the last axis."""
    lead = ", ".join(["1"] * (rank - 1) + ["4"])
    return f""">>> x = samara.arange(4.0).reshape(1, 1, {lead})
    >>> samara.{name}(x{arguments}).flatten().tolist()
    {result}"""


def _max_pool(rank: int) -> tuple[Function, Function]:
    name = f"max_pool{rank}d"
    one = ", ".join(["1"] * (rank - 1) + ["2"])
    text = f"""x: {shapes_text(rank)}, real. Along each axis the size is
    floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, with ceil_mode rounded up,
    as long as the last window begins inside. stride=None is the kernel's size. The padding never
    wins, a NaN always does, and of equal maxima the first."""
    raises = """Raises ShapeError for other shapes and when a window is larger than the padded
    input, ArgumentError for a padding of more than half a window and sizes that are not
    positive."""
    values = _core.Operation(f"{name}({_MAX_WINDOW})", name)
    with_indices: Function = operation(
        f"{name}_with_indices({_MAX_WINDOW})",
        doc=f"""The largest number of each window, and where it stands.

    {text}
    The indices count the elements of an input plane in row-major order, int64.

    {raises}

    >>> x = samara.arange(4.0).reshape(1, 1, {", ".join(["1"] * (rank - 1) + ["4"])})
    >>> samara.{name}_with_indices(x, ({one},)).indices.flatten().tolist()
    [1, 3]
    """,
        ref=_max_ref(rank, indices=True),
        dtypes=REAL,
        onnx="MaxPool",
        ulp=0,
        samples=_max_samples(rank),
        errors=_max_errors(rank),
        methods=(),
        outputs=("values", "indices"),
    )

    @composite(
        f"{name}({_MAX_WINDOW}, return_indices: bool = False)",
        doc=f"""The largest number of each window.

    {text}
    With return_indices=True a pair: the values, and their int64 indices in the input's plane.

    {raises}

    {example(rank, name, f", ({one},)", "[1.0, 3.0]")}
    """,
        ref=_max_ref(rank),
        dtypes=REAL,
        onnx="MaxPool",
        ulp=0,
        samples=lambda rng: [
            *_max_samples(rank)(rng),
            *_max_samples(rank, return_indices=True)(rng)[:3],
        ],
        errors=_max_errors(rank),
        methods=(),
    )
    def max_pool(
        x: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        pool = with_indices if return_indices else values
        return pool(x, kernel_size, stride, padding, dilation, ceil_mode)

    return max_pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


# --- average pooling -----------------------------------------------------------------------------


def _average_samples(rank: int) -> Function:
    shared = pool_samples(rank)

    def samples(rng: np.random.Generator) -> list[Sample]:
        def normal(*lead: int) -> Array:
            return rng.normal(size=signal_shape(rank, *lead))

        found = [
            *shared(rng),
            Sample(normal(2, 3), 3, 2, 1, count_include_pad=False),
            Sample(normal(2, 3), 3, 2, 1, True, False),
            Sample(normal(2, 3), 4, 3, 2, True, True),
            Sample(normal(2, 3), 5, 1, 2),
            Sample(special(rng, signal_shape(rank, 2, 3)), 3, 2, 1),
        ]
        if rank > 1:
            found.append(Sample(normal(2, 3), 3, 2, 1, divisor_override=4))
            found.append(Sample(normal(2, 3), 2, divisor_override=-3))
        return found

    return samples


def _average_pool(rank: int) -> Function:
    name = f"avg_pool{rank}d"
    divisor = ", divisor_override: int? = None" if rank > 1 else ""
    one = ", ".join(["1"] * (rank - 1) + ["2"])

    def errors() -> list[ErrorSample]:
        found: list[ErrorSample] = _padding_errors(rank)()
        if rank > 1:
            x = np.ones(signal_shape(rank, 1, 2))
            found.append(ErrorSample(ArgumentError, "is 0", x, 2, divisor_override=0))
        return found

    return operation(
        f"{name}(x, kernel_size: ints, stride: ints? = None, padding: ints = 0, "
        f"ceil_mode: bool = False, count_include_pad: bool = True{divisor})",
        doc=f"""The mean of each window.

    x: {shapes_text(rank)}, float. Along each axis the size is
    floor((n + 2 padding - kernel_size) / stride) + 1, with ceil_mode rounded up, as long as the
    last window begins inside. stride=None is the kernel's size. The padding counts as zeros, with
    count_include_pad=False not at all{"; divisor_override divides instead" if rank > 1 else ""}.

    Raises ShapeError for other shapes and when a window is larger than the padded input,
    ArgumentError for a padding of more than half a window and sizes that are not positive.

    {example(rank, name, f", ({one},)", "[0.5, 2.5]")}
    """,
        ref=_average_ref(rank),
        onnx="AveragePool",
        ulp=2,
        condition="sum",
        samples=_average_samples(rank),
        errors=errors,
        methods=(),
    )


avg_pool1d = _average_pool(1)
avg_pool2d = _average_pool(2)
avg_pool3d = _average_pool(3)


# --- adaptive pooling ----------------------------------------------------------------------------


def _adaptive_sizes(name: str, x: Tensor, output_size: Any, rank: int) -> Any:
    """The sizes wanted, the input's where None stands."""
    if not isinstance(output_size, (tuple, list)) or None not in output_size:
        return output_size
    if len(output_size) != rank or x.ndim < rank:
        raise ArgumentError(
            f"{name}: output_size is {tuple(output_size)} for an input of shape {x.shape}. "
            f"Expected {rank} entries, ints or None. Fix: pass one per spatial axis."
        )
    given = zip(output_size, x.shape[-rank:], strict=True)
    return tuple(n if size is None else size for size, n in given)


def _adaptive_samples(rank: int, **more: Any) -> Function:
    def samples(rng: np.random.Generator) -> list[Sample]:
        def normal(*lead: int, sizes: Sequence[int] = (7, 6, 5)) -> Array:
            return rng.normal(size=signal_shape(rank, *lead, sizes=sizes))

        return [
            Sample(normal(2, 3), 1, **more),
            Sample(normal(2, 3), 3, **more),
            Sample(normal(2, 2, sizes=(4, 6, 4)), 2, **more),
            Sample(normal(3), (2, 3, 4)[:rank], **more),
            Sample(normal(2, 1), 8, **more),
            Sample(normal(2, sizes=(2, 3, 40)[3 - rank :]), (1, 1, 20)[3 - rank :], **more),
            Sample(normal(1, 2, sizes=(2, 3, 40)[3 - rank :]), (2, 2, 2)[3 - rank :], **more),
            Sample(normal(2, 3), (*(2,) * (rank - 1), None), **more),
            Sample(np.ones((1,) * (rank + 2)), 1, **more),
            Sample(np.zeros(signal_shape(rank, 0, 3)), 2, **more),
        ]

    return samples


def _adaptive_errors(rank: int) -> Function:
    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        return [
            ErrorSample(ArgumentError, r"output_size is \(-1", x, -1),
            ErrorSample(ArgumentError, "4 numbers.*one per", x, (1, 2, 3, 4)),
            ErrorSample(ArgumentError, "ints or None", x, (None, 1, 2, 3)),
            ErrorSample(ShapeError, "x has shape", np.ones((3,)), 1),
            ErrorSample(ShapeError, "is empty", np.ones((2, 3, *(0,) * rank)), 1),
        ]

    return errors


_ADAPTIVE = """Window o of an axis covers the inputs floor(o n / m) to ceil((o + 1) n / m) - 1 when
    the output has m of n. output_size is one size for all axes or one for each, None for the
    input's."""


def _adaptive_average_pool(rank: int) -> Function:
    name = f"adaptive_avg_pool{rank}d"
    pool = _core.Operation(f"{name}(x, output_size: ints)", name)

    def ref(x: Array, output_size: Any) -> Array:
        axes = _adaptive_axes(x, rank, output_size)
        return reduced(x, axes, lambda values, *_: values.mean(axis=-1))

    @composite(
        f"{name}(x, output_size: ints)",
        doc=f"""Means of as many windows as the output shall have.

    x: {shapes_text(rank)}, float.
    {_ADAPTIVE}

    Raises ShapeError for other shapes, ArgumentError for negative sizes.

    {example(rank, name, ", " + ("2" if rank == 1 else f"({'1, ' * (rank - 1)}2)"), "[0.5, 2.5]")}
    """,
        ref=ref,
        onnx="GlobalAveragePool",
        ulp=2,
        condition="sum",
        samples=_adaptive_samples(rank),
        errors=_adaptive_errors(rank),
        methods=(),
    )
    def adaptive_avg_pool(x: Tensor, output_size: int | Sequence[int | None]) -> Any:
        return pool(x, _adaptive_sizes(name, x, output_size, rank))

    return adaptive_avg_pool


_ADAPTIVE_WITH_INDICES = {
    1: "adaptive_max_pool1d_with_indices",
    2: "adaptive_max_pool2d_with_indices",
    3: "adaptive_max_pool3d_with_indices",
}


def _adaptive_max_pool(rank: int) -> Function:
    name = f"adaptive_max_pool{rank}d"
    values = _core.Operation(f"{name}(x, output_size: ints)", name)
    with_indices = _core.Operation(
        f"{name}(x, output_size: ints)",
        _ADAPTIVE_WITH_INDICES[rank],
        output_type=tuple,
    )

    def ref(x: Array, output_size: Any, return_indices: bool = False) -> Any:
        return _max_of(x, _adaptive_axes(x, rank, output_size), return_indices)

    @composite(
        f"{name}(x, output_size: ints, return_indices: bool = False)",
        doc=f"""Maxima of as many windows as the output shall have.

    x: {shapes_text(rank)}, real.
    {_ADAPTIVE}
    With return_indices=True a pair: the values, and their int64 indices in the input's plane.

    Raises ShapeError for other shapes, ArgumentError for negative sizes.

    {example(rank, name, ", " + ("2" if rank == 1 else f"({'1, ' * (rank - 1)}2)"), "[1.0, 3.0]")}
    """,
        ref=ref,
        dtypes=REAL,
        onnx="GlobalMaxPool",
        ulp=0,
        samples=lambda rng: [
            *_adaptive_samples(rank)(rng),
            *_adaptive_samples(rank, return_indices=True)(rng),
        ],
        errors=_adaptive_errors(rank),
        methods=(),
    )
    def adaptive_max_pool(
        x: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
    ) -> Any:
        pool = with_indices if return_indices else values
        return pool(x, _adaptive_sizes(name, x, output_size, rank))

    return adaptive_max_pool


adaptive_avg_pool1d = _adaptive_average_pool(1)
adaptive_avg_pool2d = _adaptive_average_pool(2)
adaptive_avg_pool3d = _adaptive_average_pool(3)
adaptive_max_pool1d = _adaptive_max_pool(1)
adaptive_max_pool2d = _adaptive_max_pool(2)
adaptive_max_pool3d = _adaptive_max_pool(3)
