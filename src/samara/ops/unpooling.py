"""Lp and fractional pooling, and max pooling undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samara import _core
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    each_axis,
    example,
    place_of_max,
    pool_errors,
    reduced,
    shapes_text,
    signal_shape,
    window_axes,
)
from samara.ops.random_ops import rand
from samara.ops.record import REAL, ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor

Function = Callable[..., Any]
Array = np.ndarray[Any, Any]

_AVERAGE = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}


# --- Lp pooling ----------------------------------------------------------------------------------


def _lp_pool(rank: int) -> Function:
    name = f"lp_pool{rank}d"
    one = ", ".join(["1"] * (rank - 1) + ["2"])

    def ref(
        x: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Array:
        axes = window_axes(x, rank, kernel_size, stride, 0, 1, ceil_mode)
        count = int(np.prod(each_axis(kernel_size, rank)))
        # A window cut by the border stands for a whole one.
        mean = reduced(x, axes, lambda values, *_: (values**norm_type).mean(axis=-1))
        return np.asarray((mean * count) ** (1.0 / norm_type))

    def samples(rng: np.random.Generator) -> list[Sample]:
        def positive(*lead: int) -> Array:
            return rng.uniform(0.2, 2.0, size=signal_shape(rank, *lead))

        return [
            Sample(positive(2, 3), 2, 2),
            Sample(rng.normal(size=signal_shape(rank, 2, 3)), 2.0, (3, 2, 2)[:rank]),
            Sample(positive(3), 1, 3, 2),
            Sample(positive(2), 3.5, 2, 3, True),
            Sample(np.zeros(signal_shape(rank, 1, 1)), 2, 2),
            Sample(np.ones((1,) * (rank + 2)), 2, 1),
            Sample(np.zeros(signal_shape(rank, 0, 3)), 2, 2),
        ]

    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        return [
            *pool_errors(rank, 2)(),
            ErrorSample(ArgumentError, "norm_type is 0", x, 0, 2),
        ]

    @composite(
        f"{name}(x, norm_type: float, kernel_size: ints, stride: ints? = None, "
        "ceil_mode: bool = False)",
        doc=f"""(sum x^p)^(1/p) of each window, p being norm_type.

    x: {shapes_text(rank)}, float. Sizes are those of avg_pool{rank}d without padding. p = 1 is the
    sum, and the limit of large p the maximum of positive numbers. A window that is cut by the
    border (ceil_mode) is scaled up to a whole one. The gradient of a window of zeros is 0.

    Raises ShapeError for other shapes and when a window is larger than the input, ArgumentError for
    p = 0 and sizes that are not positive.

    {example(rank, name, f", 2, ({one},)", "[1.0, 3.605551242828369]")}
    """,
        ref=ref,
        onnx="LpPool",
        ulp=16,
        condition="sum",
        samples=samples,
        errors=errors,
        methods=(),
    )
    def lp_pool(
        x: Tensor,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        ceil_mode: bool = False,
    ) -> Any:
        if norm_type == 0:
            raise ArgumentError(
                f"{name}: norm_type is 0. Expected another number, 2 as a rule. Fix: pass 1 for "
                "the sum, 2 for the Euclidean norm."
            )
        mean = _AVERAGE[rank](x**norm_type, kernel_size, stride, 0, ceil_mode)
        total = mean * int(np.prod(each_axis(kernel_size, rank)))
        if norm_type == 1:
            return total
        zero = total == 0
        return where(zero, total, where(zero, 1.0, total) ** (1.0 / norm_type))

    return lp_pool


lp_pool1d = _lp_pool(1)
lp_pool2d = _lp_pool(2)
lp_pool3d = _lp_pool(3)


# --- fractional max pooling ----------------------------------------------------------------------


def _starts(sample: float, n: int, out: int, kernel: int) -> list[int]:
    """The windows' first inputs: uneven steps whose mean is (n - kernel) / (out - 1)."""
    if out == 1:
        return [n - kernel]
    step = (n - kernel) / (out - 1)
    return [int((o + sample) * step) - int(sample * step) for o in range(out - 1)] + [n - kernel]


def _fractional_ref(rank: int) -> Function:
    def ref(
        x: Array,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        spatial = x.shape[-rank:]
        kernel = each_axis(kernel_size, rank)
        if output_size is None:
            ratios = each_axis(output_ratio, rank)
            output_size = [int(n * r) for n, r in zip(spatial, ratios, strict=True)]
        sizes = each_axis(output_size, rank)
        planes = x.reshape(-1, *spatial)
        samples = np.asarray(_random_samples).reshape(-1, rank)
        values, indices = np.empty((len(planes), *sizes)), np.empty((len(planes), *sizes), int)
        for p, plane in enumerate(planes):
            u = samples[p][::-1] if rank == 2 else samples[p]
            axes = [
                [list(range(s, s + k)) for s in _starts(a, n, m, k)]
                for a, n, m, k in zip(u, spatial, sizes, kernel, strict=True)
            ]
            values[p] = reduced(plane, axes, lambda v, *_: np.max(v, axis=-1))
            indices[p] = reduced(plane, axes, place_of_max)
        lead = x.shape[:-rank]
        values, indices = values.reshape(*lead, *sizes), indices.reshape(*lead, *sizes)
        return (values, indices) if return_indices else values

    return ref


def _fractional_max_pool(rank: int) -> Function:
    name = f"fractional_max_pool{rank}d"
    pool = _core.Operation(
        f"{name}(x, _random_samples, kernel_size: ints, output_size: ints)",
        name,
        output_type=tuple,
    )

    def samples(rng: np.random.Generator) -> list[Sample]:
        def call(lead: tuple[int, ...], *args: Any, **kwargs: Any) -> Sample:
            x = rng.normal(size=signal_shape(rank, *lead))
            planes = lead if len(lead) == 2 else (1, *lead)
            drawn = rng.uniform(0.05, 0.95, size=(*planes, rank))
            return Sample(x, *args, **kwargs, _random_samples=drawn)

        return [
            call((2, 3), 2, 3),
            call((2, 3), 2, (4, 3, 2)[:rank], return_indices=True),
            call((3,), (1, 2, 2)[:rank], output_ratio=0.6),
            call((2, 1), 2, None, (0.5, 0.7, 0.6)[:rank], True),
            call((2, 2), 3, 1),
            call((0, 3), 2, 3),
            Sample(np.ones((1,) * (rank + 2)), 1, 1, _random_samples=np.full((1, 1, rank), 0.5)),
        ]

    def errors() -> list[ErrorSample]:
        x = np.ones(signal_shape(rank, 1, 2))
        drawn = np.full((1, 2, rank), 0.5)
        return [
            ErrorSample(ArgumentError, "output_size or an output_ratio", x, 2),
            ErrorSample(ArgumentError, "both", x, 2, 3, 0.5),
            ErrorSample(ArgumentError, "output_ratio is", x, 2, output_ratio=1.5),
            ErrorSample(ArgumentError, "kernel_size is", x, 8, 1, _random_samples=drawn),
            ErrorSample(ArgumentError, r"kernel_size is \(0", x, 0, 1, _random_samples=drawn),
            ErrorSample(ArgumentError, r"output_size is \(7", x, 3, 7, _random_samples=drawn),
            ErrorSample(ArgumentError, r"output_size is \(0", x, 3, 0, _random_samples=drawn),
            ErrorSample(ShapeError, "_random_samples has shape", x, 3, 2, _random_samples=x),
            ErrorSample(ShapeError, "x has shape", np.ones(3), 1, 1),
            ErrorSample(ShapeError, "is empty", np.ones((2, 3, *(0,) * rank)), 1, 1),
        ]

    @composite(
        f"{name}(x, kernel_size: ints, output_size: ints? = None, output_ratio: float? = None, "
        "return_indices: bool = False, _random_samples: Tensor? = None)",
        doc=f"""The largest number of each of randomly placed windows.

    x: {shapes_text(rank)}, float. The output has output_size along each axis, or output_ratio
    (between 0 and 1) times the input's size. In each plane the windows begin at
    floor((o + u) a) - floor(u a), a = (n - kernel_size) / (output_size - 1), u uniform in [0, 1),
    and the last one at the end. With return_indices=True a pair: the values, and their int64
    indices in the input's plane. _random_samples [N, C, {rank}] gives the u.

    Raises ShapeError for other shapes, ArgumentError unless exactly one of output_size and
    output_ratio is given and the windows fit. Source: Graham, Fractional Max-Pooling, 2014.

    >>> x = samara.arange(64.0).reshape(1, 1, {"8, 8" if rank == 2 else "4, 4, 4"})
    >>> samara.{name}(x, 2, 2).shape
    (1, 1, {", ".join(["2"] * rank)})
    """,
        ref=_fractional_ref(rank),
        ulp=0,
        samples=samples,
        errors=errors,
        methods=(),
    )
    def fractional_max_pool(
        x: Tensor,
        kernel_size: int | Sequence[int],
        output_size: int | Sequence[int] | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{name}: {'neither' if output_size is None else 'both'} of output_size and "
                "output_ratio were given. Expected either an output_size or an output_ratio. "
                "Fix: pass one of them."
            )
        if x.ndim not in (rank + 1, rank + 2):
            _wrong_rank(name, x, rank)
        if output_size is None:
            output_size = _scaled(name, x, output_ratio, rank)
        if _random_samples is None:
            planes = x.shape[:-rank] if x.ndim == rank + 2 else (1, *x.shape[:-rank])
            _random_samples = rand(*planes, rank, dtype=x.dtype, device=x.device)
        found = pool(x, _random_samples.detach(), kernel_size, output_size)
        return found if return_indices else found[0]

    return fractional_max_pool


def _wrong_rank(name: str, x: Tensor, rank: int) -> None:
    raise ShapeError(
        f"{name}: x has shape {x.shape}. Expected {rank} spatial axes behind [C] or [N, C]. "
        "Fix: reshape it."
    )


def _scaled(name: str, x: Tensor, output_ratio: Any, rank: int) -> tuple[int, ...]:
    ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * rank
    if len(ratios) != rank or not all(0 < ratio < 1 for ratio in ratios):
        raise ArgumentError(
            f"{name}: output_ratio is {output_ratio}. Expected a number between 0 and 1, or {rank} "
            "of them. Fix: pass 0.5 to halve each axis, for example."
        )
    return tuple(int(n * ratio) for n, ratio in zip(x.shape[-rank:], ratios, strict=True))


fractional_max_pool2d = _fractional_max_pool(2)
fractional_max_pool3d = _fractional_max_pool(3)


# --- unpooling -----------------------------------------------------------------------------------


def _unpooled_size(
    name: str, x: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any, rank: int
) -> tuple[int, ...]:
    """The size before the pooling, which several sizes may share: output_size chooses."""
    kernel, padding = each_axis(kernel, rank), each_axis(padding, rank)
    stride = kernel if stride in (None, (), []) else each_axis(stride, rank)
    for what, values in (("kernel_size", kernel), ("stride", stride), ("padding", padding)):
        least = 0 if what == "padding" else 1
        if len(values) != rank or min(values) < least:
            raise ArgumentError(
                f"{name}: {what} is {values}. Expected one number or {rank}, {least} or more. "
                f"Fix: pass the {what} of the pooling."
            )
    default = tuple(
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(x.shape[-rank:], stride, kernel, padding, strict=True)
    )
    if output_size is None:
        return default
    sizes = tuple(output_size)[-rank:]
    fits = len(output_size) in (rank, rank + 2) and all(
        d - s < size < d + s for size, d, s in zip(sizes, default, stride, strict=True)
    )
    if not fits:
        raise ArgumentError(
            f"{name}: output_size is {tuple(output_size)}, and the pooling's arguments give "
            f"{default}. Expected {rank} sizes (or {rank + 2}, with batch and channels) that "
            f"differ from it by less than the stride {stride}. Fix: pass the pooled input's shape."
        )
    return sizes


def _max_unpool(rank: int) -> Function:
    name = f"max_unpool{rank}d"
    unpool = _core.Operation(f"{name}(x, indices, output_size: ints)", name)

    def ref(
        x: Array,
        indices: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Array:
        sizes = output_size
        if sizes is None:
            numbers = [each_axis(v, rank) for v in (kernel_size, stride or kernel_size, padding)]
            sizes = [
                (n - 1) * s + k - 2 * p
                for n, k, s, p in zip(x.shape[-rank:], *numbers, strict=True)
            ]
        sizes, lead = list(sizes)[-rank:], x.shape[:-rank]
        y = np.zeros((int(np.prod(lead)), int(np.prod(sizes))), x.dtype)
        for p, (values, places) in enumerate(
            zip(
                x.reshape(len(y), -1) if len(y) else [],
                indices.reshape(len(y), -1) if len(y) else [],
                strict=True,
            )
        ):
            for value, place in zip(values, places, strict=True):
                y[p, place] = value
        return y.reshape(*lead, *sizes)

    def samples(rng: np.random.Generator) -> list[Sample]:
        def call(shape: tuple[int, ...], most: int, *args: Any, **kwargs: Any) -> Sample:
            planes = int(np.prod(shape[:-rank]))
            count = int(np.prod(shape[-rank:]))
            places = [rng.permutation(most)[:count] for _ in range(planes)]
            indices = np.array(places, np.int64).reshape(shape)
            return Sample(rng.normal(size=shape), indices, *args, **kwargs)

        small, smaller = (3, 2, 2)[:rank], (5, 3, 3)[:rank]
        size = int(np.prod((6, 4, 4)[:rank]))
        return [
            call((2, 3, *small), size, 2),
            call((3, *small), size, 2, 2, 0),
            call((2, 2, *small), int(np.prod(smaller)), 2, 2, 0, smaller),
            call((1, 2, *small), 3**rank, 3, 2, 1, (1, 2, *(6, 4, 4)[:rank])),
            # Equal indices: the last one stays.
            Sample(rng.normal(size=(1, 2, *small)), np.zeros((1, 2, *small), np.int64), 2),
            call((1,) * (rank + 2), 1, 1),
            call((0, 3, *small), size, 2),
        ]

    def errors() -> list[ErrorSample]:
        x, zeros = np.ones((1, 2, *(2,) * rank)), np.zeros((1, 2, *(2,) * rank), np.int64)
        size = 4**rank
        return [
            ErrorSample(IndexOutOfRangeError, f"an index is {size}", x, zeros + size, 2),
            ErrorSample(IndexOutOfRangeError, "an index is -1", x, zeros - 1, 2),
            ErrorSample(ArgumentError, "output_size is", x, zeros, 2, 2, 0, (9,) * rank),
            ErrorSample(ArgumentError, "output_size is", x, zeros, 2, 2, 0, (4,) * (rank + 1)),
            ErrorSample(ArgumentError, r"kernel_size is \(0", x, zeros, 0),
            ErrorSample(ArgumentError, r"stride is \(-1", x, zeros, 2, -1),
            ErrorSample(ArgumentError, r"padding is \(-1", x, zeros, 2, 2, -1),
            ErrorSample(ArgumentError, r"output_size is \(0", x[..., :1], zeros[..., :1], 2, 2, 1)
            if rank == 1
            else ErrorSample(ArgumentError, r"output_size is", x, zeros, 1, 1, 1),
            ErrorSample(ShapeError, "equal shapes", x, zeros[:, :1], 2),
            ErrorSample(TypeError, "indices has dtype", x, x, 2),
            ErrorSample(ShapeError, "x has shape", np.ones(()), np.zeros((), np.int64), 2),
        ]

    lead = ", ".join(["1"] * (rank - 1))
    one = f"({lead}{', ' if lead else ''}2{',' if rank == 1 else ''})"

    @composite(
        f"{name}(x, indices, kernel_size: ints, stride: ints? = None, padding: ints = 0, "
        "output_size: ints? = None)",
        doc=f"""Max pooling undone: each maximum at its place, zeros elsewhere.

    x: [N, C, *S] or [C, *S] real with {rank} spatial axes, indices: integers of that shape, as
    max_pool{rank}d returns them -> [N, C, *T] or [C, *T]. T is
    (n - 1) stride - 2 padding + kernel_size along each axis; output_size (with or without N and C)
    chooses among the sizes that pool to S. Of equal indices the last one stays.

    Raises ShapeError for other shapes, ArgumentError for an output_size that does not pool to S,
    IndexOutOfRangeError for indices beyond the output. Source: Zeiler, Taylor, Fergus, Adaptive
    Deconvolutional Networks, 2011.

    >>> x = samara.tensor([1.0, 4.0, 3.0, 2.0]).reshape(1, 1, {lead}{", " if lead else ""}4)
    >>> y, indices = samara.max_pool{rank}d(x, {one}, return_indices=True)
    >>> samara.{name}(y, indices, {one}).flatten().tolist()
    [0.0, 4.0, 3.0, 0.0]
    """,
        ref=ref,
        dtypes=REAL,
        onnx="MaxUnpool",
        ulp=0,
        samples=samples,
        errors=errors,
        methods=(),
    )
    def max_unpool(
        x: Tensor,
        indices: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        output_size: Sequence[int] | None = None,
    ) -> Any:
        if x.ndim not in (rank + 1, rank + 2):
            _wrong_rank(name, x, rank)
        sizes = _unpooled_size(name, x, kernel_size, stride, padding, output_size, rank)
        return unpool(x, indices, sizes)

    return max_unpool


max_unpool1d = _max_unpool(1)
max_unpool2d = _max_unpool(2)
max_unpool3d = _max_unpool(3)
