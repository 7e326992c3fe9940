"""Windows for spectra, and orthogonal polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.errors import ArgumentError
from samara.ops.checks import require_dtype
from samara.ops.creation import arange, ones
from samara.ops.record import FLOAT, ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.ops.special import i0
from samara.tensor import Tensor

# --- windows --------------------------------------------------------------------------------------

_OPTIONS = "dtype: dtype? = None, device: device? = None, requires_grad: bool = False"


def _window_samples(*settings: dict[str, Any]) -> Callable[..., list[Sample]]:
    return lambda rng: [
        *(
            Sample(size, periodic, **setting)
            for setting in settings or ({},)
            for size in (8, 7)
            for periodic in (True, False)
        ),
        Sample(1),
        Sample(0),
    ]


def _window_errors() -> list[ErrorSample]:
    return [ErrorSample(ArgumentError, "window_length is -1", -1)]


def _phase_ref(n: int, periodic: bool) -> Any:
    return np.arange(n) / (n if periodic else max(n - 1, 1))


def _cosines_ref(*terms: float) -> Callable[..., Any]:
    def ref(n: int, periodic: bool = True, alpha: Any = None, beta: Any = None) -> Any:
        if n == 1:
            return np.ones(1)
        used = terms if alpha is None else (alpha, beta)
        phase = 2 * np.pi * _phase_ref(n, periodic)
        return sum((-1) ** k * a * np.cos(k * phase) for k, a in enumerate(used)) + np.zeros(n)

    return ref


def _phase(
    place: str, window_length: int, periodic: bool, dtype: DType | None, device: Any
) -> Tensor | None:
    """0 to 1 over the window, in float64; None for a window of one element."""
    if window_length < 0:
        raise ArgumentError(
            f"{place}: window_length is {window_length}. Expected 0 or more. Fix: correct it."
        )
    if dtype is not None and dtype not in FLOAT:
        raise ArgumentError(
            f"{place}: dtype is {dtype}. Expected a floating-point dtype. Fix: leave it out."
        )
    if window_length == 1:
        return None
    steps = arange(window_length, dtype=_core.float64, device=device)
    return steps / (window_length if periodic else window_length - 1)


def _made(values: Tensor | None, dtype: DType | None, device: Any, requires_grad: bool) -> Tensor:
    wanted = dtype or _core.default_dtype()
    made: Tensor = ones(1, dtype=wanted, device=device) if values is None else values.to(wanted)
    return made.requires_grad_(requires_grad)


def _sum_of_cosines(phase: Tensor | None, *terms: float) -> Tensor | None:
    if phase is None:
        return None
    made = terms[0] - terms[1] * (2 * math.pi * phase).cos()
    for k, a in enumerate(terms[2:], 2):
        made = made + (-1) ** k * a * (2 * math.pi * k * phase).cos()
    return made


_WINDOW_DOC = """{what}. window_length: int -> [window_length].

    A periodic window, the default, is one element of a longer symmetric one short, which is what
    spectra want.

    Raises ArgumentError for a negative length. Source: PyTorch, `torch.{name}`.

    >>> [round(v, 4) for v in samara.{name}(4).tolist()]
    {answer}
    """
_BLACKMAN = (0.42, 0.5, 0.08)


@composite(
    f"hann_window(window_length: int, periodic: bool = True, *, {_OPTIONS})",
    doc=_WINDOW_DOC.format(
        what="The Hann window, sin^2(pi n / N)", name="hann_window", answer="[0.0, 0.5, 1.0, 0.5]"
    ),
    ref=_cosines_ref(0.5, 0.5),
    ulp=4,
    condition="max",
    samples=_window_samples(),
    errors=_window_errors,
    methods=(),
    differentiable=False,
)
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    phase = _phase("hann_window", window_length, periodic, dtype, device)
    return _made(_sum_of_cosines(phase, 0.5, 0.5), dtype, device, requires_grad)


@composite(
    "hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, "
    f"beta: float = 0.46, *, {_OPTIONS})",
    doc=_WINDOW_DOC.format(
        what="The Hamming window, alpha - beta cos(2 pi n / N)",
        name="hamming_window",
        answer="[0.08, 0.54, 1.0, 0.54]",
    ),
    ref=_cosines_ref(0.54, 0.46),
    ulp=4,
    condition="max",
    samples=_window_samples({}, {"alpha": 0.6, "beta": 0.4}),
    errors=_window_errors,
    methods=(),
    differentiable=False,
)
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    phase = _phase("hamming_window", window_length, periodic, dtype, device)
    return _made(_sum_of_cosines(phase, alpha, beta), dtype, device, requires_grad)


@composite(
    f"blackman_window(window_length: int, periodic: bool = True, *, {_OPTIONS})",
    doc=_WINDOW_DOC.format(
        what="The Blackman window, 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)",
        name="blackman_window",
        answer="[-0.0, 0.34, 1.0, 0.34]",
    ),
    ref=_cosines_ref(*_BLACKMAN),
    ulp=4,
    condition="max",
    samples=_window_samples(),
    errors=_window_errors,
    methods=(),
    differentiable=False,
)
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    phase = _phase("blackman_window", window_length, periodic, dtype, device)
    return _made(_sum_of_cosines(phase, *_BLACKMAN), dtype, device, requires_grad)


@composite(
    f"bartlett_window(window_length: int, periodic: bool = True, *, {_OPTIONS})",
    doc=_WINDOW_DOC.format(
        what="The Bartlett window, 1 - |2 n / N - 1|",
        name="bartlett_window",
        answer="[0.0, 0.5, 1.0, 0.5]",
    ),
    ref=lambda n, periodic=True: (
        np.ones(1) if n == 1 else 1 - np.abs(2 * _phase_ref(n, periodic) - 1)
    ),
    ulp=4,
    condition="max",
    samples=_window_samples(),
    errors=_window_errors,
    methods=(),
    differentiable=False,
)
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    phase = _phase("bartlett_window", window_length, periodic, dtype, device)
    values = None if phase is None else 1 - (2 * phase - 1).abs()
    return _made(values, dtype, device, requires_grad)


@composite(
    f"kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, {_OPTIONS})",
    doc=_WINDOW_DOC.format(
        what="The Kaiser window, I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta)",
        name="kaiser_window",
        answer="[0.0001, 0.2157, 1.0, 0.2157]",
    ),
    ref=lambda n, periodic=True, beta=12.0: (
        np.ones(1)
        if n == 1
        else np.i0(beta * np.sqrt(1 - (2 * _phase_ref(n, periodic) - 1) ** 2)) / np.i0(beta)
    ),
    ulp=16,
    condition="max",
    samples=_window_samples({}, {"beta": 4.0}),
    errors=_window_errors,
    methods=(),
    differentiable=False,
)
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    phase = _phase("kaiser_window", window_length, periodic, dtype, device)
    if phase is None:
        return _made(None, dtype, device, requires_grad)
    inside = (1 - (2 * phase - 1) ** 2).clamp(min=0.0)
    values = i0(beta * inside.sqrt()) / i0(inside.new_full((), beta))
    return _made(values, dtype, device, requires_grad)


# --- orthogonal polynomials -----------------------------------------------------------------------

Step = Callable[[Any, Any, Any, int], Any]


def _chebyshev(x: Any, p: Any, before: Any, k: int) -> Any:
    return 2 * x * p - before


def _hermite(x: Any, p: Any, before: Any, k: int) -> Any:
    return 2 * x * p - 2 * k * before


def _hermite_e(x: Any, p: Any, before: Any, k: int) -> Any:
    return x * p - k * before


def _laguerre(x: Any, p: Any, before: Any, k: int) -> Any:
    return ((2 * k + 1 - x) * p - k * before) / (k + 1)


def _legendre(x: Any, p: Any, before: Any, k: int) -> Any:
    return ((2 * k + 1) * x * p - k * before) / (k + 1)


_POLYNOMIALS: dict[str, tuple[Callable[[Any], Any], Step, str]] = {
    "chebyshev_polynomial_t": (lambda x: x, _chebyshev, "2 x p(n) - p(n - 1), p(1) = x"),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _chebyshev, "2 x p(n) - p(n - 1), p(1) = 2 x"),
    "chebyshev_polynomial_v": (
        lambda x: 2 * x - 1,
        _chebyshev,
        "2 x p(n) - p(n - 1), p(1) = 2 x - 1",
    ),
    "chebyshev_polynomial_w": (
        lambda x: 2 * x + 1,
        _chebyshev,
        "2 x p(n) - p(n - 1), p(1) = 2 x + 1",
    ),
    "hermite_polynomial_h": (lambda x: 2 * x, _hermite, "2 x p(n) - 2 n p(n - 1), p(1) = 2 x"),
    "hermite_polynomial_he": (lambda x: x, _hermite_e, "x p(n) - n p(n - 1), p(1) = x"),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        _laguerre,
        "((2 n + 1 - x) p(n) - n p(n - 1)) / (n + 1), p(1) = 1 - x",
    ),
    "legendre_polynomial_p": (
        lambda x: x,
        _legendre,
        "((2 n + 1) x p(n) - n p(n - 1)) / (n + 1), p(1) = x",
    ),
}


def _terms(x: Any, first: Callable[[Any], Any], step: Step, count: int) -> list[Any]:
    terms = [x * 0 + 1, first(x)]
    for k in range(1, count):
        terms.append(step(x, terms[-1], terms[-2], k))
    return terms


def _polynomial(name: str, shifted: bool = False) -> Callable[..., Any]:
    first, step, rule = _POLYNOMIALS[name]
    public = f"shifted_{name}" if shifted else name

    def moved(x: Any) -> Any:
        return 2 * x - 1 if shifted else x

    def ref(x: Any, n: int) -> Any:
        return _terms(moved(x), first, step, max(n, 1))[n]

    def evaluate(x: Tensor, n: Any) -> Tensor:
        require_dtype(public, x, FLOAT)
        at = moved(x)
        if not isinstance(n, Tensor):
            terms: list[Tensor] = _terms(at, first, step, max(int(n), 1))
            return terms[int(n)] if n >= 0 else terms[0] * 0
        highest = int(n.max().item()) if n.numel() else 0
        made: Tensor = at * 0 + (n * 0).to(x.dtype)
        for k, term in enumerate(_terms(at, first, step, max(highest, 1))):
            made = where(n == k, term, made)
        return made

    where_text = ", at 2 x - 1" if shifted else ""
    evaluate.__module__ = __name__
    return composite(
        f"{public}(x, n: any)",
        doc=f"""The polynomial p(n) with p(0) = 1 and p(n + 1) = {rule}{where_text}.

        x: [*A] float, n: an int or [*B] int -> [*S]; 0 for n < 0.

        Raises DTypeError for what is no float. Source: PyTorch, `torch.special.{public}`.

        >>> samara.{public}(samara.tensor([1.0]), 0).tolist()
        [1.0]
        """,
        ref=ref,
        ulp=64,
        condition="max",
        samples=lambda rng: [
            Sample(rng.uniform(0.1, 0.9, size=(3, 4)), 3),
            Sample(rng.uniform(0.1, 0.9, size=5), 6),
            Sample(rng.uniform(0.1, 0.9, size=()), 1),
        ],
        errors=lambda: [ErrorSample(TypeError, "a tensor", "text", 1)],
        methods=(),
    )(evaluate)


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w")
shifted_chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", shifted=True)
shifted_chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", shifted=True)
shifted_chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", shifted=True)
shifted_chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", shifted=True)
hermite_polynomial_h = _polynomial("hermite_polynomial_h")
hermite_polynomial_he = _polynomial("hermite_polynomial_he")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l")
legendre_polynomial_p = _polynomial("legendre_polynomial_p")
