"""Special functions: gamma, error, Bessel and zeta functions, and the products with logarithms.

They are computed in float64, also for narrower dtypes, which are rounded once: there the error is
half a unit in the last place. The bounds of the records are those of float64, held to mpmath.
`samara.special` has them under the names of `torch.special`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import samara._core as _core
from samara.errors import ArgumentError
from samara.ops.checks import require_dtype
from samara.ops.elementary import cos, exp
from samara.ops.pointwise import REAL_INPUTS, unary
from samara.ops.record import FLOAT, ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor, asarray

ROOT_PI = math.sqrt(math.pi)
PYTORCH = "PyTorch, `torch.special.{}`"


def _mpmath() -> Any:
    """The tests' oracle; the package runs without it."""
    return importlib.import_module("mpmath")


def _exact(name: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Mpmath's function of that name on arrays; an oracle for tests, where mpmath is installed."""

    def reference(*arrays: Any) -> Any:
        mpmath = _mpmath()

        call = function or getattr(mpmath, name)
        with mpmath.workdps(40):

            def one(*values: float) -> float:
                return float(mpmath.re(call(*(mpmath.mpf(float(v)) for v in values))))

            return np.vectorize(one, otypes=[np.float64])(*arrays)

    return reference


def _at(reference: Callable[..., Any], *known: tuple[Any, Any]) -> Callable[..., Any]:
    """A reference with the values of a function where its definition is a limit."""

    def of(x: Any) -> Any:
        result = np.empty(np.shape(x))
        flat, source = result.reshape(-1), np.asarray(x, np.float64).reshape(-1)
        for i, value in enumerate(source):
            for condition, answer in known:
                if condition(value):
                    flat[i] = answer(value) if callable(answer) else answer
                    break
            else:
                flat[i] = reference(value)
        return result

    return of


def _is(*values: float) -> Callable[[float], bool]:
    return lambda x: any(x == v or (v != v and x != x) for v in values)


NAN = (_is(math.nan), math.nan)
_TINY = (1e-40, 1e-310, 1e-5)

# --- the gamma function ---------------------------------------------------------------------------


def _digamma_gradient(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return g * polygamma(1, x)


def _polygamma_gradient(g: Tensor, x: Tensor, y: Tensor, *, n: float) -> Tensor:
    return g * polygamma(int(n) + 1, x)


digamma = unary(
    "digamma(x)",
    "The derivative of log Gamma(x). At +0 -inf, at -0 inf, NaN at negative whole numbers; next to "
    "the zeros on the negative side only the absolute error is small.",
    ref=_at(
        _exact("digamma"),
        NAN,
        (_is(math.inf), math.inf),
        (_is(-math.inf), math.nan),
        (_is(0.0), lambda x: -math.copysign(math.inf, x)),
        (lambda x: x < 0 and x == math.floor(x), math.nan),
    ),
    grad=_digamma_gradient,
    span=(0.2, 12.0),
    edges=(0.0, -0.0, 0.5, -0.25, 1.0, -1.0, 1.4616321449683623, 2.5, 1e4, 1e10, -2.5, -3.7)
    + (math.inf, -math.inf, math.nan, *_TINY),
    ulp=4,
    aliases=("psi",),
    methods=("digamma",),
    source=PYTORCH.format("digamma"),
    example=("round(samara.digamma(samara.tensor(1.0)).item(), 4)", "-0.5772"),
)

lgamma = unary(
    "lgamma(x)",
    "log |Gamma(x)|; inf at 0 and the negative whole numbers.",
    ref=_at(
        _exact("loggamma"),
        NAN,
        (_is(math.inf, -math.inf), math.inf),
        (lambda x: x <= 0 and x == math.floor(x), math.inf),
    ),
    grad=lambda g, x, y: g * digamma(x),
    span=(0.2, 12.0),
    edges=(0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 2.5, 1e4, -2.25, math.inf, math.nan, *_TINY),
    ulp=4,
    aliases=("gammaln",),
    methods=("lgamma",),
    source=PYTORCH.format("gammaln"),
    example=("samara.lgamma(samara.tensor([1.0, 3.0])).exp().round().tolist()", "[1.0, 2.0]"),
)


def _polygamma_ref(n: int, x: Any) -> Any:
    known = [NAN, (_is(math.inf), 0.0 if n else math.inf)]
    if n:
        known.append((lambda v: v <= 0 and v == math.floor(v), math.inf))
    whole = _at(_exact("", lambda v: _mpmath().polygamma(n, v)), *known)
    sign = -1 if n > 1 and n % 2 == 0 else 1

    def signed(x: Any) -> Any:
        y = whole(x)
        pole = (np.asarray(x) <= 0) & (np.asarray(x) == np.floor(x)) if n else False
        return np.where(pole, sign * np.abs(y), y)

    return signed(np.asarray(x, np.float64))


_polygamma: Callable[..., Tensor] = _core.Operation(
    "polygamma(x, n: float)", "polygamma", rule=_polygamma_gradient
)


@composite(
    "polygamma(n: int, x)",
    doc="""The n-th derivative of digamma, (-1)^(n + 1) n! zeta(n + 1, x) for n > 0.

    n: int, x: [*S] bool, integer or float -> [*S]. As a method, x.polygamma(n).

    Raises ArgumentError for a negative n. Source: PyTorch, `torch.special.polygamma`.

    >>> round(samara.polygamma(1, samara.tensor(1.0)).item(), 4)
    1.6449
    """,
    ref=_polygamma_ref,
    dtypes=REAL_INPUTS,
    ulp=8,
    samples=lambda rng: [
        Sample(1, rng.uniform(0.2, 12.0, size=(3, 4))),
        Sample(2, rng.uniform(0.2, 12.0, size=(2, 3))),
        Sample(5, rng.uniform(0.2, 12.0, size=5)),
        Sample(0, rng.uniform(2.0, 12.0, size=5)),
        Sample(1, np.array([0.0, -1.0, -0.5, -3.25, 1e5, math.inf, math.nan])),
        Sample(3, np.array(2.0)),
        Sample(1, np.ones((0, 2))),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "n is negative", -1, np.ones(2)),
        ErrorSample(TypeError, "'x'", 1, "text"),
    ],
    methods=(),
)
def polygamma(n: int, x: Tensor) -> Tensor:
    if n == 0:
        return digamma(x)
    return _polygamma(x, n)


def _multigammaln_ref(x: Any, p: int) -> Any:
    reference = _exact("loggamma")
    x = np.asarray(x, np.float64)
    parts = [reference(x - i / 2) if x.size else x for i in range(p)]
    return sum(parts) + p * (p - 1) / 4 * math.log(math.pi)


@composite(
    "multigammaln(x, p: int)",
    doc="""The logarithm of the multivariate gamma function,
    p (p - 1) / 4 log pi + sum log Gamma(x - i / 2), i = 0 ... p - 1.

    x: [*S] float, above (p - 1) / 2 -> [*S].

    Raises ArgumentError for p < 1 or an x that is too small.
    Source: PyTorch, `torch.special.multigammaln`.

    >>> round(samara.multigammaln(samara.tensor(2.0), 2).item(), 4)
    0.4516
    """,
    ref=_multigammaln_ref,
    ulp=8,
    condition="max",
    samples=lambda rng: [
        Sample(rng.uniform(2.0, 9.0, size=(3, 4)), 3),
        Sample(rng.uniform(4.0, 9.0, size=5), p=1),
        Sample(np.array(3.0), 2),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "p is 0", np.ones(2), 0),
        ErrorSample(ArgumentError, "x holds 1", np.ones(2), 3),
    ],
    methods=("mvlgamma",),
    aliases=("mvlgamma",),
)
def multigammaln(x: Tensor, p: int) -> Tensor:
    require_dtype("multigammaln", x, FLOAT)
    if p < 1:
        raise ArgumentError(
            f"multigammaln: p is {p}. Expected a dimension, 1 or more. Fix: correct p."
        )
    if x.numel() and bool((x.detach() <= (p - 1) / 2).any()):
        raise ArgumentError(
            f"multigammaln: x holds {x.detach().min().item()}. Expected numbers above "
            f"{(p - 1) / 2}, (p - 1) / 2. Fix: check where x comes from."
        )
    terms = x.unsqueeze(-1) - asarray([i / 2 for i in range(p)], dtype=x.dtype, device=x.device)
    return lgamma(terms).sum(axis=-1) + p * (p - 1) / 4 * math.log(math.pi)


# --- the error function ---------------------------------------------------------------------------

erfinv = unary(
    "erfinv(x)",
    "The inverse of erf; infinite at -1 and 1, NaN beyond.",
    ref=_at(
        _exact("erfinv"),
        (lambda x: not abs(x) <= 1, math.nan),
        (_is(1.0, -1.0), lambda x: x * math.inf),
        (_is(0.0), lambda x: x),
    ),
    grad=lambda g, x, y: g * (ROOT_PI / 2 * exp(y * y)),
    span=(-0.95, 0.95),
    edges=(0.0, -0.0, 0.5, -0.5, 0.999999, -0.9999999999, 1.0, -1.0, 1.5, math.nan, *_TINY),
    ulp=4,
    source=PYTORCH.format("erfinv"),
    example=("samara.erfinv(samara.tensor([0.0, 1.0])).tolist()", "[0.0, inf]"),
)


def _erfcx_exact(x: Any) -> Any:
    mpmath = _mpmath()

    return mpmath.exp(x * x) * mpmath.erfc(x)


erfcx = unary(
    "erfcx(x)",
    "e^(x^2) erfc(x), the scaled complementary error function.",
    ref=_at(
        _exact("", _erfcx_exact),
        NAN,
        (_is(math.inf), 0.0),
        (lambda x: x < -27, math.inf),
        (lambda x: x > 1e3, lambda x: (1 - 0.5 / x / x) / x / ROOT_PI),
    ),
    grad=lambda g, x, y: g * where(x == math.inf, 0.0, 2 * (x * y - 1 / ROOT_PI)),
    edges=(0.0, -0.0, 0.5, -0.5, 5.0, -5.0, 9.99, 10.0, 26.0, -26.0, 1e4, -1e4, math.inf)
    + (-math.inf, math.nan, *_TINY),
    ulp=4,
    methods=(),
    source=PYTORCH.format("erfcx"),
    example=("samara.erfcx(samara.tensor([0.0])).tolist()", "[1.0]"),
)


def _ndtr_exact(x: Any) -> Any:
    mpmath = _mpmath()

    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


ndtr = unary(
    "ndtr(x)",
    "The distribution function of the standard normal distribution, precise in its tails.",
    ref=_at(_exact("", _ndtr_exact), NAN, (lambda x: x < -38.6, 0.0), (lambda x: x > 40, 1.0)),
    grad=lambda g, x, y: g * (1 / math.sqrt(2 * math.pi) * exp(-0.5 * x * x)),
    edges=(0.0, 0.5, -0.5, 1.0, -1.0, 5.0, -5.0, -30.0, 30.0, math.inf, -math.inf, math.nan),
    ulp=4,
    methods=(),
    source=PYTORCH.format("ndtr"),
    example=("samara.ndtr(samara.tensor([0.0, samara.inf])).tolist()", "[0.5, 1.0]"),
)


def _log_ndtr_exact(x: Any) -> Any:
    mpmath = _mpmath()

    if x > 0:
        return mpmath.log1p(-mpmath.erfc(x / mpmath.sqrt(2)) / 2)
    return mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2)


log_ndtr = unary(
    "log_ndtr(x)",
    "The logarithm of ndtr(x), also where that is too small for a float.",
    ref=_at(
        _exact("", _log_ndtr_exact),
        NAN,
        (_is(-math.inf), -math.inf),
        (lambda x: x > 38, lambda x: -0.0),
        (lambda x: x < -1e3, lambda x: -x * x / 2 - math.log(-x * math.sqrt(2 * math.pi))),
    ),
    grad=lambda g, x, y: g * (math.sqrt(2 / math.pi) / erfcx(x * -math.sqrt(0.5))),
    edges=(0.0, 0.5, -0.5, 1.0, -1.0, 5.0, -5.0, 9.4, -30.0, -1e4, math.inf, -math.inf, math.nan),
    ulp=4,
    methods=(),
    source=PYTORCH.format("log_ndtr"),
    example=("samara.log_ndtr(samara.tensor([samara.inf])).tolist()", "[-0.0]"),
)


def _ndtri_exact(p: Any) -> Any:
    """-sqrt(2) erfcinv(2 p), refined by Newton's method on the logarithm."""
    mpmath = _mpmath()

    if p > 0.5:
        return -_ndtri_exact(1 - p)
    z = -mpmath.sqrt(-2 * mpmath.log(p))
    for _ in range(60):
        value = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        density = mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
        step = (mpmath.log(value) - mpmath.log(p)) * value / density
        z -= step
        if abs(step) < mpmath.mpf(10) ** -30:
            break
    return z


ndtri = unary(
    "ndtri(x)",
    "The inverse of ndtr: the quantiles of the standard normal distribution.",
    ref=_at(
        _exact("", _ndtri_exact),
        (_is(0.0), -math.inf),
        (_is(1.0), math.inf),
        (_is(0.5), 0.0),
        (lambda x: not 0 <= x <= 1, math.nan),
    ),
    grad=lambda g, x, y: g * (math.sqrt(2 * math.pi) * exp(0.5 * y * y)),
    span=(0.05, 0.95),
    edges=(0.0, 0.5, 1.0, 0.25, 0.75, 1e-5, 0.99999, 1e-40, 1e-310, -0.5, 1.5, math.nan),
    ulp=4,
    methods=(),
    source=PYTORCH.format("ndtri"),
    example=("samara.ndtri(samara.tensor([0.5, 1.0])).tolist()", "[0.0, inf]"),
)

# --- Bessel functions -----------------------------------------------------------------------------


def _bessel(kind: str, order: int, scale: int = 0) -> Callable[..., Any]:
    """Mpmath's Bessel function, times e^(scale |x|)."""

    def call(x: Any) -> Any:
        mpmath = _mpmath()

        return getattr(mpmath, f"bessel{kind}")(order, x) * mpmath.exp(scale * abs(x))

    return _exact("", call)


_WHOLE_LINE = (0.0, -0.0, 0.5, -0.5, 2.5, -2.5, 7.9, 8.1, 30.0, -30.0, 80.0, math.nan, *_TINY)


def _even(name: str, text: str, ref: Any, grad: Any, top: float, ulp: float, **others: Any) -> Any:
    options: dict[str, Any] = {"methods": (), "in_place": True} | others
    bottom, origin = options.pop("bottom", top), options.pop("origin", "[1.0]")
    odd = origin == "[0.0]"
    return unary(
        f"{name}(x)",
        text,
        ref=_at(
            ref,
            NAN,
            (_is(math.inf), top),
            (_is(-math.inf), bottom),
            (_is(0.0), lambda x: x if odd else 1.0),
        ),
        grad=grad,
        edges=(*_WHOLE_LINE, math.inf, -math.inf),
        ulp=ulp,
        source=PYTORCH.format(name),
        example=(f"samara.{name}(samara.tensor([0.0])).tolist()", origin),
        **options,
    )


i0 = _even(
    "i0",
    "The modified Bessel function of the first kind, of order 0.",
    _bessel("i", 0),
    lambda g, x, y: g * i1(x),
    math.inf,
    8,
    methods=("i0",),
)
i0e = _even(
    "i0e",
    "e^-|x| i0(x).",
    _bessel("i", 0, -1),
    lambda g, x, y: g * (i1e(x) - x.sign() * y),
    0.0,
    8,
    in_place=False,
)


def _over(y: Tensor, x: Tensor) -> Any:
    """Y / x, whose limit at 0 is 1/2 for a function that starts like x / 2."""
    origin = x == 0
    safe = where(origin, 1.0, x)
    return where(origin, 0.5, y / safe)


i1: Any = _even(
    "i1",
    "The modified Bessel function of the first kind, of order 1.",
    _bessel("i", 1),
    lambda g, x, y: g * (i0(x) - _over(y, x)),
    math.inf,
    16,
    bottom=-math.inf,
    origin="[0.0]",
    in_place=False,
)
i1e: Any = _even(
    "i1e",
    "e^-|x| i1(x).",
    _bessel("i", 1, -1),
    lambda g, x, y: g * (i0e(x) - x.sign() * y - _over(y, x)),
    0.0,
    16,
    bottom=-0.0,
    origin="[0.0]",
    in_place=False,
)


def _oscillating(name: str, text: str, kind: str, order: int, grad: Any, at_zero: float) -> Any:
    negative = (lambda x: x < 0, math.nan)
    infinite = (_is(math.inf, -math.inf), lambda x: 0.0)
    origin = (_is(0.0), at_zero if kind == "y" or order == 0 else (lambda x: x))
    rules = (NAN, negative, infinite, origin) if kind == "y" else (NAN, infinite, origin)
    return unary(
        f"{name}(x)",
        f"{text} Next to its zeros only the absolute error is small.",
        ref=_at(_bessel(kind, order), *rules),
        grad=grad,
        span=(1.0, 1.9),
        edges=(0.0, 0.5, 1.0, 1.5, 3.0, 6.5, 20.0, math.nan, *_TINY),
        ulp=8,
        methods=(),
        in_place=False,
        source=PYTORCH.format(name),
        example=(f"samara.{name}(samara.tensor([0.0])).tolist()", f"[{at_zero}]"),
    )


bessel_j0 = _oscillating(
    "bessel_j0",
    "The Bessel function of the first kind, of order 0.",
    "j",
    0,
    lambda g, x, y: -g * bessel_j1(x),
    1.0,
)
bessel_j1: Any = _oscillating(
    "bessel_j1",
    "The Bessel function of the first kind, of order 1.",
    "j",
    1,
    lambda g, x, y: g * (bessel_j0(x) - _over(y, x)),
    0.0,
)
bessel_y0 = _oscillating(
    "bessel_y0",
    "The Bessel function of the second kind, of order 0; NaN for x < 0.",
    "y",
    0,
    lambda g, x, y: -g * bessel_y1(x),
    -math.inf,
)
bessel_y1: Any = _oscillating(
    "bessel_y1",
    "The Bessel function of the second kind, of order 1; NaN for x < 0.",
    "y",
    1,
    lambda g, x, y: g * (bessel_y0(x) - y / x),
    -math.inf,
)


def _decaying(name: str, text: str, order: int, scale: int, grad: Any) -> Any:
    return unary(
        f"{name}(x)",
        f"{text} Infinite at 0, NaN for x < 0.",
        ref=_at(
            _bessel("k", order, scale),
            NAN,
            (_is(math.inf), 0.0),
            (_is(0.0), math.inf),
            (lambda x: x < 0, math.nan),
        ),
        grad=grad,
        span=(0.3, 9.0),
        edges=(0.0, -1.0, 0.5, 1.9, 2.0, 2.1, 30.0, 80.0, math.inf, math.nan, 1e-5, 1e-30),
        ulp=8,
        methods=(),
        in_place=False,
        source=PYTORCH.format(name),
        example=(f"samara.{name}(samara.tensor([0.0])).tolist()", "[inf]"),
    )


modified_bessel_k0 = _decaying(
    "modified_bessel_k0",
    "The modified Bessel function of the second kind, of order 0.",
    0,
    0,
    lambda g, x, y: -g * modified_bessel_k1(x),
)
modified_bessel_k1: Any = _decaying(
    "modified_bessel_k1",
    "The modified Bessel function of the second kind, of order 1.",
    1,
    0,
    lambda g, x, y: -g * (modified_bessel_k0(x) + y / x),
)
scaled_modified_bessel_k0 = _decaying(
    "scaled_modified_bessel_k0",
    "e^x times the modified Bessel function of the second kind, of order 0.",
    0,
    1,
    lambda g, x, y: g * (y - scaled_modified_bessel_k1(x)),
)
scaled_modified_bessel_k1: Any = _decaying(
    "scaled_modified_bessel_k1",
    "e^x times the modified Bessel function of the second kind, of order 1.",
    1,
    1,
    lambda g, x, y: g * (y - scaled_modified_bessel_k0(x) - y / x),
)


def _spherical_exact(x: Any) -> Any:
    mpmath = _mpmath()

    return mpmath.sin(x) / x


def _spherical_grad(g: Tensor, x: Tensor, y: Tensor) -> Any:
    near, far = x.abs() < 1e-4, x.abs() == math.inf
    safe = where(near | far, 1.0, x)
    return g * where(far, 0.0, where(near, x / -3.0, (cos(safe) - y) / safe))


spherical_bessel_j0 = unary(
    "spherical_bessel_j0(x)",
    "sin(x) / x.",
    ref=_at(_exact("", _spherical_exact), NAN, (_is(0.0), 1.0), (_is(math.inf, -math.inf), 0.0)),
    grad=_spherical_grad,
    edges=(0.0, -0.0, 0.5, -0.5, 2.5, 1e4, math.inf, -math.inf, math.nan, *_TINY),
    ulp=4,
    methods=(),
    in_place=False,
    source=PYTORCH.format("spherical_bessel_j0"),
    example=("samara.spherical_bessel_j0(samara.tensor([0.0])).tolist()", "[1.0]"),
)

airy_ai = unary(
    "airy_ai(x)",
    "The Airy function Ai. The error grows with |x|^(3/2) and, below 0, next to the zeros; it has "
    "no gradient.",
    ref=_at(_exact("airyai"), NAN, (_is(math.inf), 0.0), (_is(-math.inf), math.nan)),
    span=(-1.5, 3.0),
    edges=(0.0, 0.5, 1.0, 3.0, math.inf, -math.inf, math.nan, *_TINY),
    ulp=64,
    methods=(),
    in_place=False,
    source=PYTORCH.format("airy_ai"),
    example=("round(samara.airy_ai(samara.tensor(0.0)).item(), 4)", "0.355"),
)
