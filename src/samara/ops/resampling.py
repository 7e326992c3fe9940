"""Images, signals and volumes at other sizes and places: interpolate, grid_sample, affine_grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from samara import _core
from samara.dtypes import FLOAT
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.lookup import choose
from samara.ops.checks import require_dtype
from samara.ops.creation import linspace, ones_like, zeros, zeros_like
from samara.ops.gathering import gather, scatter_add
from samara.ops.join import stack
from samara.ops.manipulation import broadcast_to, reshape
from samara.ops.matmul import matmul
from samara.ops.memory import astype
from samara.ops.record import ErrorSample, Sample, composite, operation
from samara.ops.rounding import floor
from samara.ops.selection import clamp
from samara.tensor import Tensor

# mode: (the map along one axis, the numbers of spatial axes it is for)
_MODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "area": ("area", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
}
_SHAPES = {1: "[N, C, W]", 2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}

_resample = _core.Operation(
    "resample(x, size: ints, mode: str, align_corners: bool, antialias: bool, "
    "factor_d: float?, factor_h: float?, factor_w: float?)",
    "resample",
)


def _per_axis(name: str, value: Any, count: int) -> list[Any]:
    """One entry per spatial axis; a single number stands for all."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ShapeError(
            f"interpolate: {name} {tuple(value)} has {len(value)} entries for {count} spatial "
            f"axes. Expected one number, or one per axis. Fix: pass {count} entries."
        )
    return list(value)


def _check_options(
    mode: str, size: Any, factor: Any, align: bool | None, recompute: bool | None, antialias: bool
) -> None:
    if (size is None) == (factor is None):
        state = "neither is given" if size is None else "both are given"
        raise ArgumentError(
            f"interpolate: of size and scale_factor {state}. Expected exactly one of them. "
            f"Fix: {'pass size=' if size is None else 'leave one out'}."
        )
    if align is not None and not mode.endswith(("linear", "cubic")):
        raise ArgumentError(
            f"interpolate: align_corners is {align} for mode {mode!r}. Expected None, as only the "
            "linear and cubic modes have corners to align. Fix: leave align_corners out."
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(
            f"interpolate: antialias is True for mode {mode!r}. Expected mode 'bilinear' or "
            "'bicubic'. Fix: choose one of these, or leave antialias out."
        )
    if recompute and size is not None:
        raise ArgumentError(
            "interpolate: recompute_scale_factor is True and size is given. Expected scale_factor. "
            "Fix: leave recompute_scale_factor out."
        )


def _check_factor(factor: float) -> float:
    value = factor * 1.0
    if not (math.isfinite(value) and value > 0):
        raise ArgumentError(
            f"interpolate: scale_factor is {value}. Expected finite numbers above 0. "
            "Fix: correct it."
        )
    return value


def _check_shape(place: str, x: Tensor, mode: str, ranks: tuple[int, ...]) -> int:
    """The number of spatial axes."""
    spatial = x.ndim - 2
    if spatial not in ranks:
        expected = " or ".join(_SHAPES[rank] for rank in ranks)
        raise ShapeError(
            f"{place}: x has shape {tuple(x.shape)} for mode {mode!r}. Expected {expected}. "
            "Fix: choose another mode, or add the axes that are missing."
        )
    return spatial


# --- the reference -------------------------------------------------------------------------------


def _cubic(x: float, a: float) -> float:
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def _axis_map(kind: str, n: int, m: int, factor: float, align: bool, antialias: bool) -> Any:
    """The map from n to m numbers as a matrix [m, n], from the definition of each output."""
    matrix = np.zeros((m, n))
    if align:
        scale = (n - 1) / (m - 1) if m > 1 else 0.0
    else:
        scale = 1 / factor if factor else n / m
    slope = -0.5 if antialias else -0.75
    for i in range(m):
        if kind == "area":
            begin, end = math.floor(i * n / m), math.ceil((i + 1) * n / m)
            matrix[i, begin:end] = 1 / (end - begin)
        elif kind.startswith("nearest"):
            shift = np.float32(0.5 if kind.endswith("exact") else 0.0)
            nearest = (np.float32(i) + shift) * np.float32(scale)
            matrix[i, min(int(np.floor(nearest)), n - 1)] = 1
        elif antialias:
            wide = max(scale, 1.0)
            distance = (np.arange(n) + 0.5 - scale * (i + 0.5)) / wide
            if kind == "linear":
                matrix[i] = np.maximum(1 - np.abs(distance), 0)
            else:
                matrix[i] = [_cubic(d, slope) for d in distance]
            matrix[i] /= matrix[i].sum()
        else:
            place = scale * i if align else scale * (i + 0.5) - 0.5
            if kind == "linear":
                place = i if n == m else min(max(place, 0.0), n - 1)
            for j in range(math.floor(place) - 1, math.floor(place) + 3):
                away = place - j
                weight = max(1 - abs(away), 0.0) if kind == "linear" else _cubic(away, slope)
                matrix[i, min(max(j, 0), n - 1)] += weight
    return matrix


def _interpolate_ref(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Any:
    kind, spatial = _MODES[mode][0], x.ndim - 2
    factors = [0.0] * spatial
    if size is None:
        factors = list(np.broadcast_to(scale_factor, spatial))
        size = [math.floor(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
        if recompute_scale_factor:
            factors = [0.0] * spatial
    y = x
    for axis, m in enumerate(np.broadcast_to(size, spatial)):
        n = x.shape[2 + axis]
        matrix = _axis_map(kind, n, m, factors[axis], bool(align_corners), antialias)
        y = np.moveaxis(np.tensordot(matrix, y, (1, 2 + axis)), 0, 2 + axis)
    return np.clip(np.rint(y), 0, 255).astype(np.int64) if x.dtype.kind == "i" else y


def _interpolate_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    image = normal(2, 3, 4, 5)
    return [
        Sample(image, (8, 10), mode="bilinear"),
        Sample(image, (8, 10)),
        Sample(image, (2, 3), mode="bilinear"),
        Sample(image, (7, 9), mode="bilinear", align_corners=True),
        Sample(image, (3, 9), mode="bicubic"),
        Sample(image, scale_factor=2, mode="bicubic", align_corners=True),
        Sample(image, scale_factor=(1.6, 2.3)),
        Sample(image, scale_factor=(1.6, 2.3), mode="nearest-exact"),
        Sample(image, scale_factor=(1.25, 0.5), mode="bilinear"),
        Sample(image, scale_factor=(1.75, 0.5), mode="bilinear", recompute_scale_factor=True),
        Sample(image, scale_factor=(1.1, 1.9), mode="bilinear"),
        Sample(image, (2, 1), mode="area"),
        Sample(image, scale_factor=1.9, mode="area"),
        Sample(normal(1, 2, 9, 12), (4, 3), mode="bilinear", antialias=True),
        Sample(normal(1, 2, 9, 12), (4, 3), mode="bicubic", antialias=True),
        Sample(normal(1, 2, 3, 4), (5, 9), mode="bicubic", antialias=True),
        Sample(normal(2, 1, 4), 8, mode="linear"),
        Sample(normal(2, 2, 5), scale_factor=0.5, mode="nearest"),
        Sample(normal(1, 2, 2, 3, 2), (4, 3, 8), mode="trilinear"),
        Sample(normal(1, 2, 2, 3, 2), (3, 6, 4), mode="trilinear", align_corners=True),
        Sample(normal(1, 1, 2, 3, 2), scale_factor=2),
        Sample(normal(1, 1, 4, 3, 2), (2, 2, 2), mode="area"),
        Sample(normal(1, 1, 1, 1), (3, 2), mode="bicubic"),
        Sample(normal(0, 2, 3, 3), (6, 6), mode="bilinear"),
    ]


def _interpolate_errors() -> list[ErrorSample]:
    image = np.ones((1, 2, 3, 4))
    return [
        ErrorSample(ArgumentError, "neither is given", image),
        ErrorSample(ArgumentError, "both are given", image, 2, 2.0),
        ErrorSample(ArgumentError, "bilinear.*did you mean 'bicubic'", image, 2, mode="bicubc"),
        ErrorSample(ShapeError, "Expected \\[N, C, W\\]", image, 2, mode="linear"),
        ErrorSample(ShapeError, "shape \\(3, 4\\)", np.ones((3, 4)), 2),
        ErrorSample(ShapeError, "3 entries for 2", image, (1, 2, 3)),
        ErrorSample(ShapeError, "is to become \\(0, 2\\)", image, (0, 2)),
        ErrorSample(ShapeError, "is to become \\(-1, 2\\)", image, (-1, 2)),
        ErrorSample(ShapeError, "\\(0, 4\\) is to become", np.ones((1, 1, 0, 4)), 2),
        ErrorSample(ShapeError, "is to become \\(0, 0\\)", image, scale_factor=0.1),
        ErrorSample(ArgumentError, "scale_factor is -2", image, scale_factor=-2.0),
        ErrorSample(ArgumentError, "align_corners is False", image, 2, align_corners=False),
        ErrorSample(ArgumentError, "antialias is True", image, 2, antialias=True),
        ErrorSample(ArgumentError, "size is given", image, 2, recompute_scale_factor=True),
    ]


@composite(
    "interpolate(x, size: ints? = None, scale_factor: floats? = None, mode: str = 'nearest', "
    "align_corners: bool? = None, recompute_scale_factor: bool? = None, antialias: bool = False)",
    doc="""Signals, images and volumes at another size, in one of seven modes.

    y[i] = sum_j w(p(i) - j) x[j] along each spatial axis, where p(i) = scale (i + 1/2) - 1/2 is the
    place of output i among the inputs and scale = 1 / scale_factor, or input size / output size
    where size is given or recompute_scale_factor is True. With align_corners the first and last
    elements of both lie on each other: p(i) = i (input size - 1) / (output size - 1). In the linear
    modes an axis that keeps its size stays as it is.
    nearest: x[floor(scale i)]; nearest-exact: x[floor(scale (i + 1/2))]; linear, bilinear,
    trilinear: the two neighbours along each axis; bicubic: four, with Keys' cubic of slope -3/4;
    area: the mean of the inputs that an output covers. antialias widens the filter by the scale
    when the image shrinks (slope -1/2 for bicubic).

    x: [N, C, *spatial] float or uint8, one to three spatial axes -> [N, C, *size]. bilinear and
    bicubic are for images, linear for signals, trilinear for volumes. The order of axes in memory
    stays. uint8 is computed in float32, rounded and cut off at 0 and 255.

    Raises ArgumentError when not exactly one of size and scale_factor is given, for an unknown mode
    and for options that a mode does not have; ShapeError for other ranks and for sizes below 1.
    Source: PyTorch, `torch.nn.functional.interpolate`; Keys, Cubic Convolution Interpolation for
    Digital Image Processing, 1981.

    >>> x = samara.tensor([[[0.0, 4.0]]])
    >>> samara.interpolate(x, scale_factor=2, mode="linear").tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """,
    ref=_interpolate_ref,
    dtypes=(*FLOAT, _core.uint8),
    onnx="Resize",
    ulp=16,
    condition="max",
    samples=_interpolate_samples,
    errors=_interpolate_errors,
    methods=(),
)
def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    kind, ranks = _MODES[mode] if mode in _MODES else choose("interpolate: mode", mode, _MODES)
    _check_options(mode, size, scale_factor, align_corners, recompute_scale_factor, antialias)
    spatial = _check_shape("interpolate", x, mode, ranks)
    factors: list[float | None] = [None] * 3
    if size is not None:
        sizes = _per_axis("size", size, spatial)
    else:
        given = [_check_factor(f) for f in _per_axis("scale_factor", scale_factor, spatial)]
        sizes = [int(n * f) for n, f in zip(x.shape[2:], given, strict=True)]
        if not recompute_scale_factor and kind != "area":
            factors[3 - spatial :] = given
    y: Tensor = _resample(x, sizes, kind, bool(align_corners), antialias, *factors)
    return y


# --- grid_sample ---------------------------------------------------------------------------------

_CUBIC = -0.75


def _reflected_ref(place: float, size: int, align: bool) -> float:
    """The place after reflections at the ends, one at a time."""
    low, high = (0.0, size - 1.0) if align else (-0.5, size - 0.5)
    if high <= low:
        return 0.0
    while not low <= place <= high:
        place = 2 * low - place if place < low else 2 * high - place
    return place


def _inside_ref(place: float, size: int, padding: str, align: bool) -> float:
    if padding == "reflection":
        place = _reflected_ref(place, size, align)
    return place if padding == "zeros" else min(max(place, 0.0), size - 1.0)


def _axis_taps_ref(place: float, size: int, mode: str, padding: str, align: bool) -> Any:
    """Pairs (index, weight) of the elements along an axis that a place of the grid is made of."""
    at = (place + 1) / 2 * (size - 1) if align else ((place + 1) * size - 1) / 2
    if mode == "bicubic":
        start = math.floor(at)
        taps = [
            (_inside_ref(start + k, size, padding, align), _cubic(at - start - k, _CUBIC))
            for k in range(-1, 3)
        ]
    else:
        at = _inside_ref(at, size, padding, align)
        if mode == "nearest":
            taps = [(round(at), 1.0)]
        else:
            taps = [(j, 1 - abs(at - j)) for j in (math.floor(at), math.floor(at) + 1)]
    return [(int(j), w) for j, w in taps if 0 <= j < size]


def _grid_sample_ref(
    x: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: Any = None,
) -> Any:
    n, c, *sizes = x.shape
    y = np.zeros((n, c, *grid.shape[1:-1]))
    for at in np.ndindex(*grid.shape[:-1]):
        places = grid[at][::-1]  # depth, height, width
        taps = [
            _axis_taps_ref(place, size, mode, padding_mode, bool(align_corners))
            for place, size in zip(places, sizes, strict=True)
        ]
        for chosen in itertools.product(*taps):
            pixel = tuple(index for index, _ in chosen)
            weight = math.prod(weight for _, weight in chosen)
            y[(at[0], slice(None), *at[1:])] += weight * x[(at[0], slice(None), *pixel)]
    return y


def _inside(place: Tensor, size: int, padding: str, align: bool) -> tuple[Tensor, Tensor]:
    """The place brought into the image, and its derivative by the place, +-1 or 0."""
    low, span = (0.0, size - 1.0) if align else (-0.5, float(size))
    factor = ones_like(place)
    if padding == "reflection" and span > 0:
        away = place - low
        turns = floor(abs(away) / span)
        extra = abs(away) - turns * span
        odd = turns - 2 * floor(turns / 2)
        factor = (1 - 2 * odd) * (1 - 2 * astype(away < 0, place.dtype))
        place = low + odd * span + (1 - 2 * odd) * extra
    here = astype((place > 0) & (place < size - 1), place.dtype)
    return clamp(place, 0.0, size - 1.0), factor * here


def _cubic_parts(t: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Keys' weight of the tap at k - t, k from -1 to 2, and its derivative by t."""
    a, d = _CUBIC, (t - k) if k <= 0 else (k - t)
    sign = 1.0 if k <= 0 else -1.0
    if k in (0, 1):
        return ((a + 2) * d - (a + 3)) * d * d + 1, sign * (3 * (a + 2) * d - 2 * (a + 3)) * d
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a, sign * ((3 * a * d - 10 * a) * d + 8 * a)


def _axis_taps(place: Tensor, size: int, mode: str, padding: str, align: bool) -> list[Any]:
    """(index, 1 where there is such an element, weight, derivative by the grid) of each tap."""
    at = (place + 1) / 2 * (size - 1) if align else ((place + 1) * size - 1) / 2
    factor: Any = (size - 1) / 2 if align else size / 2
    if mode != "bicubic" and padding != "zeros":
        at, inner = _inside(at, size, padding, align)
        factor = factor * inner
    start = floor(at.detach())
    t = at - start
    if mode == "nearest":
        found = [(at.detach().round(), ones_like(t), zeros_like(t))]
    elif mode == "bilinear":
        found = [(start, 1 - t, -ones_like(t)), (start + 1, t, ones_like(t))]
    else:
        found = [(start + k, *_cubic_parts(t, k)) for k in range(-1, 3)]
    taps = []
    for index, weight, slope in found:
        if mode == "bicubic" and padding != "zeros":
            index, _ = _inside(index, size, padding, align)
        there = astype((index >= 0) & (index <= size - 1), place.dtype)
        inner = astype(clamp(index, 0.0, size - 1.0), _core.int64)
        taps.append((inner, there, weight, slope * factor))
    return taps


def _grid_sample_grad(
    g: Tensor,
    x: Tensor,
    grid: Tensor,
    y: Tensor,
    *,
    mode: str,
    padding_mode: str,
    align_corners: bool | None,
) -> tuple[Tensor, Tensor]:
    """Scattered to the taps of each place, and gathered from them times their slopes."""
    n, c, *sizes = x.shape
    count = math.prod(grid.shape[1:-1])
    places = reshape(grid, (n, count, len(sizes)))
    flat, ahead = reshape(x, (n, c, math.prod(sizes))), reshape(g, (n, c, count))
    axes = [
        _axis_taps(places[..., -1 - i], size, mode, padding_mode, bool(align_corners))
        for i, size in enumerate(sizes)
    ]
    dx = zeros_like(flat)
    slopes: list[Any] = [zeros_like(places[..., 0]) for _ in sizes]
    for taps in itertools.product(*axes):
        index, there = taps[0][0], taps[0][1]
        for (inner, exists, _, _), size in zip(taps[1:], sizes[1:], strict=True):
            index, there = index * size + inner, there * exists
        spread = broadcast_to(index[:, None], (n, c, count))
        weights = [weight for _, _, weight, _ in taps]
        dx = scatter_add(dx, 2, spread, ahead * (math.prod(weights, start=there))[:, None])
        share = (ahead * gather(flat, 2, spread)).sum(axis=1) * there
        for i, tap in enumerate(taps):
            others = weights[:i] + weights[i + 1 :]
            slopes[i] = slopes[i] + share * math.prod(others, start=tap[3])
    return reshape(dx, x.shape), reshape(stack(slopes[::-1], axis=2), grid.shape)


def _grid_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    image, grid = normal(2, 3, 4, 5), 0.8 * normal(2, 3, 2, 2)
    volume, places = normal(1, 2, 2, 3, 4), 0.8 * normal(1, 2, 2, 3, 3)
    chosen = [
        Sample(image, grid, mode, padding, align)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for align in (False, True)
    ]
    chosen += [
        Sample(volume, places, mode, padding)
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
    ]
    return [
        Sample(image, grid),
        *chosen,
        Sample(volume, places, align_corners=True),
        Sample(
            normal(1, 1, 1, 1), normal(1, 2, 2, 2), padding_mode="reflection", align_corners=True
        ),
        Sample(normal(0, 2, 3, 3), normal(0, 2, 2, 2)),
        Sample(normal(1, 2, 3, 3), normal(1, 0, 2, 2)),
    ]


def _grid_errors() -> list[ErrorSample]:
    image, grid = np.ones((2, 3, 4, 5)), np.zeros((2, 2, 2, 2))
    return [
        ErrorSample(ShapeError, "Expected 2 numbers per place", image, np.zeros((2, 2, 2, 3))),
        ErrorSample(ShapeError, "grid has 1 images and x 2", image, grid[:1]),
        ErrorSample(ShapeError, "or \\[N, C, D, H, W\\]", image[0], grid),
        ErrorSample(ShapeError, "grid \\(2, 2, 2, 2, 2\\)", image, np.zeros((2,) * 5)),
        ErrorSample(ShapeError, "0 pixels", image[:, :, :0], grid),
        ErrorSample(ShapeError, "'bicubic'", image[None], np.zeros((1, 1, 1, 1, 3)), "bicubic"),
        ErrorSample(ArgumentError, "did you mean 'bilinear'", image, grid, "billinear"),
        ErrorSample(
            ArgumentError, "'zeros', .*did you mean 'border'", image, grid, "nearest", "boarder"
        ),
        ErrorSample(DTypeError, "grid int64", image, np.zeros((2, 2, 2, 2), np.int64)),
    ]


grid_sample = operation(
    "grid_sample(x, grid, mode: str = 'bilinear', padding_mode: str = 'zeros', "
    "align_corners: bool? = None)",
    doc="""Images and volumes read at any places, between pixels too.

    y[n, :, p] = sum over pixels q of w(place(n, p) - q) x[n, :, q], where grid[n, p] = (x, y) or
    (x, y, z) names the place: -1 and 1 are the outer edges of the first and last pixels, or their
    centres with align_corners. mode: bilinear (trilinear for volumes), nearest (half to even), or
    bicubic (Keys' cubic of slope -3/4; images only). Outside: zeros; border: the nearest pixel of
    the border; reflection: the place reflected at the edges.

    x: [N, C, H, W], grid: [N, H_out, W_out, 2] -> [N, C, H_out, W_out]; or x: [N, C, D, H, W],
    grid: [N, D_out, H_out, W_out, 3] -> [N, C, D_out, H_out, W_out]; one float dtype. The order of
    axes in memory is x's. Places that are NaN read 0, or the first pixel where the border is read.

    Raises ShapeError for other shapes and for images without pixels, DTypeError for two dtypes,
    ArgumentError for unknown modes. Source: PyTorch, `torch.nn.functional.grid_sample`; Jaderberg
    et al., Spatial Transformer Networks, 2015.

    >>> x = samara.tensor([[[[0.0, 4.0]]]])
    >>> samara.grid_sample(x, samara.zeros(1, 1, 1, 2)).tolist()
    [[[[2.0]]]]
    """,
    ref=_grid_sample_ref,
    grad=_grid_sample_grad,
    onnx="GridSample",
    ulp=64,
    condition="max",
    samples=_grid_samples,
    errors=_grid_errors,
    methods=(),
)


# --- affine_grid ---------------------------------------------------------------------------------


def _steps_ref(count: int, align: bool) -> Any:
    if count == 1:
        return np.zeros(1)
    return np.linspace(-1, 1, count) * (1 if align else (count - 1) / count)


def _affine_grid_ref(theta: Any, size: Any, align_corners: Any = None) -> Any:
    steps = [_steps_ref(count, bool(align_corners)) for count in size[2:]]
    places = np.stack([*np.meshgrid(*steps, indexing="ij")[::-1], np.ones(size[2:])], -1)
    return np.einsum("...k,njk->n...j", places, theta)


def _steps(count: int, like: Tensor, align: bool) -> Tensor:
    if count == 1:
        return zeros((1,), dtype=like.dtype, device=like.device)
    end = 1.0 if align else (count - 1) / count
    y: Tensor = linspace(-end, end, count, dtype=like.dtype, device=like.device)
    return y


@composite(
    "affine_grid(theta, size: ints, align_corners: bool? = None)",
    doc="""The places that affine maps send the pixels of an image or a volume to, for grid_sample.

    y[n, h, w] = theta[n] (x_w, y_h, 1) with the pixels' places from -1 to 1 (their centres; the
    outermost lie at -1 and 1 with align_corners); volumes alike with (x_w, y_h, z_d, 1).

    theta: [N, 2, 3] float and size (N, C, H, W) -> [N, H, W, 2]; theta: [N, 3, 4] and size
    (N, C, D, H, W) -> [N, D, H, W, 3].

    Raises ShapeError for other shapes and for sizes below 1.
    Source: PyTorch, `torch.nn.functional.affine_grid`.

    >>> theta = samara.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> samara.affine_grid(theta, (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """,
    ref=_affine_grid_ref,
    ulp=16,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 3)), (2, 1, 3, 4)),
        Sample(rng.normal(size=(2, 2, 3)), (2, 3, 4, 5), align_corners=True),
        Sample(rng.normal(size=(1, 3, 4)), (1, 1, 2, 3, 4)),
        Sample(rng.normal(size=(1, 3, 4)), (1, 1, 2, 3, 1), True),
        Sample(rng.normal(size=(1, 2, 3)), (1, 1, 1, 1)),
        Sample(rng.normal(size=(0, 2, 3)), (0, 1, 2, 2)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "theta has shape \\(2, 3\\)", np.ones((2, 3)), (1, 1, 2, 2)),
        ErrorSample(ShapeError, "Expected \\(2, 3, 4\\)", np.ones((2, 2, 3)), (2, 1, 2, 2, 2)),
        ErrorSample(ShapeError, "Expected \\(3, 2, 3\\)", np.ones((2, 2, 3)), (3, 1, 2, 2)),
        ErrorSample(ShapeError, "size is \\(1, 1, 0, 2\\)", np.ones((1, 2, 3)), (1, 1, 0, 2)),
        ErrorSample(ShapeError, "size is \\(1, 2, 2\\)", np.ones((1, 2, 3)), (1, 2, 2)),
    ],
    methods=(),
)
def affine_grid(
    theta: Tensor, size: int | Sequence[int], align_corners: bool | None = None
) -> Tensor:
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if len(sizes) not in (4, 5) or min(sizes[2:]) < 1:
        raise ShapeError(
            f"affine_grid: size is {sizes}. Expected (N, C, H, W) or (N, C, D, H, W) with at least "
            "one pixel. Fix: pass the shape of the image to be made."
        )
    count = len(sizes) - 2
    require_dtype("affine_grid", theta, FLOAT, "theta")
    if tuple(theta.shape) != (sizes[0], count, count + 1):
        raise ShapeError(
            f"affine_grid: theta has shape {tuple(theta.shape)} for size {sizes}. Expected "
            f"{(sizes[0], count, count + 1)}. Fix: pass one matrix per image."
        )
    parts = []
    for i in range(count):  # x, y, z: the last axis first
        steps = _steps(sizes[-1 - i], theta, bool(align_corners))
        parts.append(broadcast_to(reshape(steps, (-1,) + (1,) * i), sizes[2:]))
    places = stack([*parts, ones_like(parts[0])], axis=-1)
    rows = reshape(places, (1, -1, count + 1))
    y: Tensor = matmul(rows, theta.mT)
    return reshape(y, (sizes[0], *sizes[2:], count))


__all__ = ["affine_grid", "grid_sample", "interpolate"]
