"""Activations of neural networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.dtypes import FLOAT, INTEGER
from samara.errors import ArgumentError, DTypeError
from samara.ops.arithmetic import abs, maximum, minimum, square
from samara.ops.elementary import TWO_OVER_ROOT_PI, erfc, exp, tanh
from samara.ops.pointwise import EDGES, NONZERO_EDGES, REAL_INPUTS, unary
from samara.ops.record import ErrorSample, Sample, composite
from samara.ops.selection import where
from samara.tensor import Tensor

__all__: list[str] = []

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
GELU_SCALE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715

# Far left, where the value is a product of a large and a subnormal number, floats have few bits.
_TAILED = tuple(x for x in EDGES if not -1e3 < x < -5)

_REAL = INTEGER + FLOAT


def _logistic(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


sigmoid = unary(
    "sigmoid(x)",
    "1 / (1 + e^-x).",
    ref=lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), _logistic(x)),
    grad=lambda g, x, y: g * (y * (1 - y)),
    ulp=2,
    onnx="Sigmoid",
    source="ONNX, `Sigmoid`",
    example=("samara.sigmoid(samara.tensor([0.0, samara.inf])).tolist()", "[0.5, 1.0]"),
)

log_sigmoid = unary(
    "log_sigmoid(x)",
    "log(1 / (1 + e^-x)), without overflow.",
    ref=lambda x: -np.logaddexp(0.0, -x),
    grad=lambda g, x, y: g * sigmoid(-x),
    ulp=2,
    aliases=("logsigmoid",),
    source="PyTorch, `logsigmoid`",
    example=("samara.log_sigmoid(samara.tensor([-1000.0])).tolist()", "[-1000.0]"),
)

relu = unary(
    "relu(x)",
    "max(x, 0). The derivative at 0 is 0.",
    ref=lambda x: np.where(x < 0, 0, x),
    grad=lambda g, x, y: where(y > 0, g, 0.0),
    dtypes=_REAL,
    converts=False,
    ulp=0,
    onnx="Relu",
    source="Nair, Hinton: Rectified linear units improve restricted Boltzmann machines, 2010",
    example=("samara.relu(samara.tensor([-1.0, 2.0])).tolist()", "[0.0, 2.0]"),
)

relu6 = unary(
    "relu6(x)",
    "min(max(x, 0), 6). The derivative at both corners is 0.",
    ref=lambda x: np.where(x < 0, 0, np.where(x > 6, 6, x)),
    grad=lambda g, x, y: where((x > 0) & (x < 6), g, 0.0),
    dtypes=_REAL,
    converts=False,
    span=(-3.0, 9.0),
    ulp=0,
    source="Howard et al.: MobileNets, 2017",
    example=("samara.relu6(samara.tensor([-1.0, 2.0, 7.0])).tolist()", "[0.0, 2.0, 6.0]"),
)

leaky_relu = unary(
    "leaky_relu(x, negative_slope: float = 0.01)",
    "x where x > 0, negative_slope x elsewhere.",
    ref=lambda x, negative_slope=0.01: np.where(x > 0, x, x * negative_slope),
    grad=lambda g, x, y, *, negative_slope: where(x > 0, g, g * negative_slope),
    settings=({}, {"negative_slope": 0.25}),
    ulp=2,
    onnx="LeakyRelu",
    source="Maas, Hannun, Ng: Rectifier nonlinearities improve acoustic models, 2013",
    example=("samara.leaky_relu(samara.tensor([-4.0, 2.0]), 0.25).tolist()", "[-1.0, 2.0]"),
)

elu = unary(
    "elu(x, alpha: float = 1.0)",
    "x where x > 0, alpha (e^x - 1) elsewhere.",
    ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    grad=lambda g, x, y, *, alpha: where(x > 0, g, g * (alpha * exp(minimum(x, 0.0)))),
    settings=({}, {"alpha": 0.5}),
    ulp=3,
    onnx="Elu",
    source="Clevert, Unterthiner, Hochreiter: Exponential linear units, 2016",
    example=("samara.elu(samara.tensor([-samara.inf, 2.0])).tolist()", "[-1.0, 2.0]"),
)

celu = unary(
    "celu(x, alpha: float = 1.0)",
    "x where x > 0, alpha (e^(x / alpha) - 1) elsewhere.",
    ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
    grad=lambda g, x, y, *, alpha: where(x > 0, g, g * exp(minimum(x, 0.0) / alpha)),
    edges=NONZERO_EDGES,
    settings=({}, {"alpha": 2.0}),
    errors=lambda: [ErrorSample(ArgumentError, "alpha is 0", np.ones(2), alpha=0.0)],
    ulp=3,
    onnx="Celu",
    source="Barron: Continuously differentiable exponential linear units, 2017",
    example=("samara.celu(samara.tensor([-samara.inf, 2.0]), 2.0).tolist()", "[-2.0, 2.0]"),
)

selu = unary(
    "selu(x)",
    "scale x where x > 0, scale alpha (e^x - 1) elsewhere, with alpha 1.6733, scale 1.0507.",
    ref=lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    grad=lambda g, x, y: where(
        x > 0, g * SELU_SCALE, g * (SELU_SCALE * SELU_ALPHA * exp(minimum(x, 0.0)))
    ),
    ulp=3,
    onnx="Selu",
    source="Klambauer et al.: Self-normalizing neural networks, 2017, equation 14",
    example=("samara.selu(samara.tensor([0.0, -0.0])).tolist()", "[0.0, -0.0]"),
)


def _gelu_ref(x: Any) -> Any:
    phi = 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2.0))
    return np.where(x == -np.inf, -0.0, x * phi)


def _gelu_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    density = (0.5 / math.sqrt(2.0) * TWO_OVER_ROOT_PI) * exp(-0.5 * square(x))
    slope = where(abs(x) == math.inf, 0.0, x) * density
    return g * (0.5 * erfc(x * -math.sqrt(0.5)) + slope)


gelu_exact = unary(
    "gelu_exact(x)",
    "x Phi(x), where Phi is the distribution function of the standard normal distribution.",
    native="gelu",
    ref=_gelu_ref,
    grad=_gelu_grad,
    ulp=4,
    condition="sum",
    methods=(),
    source="Hendrycks, Gimpel: Gaussian error linear units, 2016",
    example=("samara.gelu_exact(samara.tensor([0.0, 10.0])).tolist()", "[0.0, 10.0]"),
)


def _gelu_tanh_ref(x: Any) -> Any:
    u = GELU_SCALE * (x + GELU_CUBIC * x**3)
    return np.where(x < -40, -0.0, x * _logistic(2 * u))


def _gelu_tanh_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    near = minimum(maximum(x, -40.0), 40.0)
    u = GELU_SCALE * (near + GELU_CUBIC * near * square(near))
    s = sigmoid(2 * u)
    slope = 2 * GELU_SCALE * (1 + 3 * GELU_CUBIC * square(near))
    return g * (s + near * s * (1 - s) * slope)


gelu_tanh = unary(
    "gelu_tanh(x)",
    "0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).",
    ref=_gelu_tanh_ref,
    grad=_gelu_tanh_grad,
    ulp=4,
    condition="sum",
    methods=(),
    source="Hendrycks, Gimpel: Gaussian error linear units, 2016",
    example=("samara.gelu_tanh(samara.tensor([0.0, 10.0])).tolist()", "[0.0, 10.0]"),
)


@composite(
    "gelu(x, approximate: str = 'none')",
    doc="""x Phi(x), the Gaussian error linear unit; with approximate="tanh" by means of tanh.

    x: [*S], bool or integer or float -> [*S]; integers and bools become the default dtype.

    Raises ArgumentError for another `approximate`, DTypeError for complex tensors.
    Source: Hendrycks, Gimpel: Gaussian error linear units, 2016.

    >>> samara.gelu(samara.tensor([0.0, 10.0])).tolist()
    [0.0, 10.0]
    """,
    ref=lambda x, approximate="none": (
        _gelu_ref(np.asarray(x, np.float64))
        if approximate == "none"
        else _gelu_tanh_ref(np.asarray(x, np.float64))
    ),
    dtypes=REAL_INPUTS,
    onnx="Gelu",
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(3, 4)), approximate="tanh"),
        Sample(rng.normal(size=())),
        Sample(rng.normal(size=(0, 3)), approximate="tanh"),
        Sample(np.array([-0.0, 0.0, np.inf, -np.inf, np.nan, 30.0, -30.0])),
        Sample(np.array([0.0, np.inf, np.nan, 30.0, -30.0]), approximate="tanh"),
        Sample(rng.normal(size=())),
        Sample(np.ones((0, 3))),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "approximate is 'erf'", np.ones(2), approximate="erf"),
        ErrorSample(DTypeError, "argument 'x' is a str", "text"),
    ],
    in_place=True,
)
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    if approximate == "none":
        return gelu_exact(x)
    if approximate != "tanh":
        raise ArgumentError(
            f"gelu: approximate is {approximate!r}. Expected 'none' or 'tanh'. "
            "Fix: choose one of them."
        )
    return gelu_tanh(x)


def _silu_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    s = sigmoid(x)
    return g * (s + where(abs(x) == math.inf, 0.0, x) * (s * (1 - s)))


silu = unary(
    "silu(x)",
    "x / (1 + e^-x).",
    ref=lambda x: np.where(x == -np.inf, -0.0, x / (1 + np.exp(-x))),
    grad=_silu_grad,
    edges=_TAILED,
    ulp=3,
    aliases=("swish",),
    source="Elfwing, Uchibe, Doya: Sigmoid-weighted linear units, 2018",
    example=("samara.silu(samara.tensor([0.0, 1000.0])).tolist()", "[0.0, 1000.0]"),
)

softplus = unary(
    "softplus(x, beta: float = 1.0, threshold: float = 20.0)",
    "log(1 + e^(beta x)) / beta, and x where beta x > threshold.",
    ref=lambda x, beta=1.0, threshold=20.0: np.where(
        x * beta > threshold, x, np.logaddexp(0.0, x * beta) / beta
    ),
    grad=lambda g, x, y, *, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
    settings=({}, {"beta": 2.0}, {"threshold": 1.5}),
    errors=lambda: [ErrorSample(ArgumentError, "beta is 0", np.ones(2), beta=0.0)],
    ulp=3,
    onnx="Softplus",
    source="Dugas et al.: Incorporating second-order functional knowledge, 2001",
    example=("samara.softplus(samara.tensor([-samara.inf, 30.0])).tolist()", "[0.0, 30.0]"),
)


def _mish_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    gate = tanh(softplus(x, 1.0, math.inf))
    slope = sigmoid(x) * ((1 - gate) * (1 + gate))
    return g * (gate + where(abs(x) == math.inf, 0.0, x) * slope)


mish = unary(
    "mish(x)",
    "x tanh(log(1 + e^x)).",
    ref=lambda x: np.where(x == -np.inf, -0.0, x * np.tanh(np.logaddexp(0.0, x))),
    grad=_mish_grad,
    edges=_TAILED,
    ulp=4,
    onnx="Mish",
    source="Misra: Mish, 2019",
    example=("samara.mish(samara.tensor([0.0, 1000.0])).tolist()", "[0.0, 1000.0]"),
)

softsign = unary(
    "softsign(x)",
    "x / (1 + |x|).",
    ref=lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))),
    grad=lambda g, x, y: g / square(1 + abs(x)),
    ulp=2,
    onnx="Softsign",
    source="ONNX, `Softsign`",
    example=("samara.softsign(samara.tensor([1.0, -samara.inf])).tolist()", "[0.5, -1.0]"),
)

hardtanh = unary(
    "hardtanh(x, min_val: float = -1.0, max_val: float = 1.0)",
    "x cut to the range from min_val to max_val. The derivative at the bounds is 0.",
    ref=lambda x, min_val=-1.0, max_val=1.0: np.where(
        x < min_val, min_val, np.where(x > max_val, max_val, x)
    ),
    grad=lambda g, x, y, *, min_val, max_val: where((x > min_val) & (x < max_val), g, 0.0),
    settings=({}, {"min_val": -0.5, "max_val": 2.0}),
    errors=lambda: [
        ErrorSample(ArgumentError, "min_val is above max_val", np.ones(2), min_val=1.0, max_val=0.0)
    ],
    ulp=0,
    source="PyTorch, `hardtanh`",
    example=("samara.hardtanh(samara.tensor([-2.0, 0.5])).tolist()", "[-1.0, 0.5]"),
)

hardsigmoid = unary(
    "hardsigmoid(x)",
    "min(max(x + 3, 0), 6) / 6.",
    ref=lambda x: np.clip(x + 3, 0, 6) / 6,
    grad=lambda g, x, y: where((x > -3) & (x < 3), g / 6, 0.0),
    span=(-5.0, 5.0),
    ulp=2,
    source="Howard et al.: Searching for MobileNetV3, 2019",
    example=("samara.hardsigmoid(samara.tensor([-4.0, 0.0])).tolist()", "[0.0, 0.5]"),
)


def _hardswish_ref(x: Any) -> Any:
    return np.where(x < -3, -0.0, x * np.minimum(x + 3, 6) / 6)


def _hardswish_grad(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    near = minimum(maximum(x, -3.0), 3.0)
    inner = where(x < 3, g * (near / 3 + 0.5), g)
    return where(x <= -3, 0.0, inner)


hardswish = unary(
    "hardswish(x)",
    "x min(max(x + 3, 0), 6) / 6.",
    ref=_hardswish_ref,
    grad=_hardswish_grad,
    span=(-5.0, 5.0),
    ulp=3,
    onnx="HardSwish",
    source="Howard et al.: Searching for MobileNetV3, 2019",
    example=("samara.hardswish(samara.tensor([-4.0, 6.0])).tolist()", "[-0.0, 6.0]"),
)
