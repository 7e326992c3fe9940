"""Other shapes of the same elements: views where the strides allow them, copies elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara.dtypes import ALL
from samara.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from samara.ops.join import concat
from samara.ops.record import METHODS, ErrorSample, Sample, composite, operation, plain
from samara.tensor import Tensor, asarray

STANDARD = "Python array API standard 2025.12"


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def _axis(place: str, axis: int, ndim: int) -> int:
    """The axis counted from 0."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise DTypeError(
            f"{place}: axis {axis!r} is a {type(axis).__name__}. Expected an int. Fix: pass one."
        )
    if ndim == 0:
        raise IndexOutOfRangeError(
            f"{place}: axis {axis} given for a 0-d tensor. Expected at least one axis. "
            "Fix: use x.reshape(1)."
        )
    if not -ndim <= axis < ndim:
        raise IndexOutOfRangeError(
            f"{place}: axis {axis} is out of range for a tensor with {ndim} axes. "
            f"Expected -{ndim} to {ndim - 1}. Fix: choose an axis in that range."
        )
    return axis % ndim


def _axes(place: str, axes: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    found = tuple(_axis(place, axis, ndim) for axis in given)
    if len(set(found)) != len(found):
        raise ArgumentError(
            f"{place}: axes {given} name an axis twice. Expected each once. Fix: remove one."
        )
    return found


def _sizes(place: str, given: tuple[Any, ...]) -> tuple[int, ...]:
    """f(2, 3), f((2, 3)) and f([2, 3]) mean the same."""
    sizes = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    if not all(isinstance(size, int) for size in sizes):
        raise DTypeError(
            f"{place}: {sizes!r} are no sizes. Expected ints. Fix: convert them with int()."
        )
    return tuple(sizes)


# --- shapes ---------------------------------------------------------------------------------------

reshape = operation(
    "reshape(x, shape: ints, *, copy: bool? = None)",
    doc="""The elements in another shape, in row-major order; a view where the strides allow it.

    x: [*S] -> shape, where one size may be -1. copy=True copies always, copy=False never.

    Raises ShapeError when the number of elements differs, ArgumentError when copy=False cannot be.
    Source: Python array API standard 2025.12, `reshape`.

    >>> samara.reshape(samara.arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """,
    ref=lambda x, shape, copy=None: np.reshape(x, shape),
    dtypes=ALL,
    onnx="Reshape",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 6), (3, 4)),
        Sample(_normal(rng, 2, 6), shape=(-1,)),
        Sample(_normal(rng, 2, 6), (4, -1, 1), copy=True),
        Sample(_normal(rng, 4, 3).T, (2, 6)),
        Sample(_normal(rng), (1, 1)),
        Sample(_normal(rng, 1), ()),
        Sample(_normal(rng, 0, 3), (3, 0, 2)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "do not fill shape", np.ones((2, 3)), (4,)),
        ErrorSample(ShapeError, "two unknown sizes", np.ones((2, 3)), (-1, -1)),
        ErrorSample(ShapeError, "negative size", np.ones((2, 3)), (-2, 3)),
        ErrorSample(DTypeError, "argument 'shape' is a float", np.ones(2), 2.0),
    ],
)


@composite(
    "flatten(x, start_dim: int = 0, end_dim: int = -1)",
    doc="""The axes from start_dim to end_dim as one; a 0-d tensor as [1].

    x: [*S] -> [*S before, product, *S after]. Raises IndexOutOfRangeError for an axis that does not
    exist, ArgumentError when start_dim is behind end_dim. Source: PyTorch, `torch.flatten`.

    >>> samara.flatten(samara.zeros(2, 3, 4), 1).shape
    (2, 12)
    """,
    ref=lambda x, start_dim=0, end_dim=-1: x.reshape(
        x.shape[: start_dim % max(x.ndim, 1)]
        + (-1 if x.size else 0,)
        + (x.shape[end_dim % x.ndim + 1 :] if x.ndim else ())
    ),
    dtypes=ALL,
    onnx="Flatten",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4)),
        Sample(_normal(rng, 2, 3, 4), 1),
        Sample(_normal(rng, 2, 3, 4), 0, 1),
        Sample(_normal(rng, 2, 3, 4), start_dim=-2),
        Sample(_normal(rng)),
        Sample(_normal(rng, 0, 3)),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 2),
        ErrorSample(ArgumentError, "start_dim 1 is behind end_dim 0", np.ones((2, 3)), 1, 0),
    ],
)
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if x.ndim == 0:
        return reshape(x, (1,))
    first, last = _axis("flatten", start_dim, x.ndim), _axis("flatten", end_dim, x.ndim)
    if first > last:
        raise ArgumentError(
            f"flatten: start_dim {start_dim} is behind end_dim {end_dim}. Expected it before. "
            "Fix: swap them."
        )
    size = math.prod(x.shape[first : last + 1])
    return reshape(x, (*x.shape[:first], size, *x.shape[last + 1 :]))


@composite(
    "ravel(x)",
    doc="""All axes as one. x: [*S] -> [number of elements]; a view where the strides allow it.

    Source: NumPy, `ravel`.

    >>> samara.ravel(samara.zeros(2, 3)).shape
    (6,)
    """,
    ref=np.ravel,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3)),
        Sample(_normal(rng)),
        Sample(_normal(rng, 0, 3)),
    ],
    errors=lambda: [ErrorSample(DTypeError, "argument 'x' is a str", "text")],
)
def ravel(x: Tensor) -> Tensor:
    return reshape(x, (-1,) if not isinstance(x, Tensor) or x.numel() else (0,))


@composite(
    "unflatten(x, axis: int, sizes: ints)",
    doc="""One axis as several. x: [*S] -> [*S before, *sizes, *S after]; one size may be -1.

    Raises ShapeError when the sizes do not multiply to the axis, IndexOutOfRangeError for an axis
    that does not exist. Source: PyTorch, `torch.unflatten`.

    >>> samara.unflatten(samara.zeros(2, 12), 1, (3, 4)).shape
    (2, 3, 4)
    """,
    ref=lambda x, axis, sizes: x.reshape(
        x.shape[: axis % x.ndim] + tuple(sizes) + x.shape[axis % x.ndim + 1 :]
    ),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 12), 1, (3, 4)),
        Sample(_normal(rng, 6, 2), 0, (-1, 3)),
        Sample(_normal(rng, 2, 4), axis=-1, sizes=(2, 2)),
        Sample(_normal(rng, 0, 4), 1, (2, 2)),
        Sample(_normal(rng, 1), 0, (1, 1)),
        Sample(_normal(rng, 1), 0, (1, 1)),
        Sample(_normal(rng, 0, 2), 0, (3, 0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"sizes \(2, 2\) do not multiply", np.ones((2, 5)), 1, (2, 2)),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 5)), 2, (5,)),
    ],
)
def unflatten(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    place = _axis("unflatten", axis, x.ndim)
    known = math.prod(size for size in sizes if size != -1)
    unknown = sum(size == -1 for size in sizes)
    length = x.shape[place]
    if unknown > 1 or (length % known if unknown and known else known != length):
        raise ShapeError(
            f"unflatten: sizes {tuple(sizes)} do not multiply to axis {axis} of {length} elements. "
            f"Expected a product of {length}. Fix: correct the sizes, or use -1 for one of them."
        )
    full = [length // known if size == -1 else size for size in sizes]
    return reshape(x, (*x.shape[:place], *full, *x.shape[place + 1 :]))


# --- order of the axes ----------------------------------------------------------------------------

permute_dims = operation(
    "permute_dims(x, axes: ints)",
    doc="""The axes in another order, out[..., i_axes[k], ...] = x[..., i_k, ...]; a view.

    x: [*S] -> the sizes in the order of `axes`, which names every axis once.

    Raises ArgumentError when `axes` is no permutation, IndexOutOfRangeError for an axis that does
    not exist. Source: Python array API standard 2025.12, `permute_dims`.

    >>> samara.permute_dims(samara.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """,
    native="permute",
    ref=lambda x, axes: np.transpose(x, axes),
    dtypes=ALL,
    onnx="Transpose",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4), (2, 0, 1)),
        Sample(_normal(rng, 2, 3, 4), axes=(-1, 1, 0)),
        Sample(_normal(rng, 2, 3), (0, 1)),
        Sample(_normal(rng), ()),
        Sample(_normal(rng, 0, 3), (1, 0)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "Expected all 2", np.ones((2, 3)), (0,)),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), (0, 2)),
        ErrorSample(ArgumentError, "twice|repeated", np.ones((2, 3)), (0, 0)),
    ],
    aliases=("permute",),
    methods=("permute", "permute_dims"),
)

transpose = operation(
    "transpose(x, dim0: int, dim1: int)",
    doc="""Two axes exchanged; a view. x: [*S] -> the sizes with two of them exchanged.

    Raises IndexOutOfRangeError for an axis that does not exist. Source: PyTorch, `torch.transpose`.

    >>> samara.transpose(samara.zeros(2, 3, 4), 0, -1).shape
    (4, 3, 2)
    """,
    ref=lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if x.ndim else x,
    dtypes=ALL,
    onnx="Transpose",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4), 0, -1),
        Sample(_normal(rng, 2, 3), 1, 0),
        Sample(_normal(rng, 2, 3), 1, 1),
        Sample(_normal(rng), 0, -1),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), 0, 2),
        ErrorSample(DTypeError, "argument 'dim0' is a float", np.ones((2, 3)), 0.5, 1),
    ],
    aliases=("swapaxes", "swapdims"),
    methods=("transpose", "swapaxes", "swapdims"),
)


@composite(
    "moveaxis(x, source: ints, destination: ints)",
    doc="""Axes moved to other places, the rest in their order; a view.

    x: [*S] -> the sizes with axis source[k] at place destination[k].

    Raises ArgumentError when the two differ in length or name an axis twice, IndexOutOfRangeError
    for an axis that does not exist. Source: Python array API standard 2025.12, `moveaxis`.

    >>> samara.moveaxis(samara.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """,
    ref=lambda x, source, destination: np.moveaxis(x, source, destination),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3, 4), 0, -1),
        Sample(_normal(rng, 2, 3, 4), (0, 1), (1, 2)),
        Sample(_normal(rng, 2, 3, 4), (-1,), (0,)),
        Sample(_normal(rng, 0, 3), 0, 1),
        Sample(_normal(rng, 1), 0, 0),
        Sample(_normal(rng, 2, 0), 0, 1),
        Sample(_normal(rng), (), ()),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "axis 3 is out of range", np.ones((2, 3)), 3, 0),
        ErrorSample(ArgumentError, "2 axes move to 1 places", np.ones((2, 3)), (0, 1), (0,)),
        ErrorSample(ArgumentError, "name an axis twice", np.ones((2, 3)), (0, 0), (0, 1)),
    ],
    aliases=("movedim",),
    methods=("moveaxis", "movedim"),
)
def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    moved = _axes("moveaxis", source, x.ndim)
    places = _axes("moveaxis", destination, x.ndim)
    if len(moved) != len(places):
        raise ArgumentError(
            f"moveaxis: {len(moved)} axes move to {len(places)} places. Expected as many. "
            "Fix: give source and destination the same length."
        )
    order = [axis for axis in range(x.ndim) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return permute_dims(x, order)


flip = operation(
    "flip(x, axis: ints? = None)",
    doc="""The elements in reverse order along some axes, or all of them; a view.

    x: [*S] -> [*S]. Raises IndexOutOfRangeError for an axis that does not exist.
    Source: Python array API standard 2025.12, `flip`.

    >>> samara.flip(samara.tensor([1, 2, 3])).tolist()
    [3, 2, 1]
    """,
    ref=lambda x, axis=None: np.flip(x, axis),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3)),
        Sample(_normal(rng, 2, 3), axis=0),
        Sample(_normal(rng, 2, 3, 4), axis=(0, -1)),
        Sample(_normal(rng)),
        Sample(_normal(rng, 0, 3)),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 3)), axis=2)],
)


def _shifts(x: Tensor, shift: Any, axis: Any) -> list[tuple[int, int]]:
    shifts = (shift,) if isinstance(shift, int) else tuple(shift)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(
            f"roll: {len(shifts)} shifts given for {len(axes)} axes. Expected one shift, or one "
            "for each axis. Fix: give both the same length."
        )
    return [(by, _axis("roll", a, x.ndim)) for by, a in zip(shifts, axes, strict=True)]


@composite(
    "roll(x, shift: ints, axis: ints? = None)",
    doc="""The elements moved along axes towards larger indices, those that leave at the end put in
    at the start, out[(i + shift) mod n] = x[i]. With axis=None over the flattened tensor.

    x: [*S] -> [*S]. Raises ArgumentError when shifts and axes differ in number,
    IndexOutOfRangeError for an axis that does not exist.
    Source: Python array API standard 2025.12, `roll`.

    >>> samara.roll(samara.tensor([1, 2, 3]), 1).tolist()
    [3, 1, 2]
    """,
    ref=lambda x, shift, axis=None: np.roll(x, shift, axis),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 5), 2),
        Sample(_normal(rng, 2, 3), 7),
        Sample(_normal(rng, 2, 3), -1, axis=1),
        Sample(_normal(rng, 3, 4), (1, -2), axis=(0, 1)),
        Sample(_normal(rng, 3, 4), 1, axis=(0, 1)),
        Sample(_normal(rng), 1),
        Sample(_normal(rng, 0, 3), 1, axis=0),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "2 shifts given for 1 axes", np.ones(3), (1, 2), axis=(0,)),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), 1, axis=1),
    ],
)
def roll(x: Tensor, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    if axis is None:
        by = shift if isinstance(shift, int) else sum(shift)
        return roll(ravel(x), by, 0).reshape(x.shape)
    for by, place in _shifts(x, shift, axis):
        length = x.shape[place]
        cut = -by % length if length else 0
        if cut:
            rows = (slice(None),) * place
            x = concat([x[(*rows, slice(cut, None))], x[(*rows, slice(0, cut))]], place)
    return x.clone() if x.ndim == 0 else x


# --- axes of size 1, broadcasting -----------------------------------------------------------------


def _squeeze_ref(x: Any, axis: Any = None, strict: bool = False) -> Any:
    if axis is None:
        return np.squeeze(x)
    axes = (axis,) if isinstance(axis, int) else axis
    return np.squeeze(x, tuple(a for a in axes if x.shape[a] == 1))


def _squeeze_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(_normal(rng, 1, 3, 1)),
        Sample(_normal(rng, 1, 3, 1), axis=0),
        Sample(_normal(rng, 1, 3, 1), axis=(0, -1)),
        Sample(_normal(rng)),
        Sample(_normal(rng, 1, 0), axis=0),
    ]


squeeze_dim = operation(
    "squeeze_dim(x, axis: ints? = None, *, strict: bool = False)",
    doc="""`squeeze` as PyTorch has it: axes of another size than 1 stay, without an error.

    x: [*S] -> [*S without axes of size 1]; a view.

    Raises IndexOutOfRangeError for an axis that does not exist. Source: PyTorch, `torch.squeeze`.

    >>> samara.zeros(1, 3).squeeze(1).shape
    (1, 3)
    """,
    native="squeeze",
    ref=_squeeze_ref,
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [*_squeeze_samples(rng), Sample(_normal(rng, 1, 3), axis=(0, 1))],
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones((1, 3)), axis=2)],
    methods=(),
)

squeeze = operation(
    "squeeze(x, axis: ints? = None, *, strict: bool = True)",
    doc="""Without axes of size 1: those given, or all of them. A view.

    x: [*S] -> [*S without these axes]. The method and `dim=` leave axes of other sizes alone.

    Raises ShapeError for an axis of another size, IndexOutOfRangeError for one that does not exist.
    Source: Python array API standard 2025.12, `squeeze`.

    >>> samara.squeeze(samara.zeros(1, 3, 1), axis=0).shape
    (3, 1)
    """,
    ref=_squeeze_ref,
    dtypes=ALL,
    onnx="Squeeze",
    ulp=0,
    samples=_squeeze_samples,
    errors=lambda: [
        ErrorSample(ShapeError, "axis 1 of shape", np.ones((1, 3)), axis=1),
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((1, 3)), axis=2),
    ],
    dim_form=squeeze_dim,
)

expand_dims = operation(
    "expand_dims(x, axis: ints = 0)",
    doc="""With new axes of size 1 at the given places of the result; a view.

    x: [*S] -> [*S with 1 put in]. Raises IndexOutOfRangeError for a place that does not exist.
    Source: Python array API standard 2025.12, `expand_dims`.

    >>> samara.expand_dims(samara.zeros(3), axis=-1).shape
    (3, 1)
    """,
    native="unsqueeze",
    ref=lambda x, axis=0: np.expand_dims(x, axis),
    dtypes=ALL,
    onnx="Unsqueeze",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3)),
        Sample(_normal(rng, 2, 3), 1),
        Sample(_normal(rng, 2, 3), axis=-1),
        Sample(_normal(rng, 2, 3), axis=(0, 3)),
        Sample(_normal(rng)),
        Sample(_normal(rng, 0), 1),
    ],
    errors=lambda: [ErrorSample(IndexError, "axis 4 is out of range", np.ones((2, 3)), axis=4)],
    aliases=("unsqueeze",),
    methods=("unsqueeze", "expand_dims"),
)

broadcast_to = operation(
    "broadcast_to(x, shape: ints)",
    doc="""The elements repeated along new axes and axes of size 1; a view with strides of 0.

    x: [*S] -> shape, whose sizes agree with S, counted from the last, or stand where S has 1; -1
    keeps a size of S.

    Raises ShapeError when S does not broadcast to the shape.
    Source: Python array API standard 2025.12, `broadcast_to`.

    >>> samara.broadcast_to(samara.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """,
    native="expand",
    ref=lambda x, shape: np.broadcast_to(
        x, [s if s != -1 else x.shape[i - len(shape)] for i, s in enumerate(shape)]
    ),
    dtypes=ALL,
    onnx="Expand",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 3), (2, 3)),
        Sample(_normal(rng, 2, 1), (4, 2, 3)),
        Sample(_normal(rng, 2, 1), (-1, 3)),
        Sample(_normal(rng), (2, 2)),
        Sample(_normal(rng, 1, 3), (0, 3)),
        Sample(_normal(rng, 2), (2,)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, r"shape \(3,\) does not expand to \(2, 4\)", np.ones(3), (2, 4)),
        ErrorSample(ShapeError, "does not expand", np.ones((2, 3)), (3,)),
    ],
    aliases=("expand",),
    methods=("expand", "broadcast_to"),
)


@plain()
def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that tensors of the given shapes broadcast to.

    Raises ShapeError when there is none. Source: Python array API standard 2025.12,
    `broadcast_shapes`.

    >>> samara.broadcast_shapes((2, 1), (3,), ())
    (2, 3)
    """
    given = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    result = [1] * max((len(shape) for shape in given), default=0)
    for shape in given:
        for i, size in enumerate(reversed(shape), start=1):
            if size != 1 and result[-i] not in (1, size):
                raise ShapeError(
                    f"broadcast_shapes: shapes {', '.join(map(str, given))} do not broadcast. "
                    "Expected equal sizes, or 1, in each axis counted from the last. "
                    "Fix: reshape or transpose one of them."
                )
            result[-i] = size if size != 1 else result[-i]
    return tuple(result)


@composite(
    "broadcast_arrays(*arrays)",
    doc="""Tensors broadcast to their common shape; views. arrays: [*S_i] -> as many [*S].

    Raises ShapeError when the shapes do not broadcast.
    Source: Python array API standard 2025.12, `broadcast_arrays`.

    >>> [x.shape for x in samara.broadcast_arrays(samara.zeros(2, 1), samara.zeros(3))]
    [(2, 3), (2, 3)]
    """,
    ref=lambda *arrays: tuple(np.broadcast_arrays(*arrays)),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 1), _normal(rng, 3)),
        Sample(_normal(rng, 2), _normal(rng), _normal(rng, 3, 1)),
        Sample(_normal(rng, 2)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "do not broadcast", np.ones(2), np.ones(3))],
    aliases=("broadcast_tensors",),
    methods=(),
)
def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    tensors = arrays[0] if len(arrays) == 1 and not isinstance(arrays[0], Tensor) else arrays
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(broadcast_to(x, shape) for x in tensors)


# --- repetition -----------------------------------------------------------------------------------


@composite(
    "tile(x, repetitions: ints, *more: int)",
    doc="""The tensor laid side by side repetitions[k] times along axis k.

    x: [*S] -> [*S times repetitions]; the shorter of the two gets 1 put in before.

    Raises ArgumentError for a negative number.
    Source: Python array API standard 2025.12, `tile`.

    >>> samara.tile(samara.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """,
    ref=lambda x, repetitions: np.tile(x, repetitions),
    dtypes=ALL,
    onnx="Tile",
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 2, 3), (2, 2)),
        Sample(_normal(rng, 2, 3), (2,)),
        Sample(_normal(rng, 3), (2, 1, 2)),
        Sample(_normal(rng), (2,)),
        Sample(_normal(rng, 2), (0,)),
        Sample(_normal(rng, 0, 2), (2, 2)),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "a negative number", np.ones(2), (-1,))],
)
def tile(x: Tensor, repetitions: Any, *more: int) -> Tensor:
    counts = _sizes("tile", (repetitions, *more))
    if any(count < 0 for count in counts):
        raise ArgumentError(
            f"tile: repetitions {counts} contain a negative number. Expected 0 or more. "
            "Fix: correct them."
        )
    ndim = max(x.ndim, len(counts))
    shape = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(counts)) + counts
    split = [size for s in shape for size in (1, s)]
    wide = [size for c, s in zip(counts, shape, strict=True) for size in (c, s)]
    whole = [c * s for c, s in zip(counts, shape, strict=True)]
    repeated = broadcast_to(reshape(x, split), wide)
    return reshape(repeated, whole, copy=True)


def _repeat_counts(repeats: Any, length: int) -> list[int]:
    counts = repeats.tolist() if isinstance(repeats, (Tensor, np.ndarray)) else repeats
    counts = [counts] if isinstance(counts, int) else list(counts)
    if len(counts) == 1:
        counts = counts * length
    if len(counts) != length or not all(isinstance(c, int) and c >= 0 for c in counts):
        raise ArgumentError(
            f"repeat: repeats has {len(counts)} entries for an axis of {length} elements. Expected "
            "one whole number of 0 or more, or one for each element. Fix: correct repeats."
        )
    return counts


_repeat_each: Callable[..., Tensor] = _core.Operation(
    "repeat_each(x, count: int, axis: int)", "repeat_each"
)


def _common_count(repeats: Any) -> int | None:
    """The one number of repetitions, where a single one is given and is valid."""
    if isinstance(repeats, (tuple, list)) and len(repeats) == 1:
        repeats = repeats[0]
    return repeats if isinstance(repeats, int) and repeats >= 0 else None


def _repeat_ref(x: Any, repeats: Any, axis: Any = None) -> Any:
    return np.repeat(x, repeats, axis)


def _repeat_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(_normal(rng, 2, 3), 2),
        Sample(_normal(rng, 2, 3), 2, axis=1),
        Sample(_normal(rng, 2, 3), (2, 0, 1), axis=-1),
        Sample(_normal(rng, 3), (1, 2, 3)),
        Sample(_normal(rng, 2), 0),
        Sample(_normal(rng), 3),
        Sample(_normal(rng, 0, 3), 2, axis=0),
    ]


def _repeat_errors() -> list[ErrorSample]:
    return [
        ErrorSample(ArgumentError, "2 entries for an axis of 3", np.ones(3), (1, 2)),
        ErrorSample(ArgumentError, "0 or more", np.ones(3), -1),
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), 2, axis=1),
    ]


@composite(
    "repeat_interleave(x, repeats: ints, axis: int? = None)",
    doc="""Each element repeated on the spot: `repeats` times, or each its own number of times.

    x: [*S], repeats: an int, or ints for the elements of the axis -> [*S with a longer axis]; with
    axis=None of the flattened tensor.

    Raises ArgumentError when the repeats do not fit, IndexOutOfRangeError for an axis that does not
    exist. Source: Python array API standard 2025.12, `repeat`.

    >>> samara.repeat_interleave(samara.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """,
    ref=_repeat_ref,
    dtypes=ALL,
    ulp=0,
    samples=_repeat_samples,
    errors=_repeat_errors,
)
def repeat_interleave(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    if axis is None:
        return repeat_interleave(ravel(x), repeats, 0)
    place = _axis("repeat", axis, x.ndim)
    length = x.shape[place]
    count = _common_count(repeats)
    counts = [] if count is not None else _repeat_counts(repeats, length)
    if count is None and len(set(counts)) <= 1:
        count = counts[0] if counts else 1
    if count is not None:
        return _repeat_each(x, count, place)
    index = asarray(np.repeat(np.arange(length), counts), device=x.device)
    return x[(*(slice(None),) * place, index)]


def _repeat_method(x: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """The tensor tiled: one number of repetitions for each axis (PyTorch's Tensor.repeat).

    Raises ArgumentError for fewer numbers than axes. `repeat_interleave` repeats elements.
    """
    if named:
        return repeat_interleave(x, *sizes, **named)
    counts = _sizes("repeat", sizes)
    if len(counts) < x.ndim:
        raise ArgumentError(
            f"repeat: {len(counts)} numbers given for a tensor with {x.ndim} axes. Expected one "
            "for each axis. Fix: give them all, or use repeat_interleave to repeat elements."
        )
    return tile(x, counts)


@composite(
    "repeat(x, repeats: ints, axis: int? = None)",
    doc="""Each element repeated on the spot; see `repeat_interleave`. The method `x.repeat(2, 3)`
    is PyTorch's, which tiles.

    x: [*S], repeats: an int, or ints for the elements of the axis -> [*S with a longer axis].

    Raises ArgumentError when the repeats do not fit, IndexOutOfRangeError for an axis that does not
    exist. Source: Python array API standard 2025.12, `repeat`.

    >>> samara.repeat(samara.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """,
    ref=_repeat_ref,
    dtypes=ALL,
    ulp=0,
    samples=_repeat_samples,
    errors=_repeat_errors,
    methods=(),
)
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    return repeat_interleave(x, repeats, axis)


@plain("expand_as")
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """X broadcast to the shape of another tensor; a view.

    >>> samara.expand_as(samara.zeros(3), samara.zeros(2, 3)).shape
    (2, 3)
    """
    return broadcast_to(x, other.shape)


@plain("reshape_as")
def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """X in the shape of another tensor.

    >>> samara.reshape_as(samara.zeros(6), samara.zeros(2, 3)).shape
    (2, 3)
    """
    return reshape(x, other.shape)


METHODS["repeat"] = _repeat_method
