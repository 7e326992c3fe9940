"""Discrete Fourier transforms.

Three native operations do the work: complex to complex, real to half a spectrum, and back. Each is
its own adjoint up to direction, so the gradients are transforms again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.device import resolve
from samara.dtypes import ALL, BOOL, COMPLEX, INTEGER
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.creation import arange, zeros
from samara.ops.join import concat
from samara.ops.manipulation import _axes, roll
from samara.ops.record import ErrorSample, Sample, composite
from samara.tensor import Tensor

Operation = _core.Operation
STANDARD = "Python array API standard 2025.12"
REAL: tuple[DType, ...] = (_core.float32, _core.float64)
DTYPES = REAL + tuple(COMPLEX)
Ints = int | Sequence[int]


# --- gradients ------------------------------------------------------------------------------------


def _resized(x: Tensor, sizes: dict[int, int]) -> Tensor:
    """Axes cut, or filled up with zeros, to the given sizes."""
    for axis, size in sizes.items():
        have = x.shape[axis]
        if have > size:
            x = x.narrow(axis, 0, size)
        if have < size:
            shape = list(x.shape)
            shape[axis] = size - have
            x = concat([x, zeros(tuple(shape), dtype=x.dtype, device=x.device)], axis)
    return x


def _half_weights(n: int, inner: float, like: Tensor) -> Tensor:
    """1 for the terms of half a spectrum that stand alone, `inner` for those with a twin."""
    k = arange(n // 2 + 1, device=like.device)
    alone = (k == 0) | (2 * k == n)
    real = _core.float32 if like.dtype is _core.complex64 else _core.float64
    weights: Tensor = alone.astype(real) * (1 - inner) + inner
    return weights


def _along(x: Tensor, axis: int) -> Tensor:
    """A vector that broadcasts along `axis` (from the end)."""
    return x.reshape((-1,) + (1,) * (-1 - axis))


def _complex_grad(
    g: Tensor, x: Tensor, y: Tensor, *, axis: Any, n: Any, forward: bool, scale: float
) -> Tensor:
    back = _complex(g, axis, n, not forward, scale)
    return _resized(back, {a: x.shape[a] for a in axis})


def _from_real_grad(
    g: Tensor, x: Tensor, y: Tensor, *, axis: Any, n: Any, forward: bool, scale: float
) -> Tensor:
    last = axis[-1]
    weights = _along(_half_weights(n[-1], 0.5, g), last - x.ndim)
    back = _to_real(g * weights, axis, n, not forward, scale)
    return _resized(back, {a: x.shape[a] for a in axis})


def _to_real_grad(
    g: Tensor, x: Tensor, y: Tensor, *, axis: Any, n: Any, forward: bool, scale: float
) -> Tensor:
    last = axis[-1]
    back = _from_real(g, axis, n, not forward, scale)
    back = back * _along(_half_weights(n[-1], 2.0, back), last - x.ndim)
    return _resized(back, {a: x.shape[a] for a in axis})


_PARAMETERS = "(x, axis: ints, n: ints, forward: bool, scale: float)"
_complex: Callable[..., Tensor] = Operation(
    f"fft_complex{_PARAMETERS}", "fft_complex", rule=_complex_grad
)
_from_real: Callable[..., Tensor] = Operation(
    f"fft_from_real{_PARAMETERS}", "fft_from_real", rule=_from_real_grad
)
_to_real: Callable[..., Tensor] = Operation(
    f"fft_to_real{_PARAMETERS}", "fft_to_real", rule=_to_real_grad
)


# --- arguments ------------------------------------------------------------------------------------


def _tensor(place: str, x: Any, *, real: bool = False) -> Tensor:
    """X as floating-point numbers; integers take the default dtype."""
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: argument 'x' has type {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )
    if x.dtype in BOOL + INTEGER:
        x = x.astype(_core.default_dtype())
    if x.dtype not in (REAL if real else DTYPES):
        expected = "real numbers, float32 or float64" if real else "float32, float64 or complex"
        raise DTypeError(
            f"{place}: x has dtype {x.dtype}. Expected {expected}. Fix: convert it first, e.g. "
            "x.to(samara.float32)."
        )
    checked: Tensor = x
    return checked


def _as_complex(x: Tensor) -> Tensor:
    if x.dtype in COMPLEX:
        return x
    return x.astype(_core.complex64 if x.dtype is _core.float32 else _core.complex128)


def _scale(place: str, norm: Any, forward: bool, lengths: Sequence[int]) -> float:
    """The factor of a transform: 1 / n backward, 1 / sqrt(n) both ways, or 1 / n forward."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise ArgumentError(
            f"{place}: norm is {norm!r}. Expected 'backward', 'ortho' or 'forward'. "
            "Fix: pass one of these."
        )
    total = math.prod(lengths)
    if norm == "ortho":
        return 1.0 / math.sqrt(total)
    return 1.0 / total if forward == (norm == "forward") else 1.0


def _lengths(place: str, given: Sequence[int]) -> tuple[int, ...]:
    for n in given:
        if n < 1:
            raise ArgumentError(
                f"{place}: a transform of {n} points was asked for. Expected at least 1. Fix: pass "
                "n (or s), or a tensor that is not empty along that axis."
            )
    return tuple(given)


def _places(
    place: str, x: Tensor, s: Ints | None, axes: Ints | None, half: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes and lengths; `half`: x is half a spectrum along the last of them."""
    sizes = None if s is None else (s,) if isinstance(s, int) else tuple(s)
    if axes is None:
        count = x.ndim if sizes is None else len(sizes)
        if count > x.ndim:
            raise ShapeError(
                f"{place}: {count} lengths given for a tensor with {x.ndim} axes. Expected at most "
                f"{x.ndim}. Fix: leave some out, or reshape the tensor."
            )
        chosen = tuple(range(x.ndim - count, x.ndim))
    else:
        chosen = _axes(place, axes, x.ndim)
    if sizes is not None and len(sizes) != len(chosen):
        raise ArgumentError(
            f"{place}: {len(sizes)} lengths given for {len(chosen)} axes. Expected one for each. "
            "Fix: name as many as axes; -1 keeps a size."
        )
    natural = [x.shape[a] for a in chosen]
    if half and natural:
        natural[-1] = 2 * (natural[-1] - 1)
    if sizes is not None:
        natural = [
            size if given == -1 else given for given, size in zip(sizes, natural, strict=True)
        ]
    return chosen, _lengths(place, natural)


def _require_axes(place: str, axes: Sequence[int]) -> None:
    if not axes:
        raise ArgumentError(
            f"{place}: no axis was named. Expected at least one. Fix: name the axes to transform."
        )


# --- transforms over axes -------------------------------------------------------------------------


def _complex_transform(place: str, x: Any, s: Any, axes: Any, norm: Any, forward: bool) -> Tensor:
    x = _tensor(place, x)
    chosen, lengths = _places(place, x, s, axes)
    scale = _scale(place, norm, forward, lengths)
    return _complex(_as_complex(x), chosen, lengths, forward, scale)


def _half_transform(place: str, x: Any, s: Any, axes: Any, norm: Any, forward: bool) -> Tensor:
    x = _tensor(place, x, real=True)
    chosen, lengths = _places(place, x, s, axes)
    _require_axes(place, chosen)
    return _from_real(x, chosen, lengths, forward, _scale(place, norm, forward, lengths))


def _real_transform(place: str, x: Any, s: Any, axes: Any, norm: Any, forward: bool) -> Tensor:
    x = _tensor(place, x)
    chosen, lengths = _places(place, x, s, axes, half=True)
    _require_axes(place, chosen)
    scale = _scale(place, norm, forward, lengths)
    return _to_real(_as_complex(x), chosen, lengths, forward, scale)


# --- samples and records --------------------------------------------------------------------------


def _line_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=8)),
        Sample(rng.normal(size=(3, 7))),
        Sample(rng.normal(size=(2, 6, 3)), axis=1),
        Sample(rng.normal(size=(5, 4)), n=3),
        Sample(rng.normal(size=(5, 4)), n=9, axis=0, norm="ortho"),
        Sample(rng.normal(size=(2, 30)), norm="forward"),
        Sample(rng.normal(size=(3, 2)), norm="backward"),
        Sample(rng.normal(size=(2, 1)), n=1),
        Sample(np.zeros((0, 4))),
    ]


def _line_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 1 is out of range", np.ones(3), axis=1),
        ErrorSample(ArgumentError, "0 points", np.ones(3), n=0),
        ErrorSample(ArgumentError, "points was asked for", np.ones((2, 0))),
        ErrorSample(ArgumentError, "norm is 'x'", np.ones(3), norm="x"),
        ErrorSample(IndexError, "0-d tensor", np.ones(())),
    ]


def _plane_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(4, 6))),
        Sample(rng.normal(size=(2, 3, 5))),
        Sample(rng.normal(size=(2, 5, 4)), axes=(0, 1)),
        Sample(rng.normal(size=(3, 4, 5)), s=(4, 3), axes=(-1, 0), norm="ortho"),
        Sample(rng.normal(size=(3, 4)), norm="forward"),
        Sample(rng.normal(size=(2, 3)), s=(1, 2), axes=(0, 1)),
        Sample(np.zeros((0, 2, 3)), axes=(1, 2)),
    ]


def _plane_errors() -> list[ErrorSample]:
    return [
        ErrorSample(IndexError, "axis 2 is out of range", np.ones((2, 2)), axes=(0, 2)),
        ErrorSample(ArgumentError, "name an axis twice", np.ones((2, 2)), axes=(0, -2)),
        ErrorSample(ArgumentError, "0 points", np.ones((2, 2)), s=(2, 0), axes=(0, 1)),
        ErrorSample(ArgumentError, "1 lengths given for 2 axes", np.ones((2, 2)), (2,), (0, 1)),
        ErrorSample(ArgumentError, "norm is 'x'", np.ones((2, 2)), norm="x"),
    ]


_NORM = """norm: where the factor 1 / n stands: 'backward' (the inverse, default), 'forward', or
    'ortho', 1 / sqrt(n) both ways."""
_FAILS = """Raises ArgumentError for fewer than 1 point or another norm, IndexOutOfRangeError for an
    axis that does not exist, DTypeError for half precision"""

Transform = Callable[[str, Any, Any, Any, Any, bool], Tensor]
ANY = (*BOOL, *INTEGER, *REAL, *COMPLEX)
NOT_COMPLEX = (*BOOL, *INTEGER, *REAL)
_SHAPES: dict[Any, str] = {
    _complex_transform: "[*S] -> [*S] complex",
    _half_transform: "[*S] real -> [*S] complex, n // 2 + 1 along the last axis transformed",
    _real_transform: "[*S] with n // 2 + 1 along the last axis transformed (the rest is the "
    "mirror image) -> [*S] real, n = 2 (size - 1) unless given",
}


def _line(
    name: str, text: str, transform: Transform, forward: bool, example: str
) -> Callable[..., Tensor]:
    """A transform along one axis."""
    place = f"fft.{name}"
    real = transform is _half_transform

    @composite(
        f"{place}(x, n: int? = None, axis: int = -1, norm: str? = 'backward')",
        doc=f"""{text}

    x: {_SHAPES[transform]}.

    n: the length; x is cut or filled up with zeros to it. {_NORM}

    {_FAILS}{" or complex" if real else ""}.
    Source: {STANDARD}, `{place}`.

    {example}
    """,
        ref=getattr(np.fft, name),
        dtypes=NOT_COMPLEX if real else ANY,
        ulp=8,
        condition="max",
        samples=_line_samples,
        errors=_line_errors,
    )
    def run(
        x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward"
    ) -> Tensor:
        if not isinstance(axis, int):
            raise DTypeError(f"{place}: axis {axis!r} given. Expected an int. Fix: pass one.")
        if n is None:
            return transform(place, x, None, axis, norm, forward)
        if isinstance(n, bool) or not isinstance(n, int):
            raise DTypeError(f"{place}: n is {n!r}. Expected an int. Fix: pass the length.")
        return transform(place, x, _lengths(place, (n,)), axis, norm, forward)

    return run


def _volume(
    name: str,
    text: str,
    transform: Transform,
    forward: bool,
    example: str,
    ref: Callable[..., Any],
    source: str = STANDARD,
) -> None:
    """The same over several axes, under name + "n", and over two, under name + "2"."""
    real = transform is _half_transform
    about = f"""{text}

    x: {_SHAPES[transform]}.

    s: a length for each axis, -1 keeps it; x is cut or filled up with zeros to it. {_NORM}

    {_FAILS}{" or complex" if real else ""}."""

    @composite(
        f"fft.{name}n(x, s: ints? = None, axes: ints? = None, norm: str? = 'backward')",
        doc=f"""{about} The axes are all, or the last len(s), unless named.
    Source: {source}, `fft.{name}n`.

    {example.format(name=name + "n")}
    """,
        ref=ref,
        dtypes=NOT_COMPLEX if real else ANY,
        ulp=8,
        condition="max",
        samples=_plane_samples,
        errors=_plane_errors,
    )
    def run(
        x: Tensor, s: Ints | None = None, axes: Ints | None = None, norm: str | None = "backward"
    ) -> Tensor:
        return transform(f"fft.{name}n", x, s, axes, norm, forward)

    @composite(
        f"fft.{name}2(x, s: ints? = None, axes: ints = (-2, -1), norm: str? = 'backward')",
        doc=f"""{about} The axes are the last two unless named.
    Source: PyTorch, `torch.fft.{name}2`.

    {example.format(name=name + "2")}
    """,
        ref=lambda x, s=None, axes=(-2, -1), norm=None: ref(x, s, axes, norm),
        dtypes=NOT_COMPLEX if real else ANY,
        ulp=8,
        condition="max",
        samples=_plane_samples,
        errors=_plane_errors,
    )
    def run_plane(
        x: Tensor, s: Ints | None = None, axes: Ints = (-2, -1), norm: str | None = "backward"
    ) -> Tensor:
        return transform(f"fft.{name}2", x, s, axes, norm, forward)


def _hermitian_ref(x: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else tuple(axes)
    for place, axis in enumerate(axes[:-1]):
        x = np.fft.fft(x, None if s is None else s[place], axis, norm)
    return np.fft.hfft(x, None if s is None else s[-1], axes[-1], norm)


def _inverse_hermitian_ref(x: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else tuple(axes)
    x = np.fft.ihfft(x, None if s is None else s[-1], axes[-1], norm)
    for place, axis in enumerate(axes[:-1]):
        x = np.fft.ifft(x, None if s is None else s[place], axis, norm)
    return x


_line(
    "fft",
    "The discrete Fourier transform along an axis, y_k = sum_j x_j exp(-2 pi i j k / n).",
    _complex_transform,
    True,
    """>>> samara.fft.fft(samara.tensor([1.0, 0.0, -1.0, 0.0])).tolist()
    [0j, (2+0j), 0j, (2+0j)]""",
)
_line(
    "ifft",
    "The inverse of `fft.fft`, x_j = 1/n sum_k y_k exp(2 pi i j k / n).",
    _complex_transform,
    False,
    """>>> samara.fft.ifft(samara.fft.fft(samara.tensor([1.0, 3.0]))).tolist()
    [(1+0j), (3+0j)]""",
)
_line(
    "rfft",
    "`fft.fft` of real numbers: the first half, whose mirror image the rest is.",
    _half_transform,
    True,
    """>>> samara.fft.rfft(samara.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j)]""",
)
_line(
    "irfft",
    "The inverse of `fft.rfft`.",
    _real_transform,
    False,
    """>>> samara.fft.irfft(samara.fft.rfft(samara.tensor([1.0, 2.0, 3.0, 4.0]))).tolist()
    [1.0, 2.0, 3.0, 4.0]""",
)
_line(
    "hfft",
    "`fft.fft` of a signal with mirror symmetry, of which x is the first half; the result is real.",
    _real_transform,
    True,
    """>>> samara.fft.hfft(samara.tensor([1.0, 0.0, 0.0])).tolist()
    [1.0, 1.0, 1.0, 1.0]""",
)
_line(
    "ihfft",
    "The inverse of `fft.hfft`: `fft.ifft` of real numbers, the first half.",
    _half_transform,
    False,
    """>>> samara.fft.ihfft(samara.tensor([4.0, 0.0])).tolist()
    [(2+0j), (2+0j)]""",
)
_volume(
    "fft",
    "The discrete Fourier transform over several axes.",
    _complex_transform,
    True,
    """>>> samara.fft.{name}(samara.ones(2, 2)).tolist()
    [[(4+0j), 0j], [0j, 0j]]""",
    np.fft.fftn,
)
_volume(
    "ifft",
    "The inverse transform over several axes.",
    _complex_transform,
    False,
    """>>> samara.fft.{name}(samara.ones(2, 2)).tolist()
    [[(1+0j), 0j], [0j, 0j]]""",
    np.fft.ifftn,
)
_volume(
    "rfft",
    "The transform of real numbers over several axes, the last of which keeps its first half.",
    _half_transform,
    True,
    """>>> samara.fft.{name}(samara.ones(2, 4)).shape
    (2, 3)""",
    np.fft.rfftn,
)
_volume(
    "irfft",
    "The inverse of `fft.rfftn`.",
    _real_transform,
    False,
    """>>> samara.fft.{name}(samara.ones(2, 3)).shape
    (2, 4)""",
    np.fft.irfftn,
)
_volume(
    "hfft",
    "The transform over several axes of a signal with mirror symmetry, given by its first half.",
    _real_transform,
    True,
    """>>> samara.fft.{name}(samara.ones(2, 3)).shape
    (2, 4)""",
    _hermitian_ref,
    "PyTorch, `torch.fft`",
)
_volume(
    "ihfft",
    "The inverse of `fft.hfftn`.",
    _half_transform,
    False,
    """>>> samara.fft.{name}(samara.ones(2, 4)).shape
    (2, 3)""",
    _inverse_hermitian_ref,
    "PyTorch, `torch.fft`",
)


# --- frequencies ----------------------------------------------------------------------------------


def _frequency(place: str, k: Tensor, n: int, d: float, dtype: Any) -> Tensor:
    dtype = _core.default_dtype() if dtype is None else dtype
    if dtype not in DTYPES:
        raise DTypeError(
            f"{place}: dtype is {dtype}. Expected float32, float64 or complex. "
            "Fix: pass one of these."
        )
    return k.astype(_core.float64).divide(n * d).astype(dtype)


def _positive(place: str, n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int):
        raise DTypeError(f"{place}: n is {n!r}. Expected an int. Fix: pass the number of points.")
    if n < 1:
        raise ArgumentError(
            f"{place}: n is {n}. Expected at least 1. Fix: pass the window's length."
        )


def _frequency_errors() -> list[ErrorSample]:
    return [
        ErrorSample(ArgumentError, "n is 0", 0),
        ErrorSample(DTypeError, "n is 2.5", 2.5),
    ]


_OPTIONS = "*, dtype: dtype? = None, device: device? = None"


@composite(
    f"fft.fftfreq(n: int, d: float = 1.0, {_OPTIONS})",
    doc=f"""The frequencies of the terms of `fft.fft`, [0, 1, ..., -2, -1] / (n d).

    n points that are d apart -> [n]. Raises ArgumentError for n < 1.
    Source: {STANDARD}, `fft.fftfreq`.

    >>> samara.fft.fftfreq(4, 0.5).tolist()
    [0.0, 0.5, -1.0, -0.5]
    """,
    ref=lambda n, d=1.0, dtype=None, device=None: np.fft.fftfreq(n, d),
    ulp=1,
    samples=lambda rng: [Sample(8), Sample(7, 0.25), Sample(1)],
    errors=_frequency_errors,
    methods=(),
    differentiable=False,
)
def fftfreq(
    n: int, d: float = 1.0, *, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    _positive("fft.fftfreq", n)
    k = arange(n, device=resolve(device))
    return _frequency("fft.fftfreq", k - n * (k > (n - 1) // 2).astype(_core.int64), n, d, dtype)


@composite(
    f"fft.rfftfreq(n: int, d: float = 1.0, {_OPTIONS})",
    doc=f"""The frequencies of the terms of `fft.rfft`, [0, 1, ..., n // 2] / (n d).

    n points that are d apart -> [n // 2 + 1]. Raises ArgumentError for n < 1.
    Source: {STANDARD}, `fft.rfftfreq`.

    >>> samara.fft.rfftfreq(4, 0.5).tolist()
    [0.0, 0.5, 1.0]
    """,
    ref=lambda n, d=1.0, dtype=None, device=None: np.fft.rfftfreq(n, d),
    ulp=1,
    samples=lambda rng: [Sample(8), Sample(7, 0.25), Sample(1)],
    errors=_frequency_errors,
    methods=(),
    differentiable=False,
)
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    _positive("fft.rfftfreq", n)
    return _frequency("fft.rfftfreq", arange(n // 2 + 1, device=resolve(device)), n, d, dtype)


def _shift_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=7)),
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 5, 4)), axes=(0, 1)),
        Sample(rng.normal(size=(3, 5)), axes=-1),
        Sample(np.zeros((0, 3))),
    ]


def _shifted(place: str, x: Tensor, axes: Any, sign: int) -> Tensor:
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"{place}: argument 'x' has type {type(x).__name__}. Expected a tensor. "
            "Fix: convert it with samara.asarray(...)."
        )
    chosen = tuple(range(x.ndim)) if axes is None else _axes(place, axes, x.ndim)
    steps = tuple(sign * (x.shape[a] // 2) for a in chosen)
    return roll(x, steps, chosen) if chosen else x.clone()


@composite(
    "fft.fftshift(x, axes: ints? = None)",
    doc=f"""The zero frequency moved to the middle of each axis (all unless named). x: [*S] -> [*S].

    Raises IndexOutOfRangeError for an axis that does not exist.
    Source: {STANDARD}, `fft.fftshift`.

    >>> samara.fft.fftshift(samara.fft.fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """,
    ref=np.fft.fftshift,
    dtypes=ALL,
    ulp=0,
    samples=_shift_samples,
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones(3), 2)],
)
def fftshift(x: Tensor, axes: Ints | None = None) -> Tensor:
    return _shifted("fft.fftshift", x, axes, 1)


@composite(
    "fft.ifftshift(x, axes: ints? = None)",
    doc=f"""The inverse of `fft.fftshift`. x: [*S] -> [*S].

    Raises IndexOutOfRangeError for an axis that does not exist.
    Source: {STANDARD}, `fft.ifftshift`.

    >>> samara.fft.ifftshift(samara.tensor([-2, -1, 0, 1])).tolist()
    [0, 1, -2, -1]
    """,
    ref=np.fft.ifftshift,
    dtypes=ALL,
    ulp=0,
    samples=_shift_samples,
    errors=lambda: [ErrorSample(IndexError, "axis 2 is out of range", np.ones(3), 2)],
)
def ifftshift(x: Tensor, axes: Ints | None = None) -> Tensor:
    return _shifted("fft.ifftshift", x, axes, -1)
