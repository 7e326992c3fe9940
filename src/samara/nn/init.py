"""Initialisers: fill a tensor in place, and return it.

Each is a function of a key and the element's index. On a parameter of a model the key comes from
the parameter's name (see `nn.Module`), on any other tensor from the global stream; `key=` gives it,
and `generator=` one that comes from a `samara.Generator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import samara
import samara._core as _core
from samara.errors import ArgumentError, ShapeError
from samara.lookup import choose
from samara.nn import _pending
from samara.nn.parameter import Initializer
from samara.ops.adapt import key_of
from samara.random import Key
from samara.tensor import Tensor, asarray

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "get",
    "initialize",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through an activation, as PyTorch defines it.

    leaky_relu gives sqrt(2 / (1 + slope^2)). Raises ArgumentError for an unknown name.

    >>> round(calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1.0 + slope**2))
    return choose("calculate_gain: nonlinearity", nonlinearity, _GAINS | {"leaky_relu": 0.0})


def _start(
    tensor: Tensor, initializer: Initializer, key: Key | None, generator: Any = None
) -> Tensor:
    from samara.nn.module import Module

    if generator is not None:
        key = key_of("nn.init", generator)
    return _pending.initialize(tensor, initializer, key, Module)


def _fill_uniform(tensor: Tensor, low: float, high: float, key: Key) -> None:
    shape, dtype = tuple(tensor.shape), tensor.dtype
    tensor.copy_(samara.uniform(shape, low, high, dtype=dtype, device=tensor.device, key=key))


def _fill_normal(tensor: Tensor, mean: float, std: float, key: Key) -> None:
    shape, dtype = tuple(tensor.shape), tensor.dtype
    tensor.copy_(samara.normal(shape, mean, std, dtype=dtype, device=tensor.device, key=key))


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None, *, key: Key | None = None
) -> Tensor:
    """Fill with values from U(a, b).

    >>> import samara
    >>> uniform_(samara.empty(2, 3), -1.0, 1.0).shape
    (2, 3)
    """
    return _start(tensor, lambda t, k: _fill_uniform(t, a, b, k), key, generator)


def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Any = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill with values from N(mean, std^2).

    >>> import samara
    >>> normal_(samara.empty(2, 3), std=0.02).shape
    (2, 3)
    """
    _check_std("normal_", std)
    return _start(tensor, lambda t, k: _fill_normal(t, mean, std, k), key, generator)


def constant_(tensor: Tensor, val: float, *, key: Key | None = None) -> Tensor:
    """Fill with one value.

    >>> import samara
    >>> constant_(samara.empty(2), 3.0).tolist()
    [3.0, 3.0]
    """
    return _start(tensor, lambda t, k: t.fill_(val), key)


def ones_(tensor: Tensor, *, key: Key | None = None) -> Tensor:
    """Fill with 1.

    >>> import samara
    >>> ones_(samara.empty(2)).tolist()
    [1.0, 1.0]
    """
    return constant_(tensor, 1.0, key=key)


def zeros_(tensor: Tensor, *, key: Key | None = None) -> Tensor:
    """Fill with 0.

    >>> import samara
    >>> zeros_(samara.empty(2)).tolist()
    [0.0, 0.0]
    """
    return constant_(tensor, 0.0, key=key)


def eye_(tensor: Tensor, *, key: Key | None = None) -> Tensor:
    """Fill a matrix with the identity. Raises ShapeError for anything but a matrix.

    >>> import samara
    >>> eye_(samara.empty(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim != 2:
        raise ShapeError(
            f"eye_: received shape {tuple(tensor.shape)}. Expected a matrix. "
            "Fix: reshape it to two dimensions."
        )

    def fill(t: Tensor, k: Key) -> None:
        t.copy_(samara.eye(t.shape[0], t.shape[1], dtype=t.dtype, device=t.device))

    return _start(tensor, fill, key)


def dirac_(tensor: Tensor, groups: int = 1, *, key: Key | None = None) -> Tensor:
    """Fill a convolution's weight so that it hands its first channels on: a 1 in the middle.

    `tensor: [out, in, ...]` of 3 to 5 axes; in each of `groups` parts channel i of the output is
    channel i of the input. Raises ShapeError for other ranks, ArgumentError when groups does not
    divide out. Source: PyTorch, `torch.nn.init.dirac_`.

    >>> import samara
    >>> dirac_(samara.empty(2, 2, 3))[:, :, 1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(
            f"dirac_: received shape {tuple(tensor.shape)}. Expected [out, in, ...] with one to "
            "three spatial axes. Fix: eye_ is for matrices."
        )
    if groups < 1 or tensor.shape[0] % groups:
        raise ArgumentError(
            f"dirac_: {groups} groups of {tensor.shape[0]} output channels. Expected a divisor. "
            "Fix: pass the groups of the convolution."
        )

    def fill(t: Tensor, k: Key) -> None:
        size, middle = t.shape[0] // groups, [n // 2 for n in t.shape[2:]]
        values = samara.zeros(t.shape, dtype=t.dtype, device=t.device)
        for group in range(groups):
            for i in range(min(size, t.shape[1])):
                values[(group * size + i, i, *middle)] = 1
        t.copy_(values)

    return _start(tensor, fill, key)


def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Any = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill a matrix from N(0, std^2), but a share `sparsity` of each column, rounded up, with 0.

    `tensor: [out, in]`. Raises ShapeError for anything but a matrix, ArgumentError for a share
    outside of 0 to 1. Source: Martens, Deep Learning via Hessian-Free Optimization, 2010.

    >>> import samara
    >>> (sparse_(samara.empty(4, 3), 0.5) == 0).sum(axis=0).tolist()
    [2, 2, 2]
    """
    if tensor.ndim != 2:
        raise ShapeError(
            f"sparse_: received shape {tuple(tensor.shape)}. Expected a matrix. "
            "Fix: reshape it to two dimensions."
        )
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity is {sparsity}. Expected 0 to 1. Fix: sparsity=0.1.")
    _check_std("sparse_", std)

    def fill(t: Tensor, k: Key) -> None:
        _fill_normal(t, 0.0, std, k)
        order = samara.rand(tuple(t.shape), device=t.device, key=k.fold("zeros")).argsort(0)
        t.copy_(samara.where(order.argsort(0) < math.ceil(sparsity * t.shape[0]), 0.0, t))

    return _start(tensor, fill, key, generator)


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ShapeError(
            f"{op}: received shape {tuple(tensor.shape)}. Expected at least two dimensions "
            "[out, in, ...], from which fan-in and fan-out follow. Fix: use normal_ or zeros_ "
            "for a vector."
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Any = None, *, key: Key | None = None
) -> Tensor:
    """Fill from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    `tensor: [out, in, ...]`. Raises ShapeError for fewer than two dimensions.

    >>> import samara
    >>> bool((xavier_uniform_(samara.empty(3, 3)).abs() <= 1.0).all())
    True
    """

    def fill(t: Tensor, k: Key) -> None:
        bound = gain * math.sqrt(6.0 / max(sum(_fans("xavier_uniform_", t)), 1))
        _fill_uniform(t, -bound, bound, k)

    _check_fans("xavier_uniform_", tensor)
    return _start(tensor, fill, key, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Any = None, *, key: Key | None = None
) -> Tensor:
    """Fill from N(0, gain^2 2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    `tensor: [out, in, ...]`. Raises ShapeError for fewer than two dimensions.

    >>> import samara
    >>> xavier_normal_(samara.empty(3, 5)).shape
    (3, 5)
    """

    def fill(t: Tensor, k: Key) -> None:
        _fill_normal(t, 0.0, gain * math.sqrt(2.0 / max(sum(_fans("xavier_normal_", t)), 1)), k)

    _check_fans("xavier_normal_", tensor)
    return _start(tensor, fill, key, generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(op, tensor)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill from U(-b, b), b = gain sqrt(3 / fan) (He et al., 2015).

    `tensor: [out, in, ...]`; `a` is the slope of leaky_relu; `mode` is "fan_in" or "fan_out".
    Raises ShapeError for fewer than two dimensions, ArgumentError for an unknown name.

    >>> import samara
    >>> kaiming_uniform_(samara.empty(3, 5), nonlinearity="relu").shape
    (3, 5)
    """

    def fill(t: Tensor, k: Key) -> None:
        bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", t, a, mode, nonlinearity)
        _fill_uniform(t, -bound, bound, k)

    _check_kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _start(tensor, fill, key, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill from N(0, gain^2 / fan) (He et al., 2015).

    `tensor: [out, in, ...]`; `a` is the slope of leaky_relu; `mode` is "fan_in" or "fan_out".
    Raises ShapeError for fewer than two dimensions, ArgumentError for an unknown name.

    >>> import samara
    >>> kaiming_normal_(samara.empty(3, 5), nonlinearity="relu").shape
    (3, 5)
    """

    def fill(t: Tensor, k: Key) -> None:
        _fill_normal(t, 0.0, _kaiming_std("kaiming_normal_", t, a, mode, nonlinearity), k)

    _check_kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _start(tensor, fill, key, generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill from N(mean, std^2) cut off outside of [a, b], by the inverse distribution function.

    x = mean + std sqrt(2) erfinv(u), u uniform on (erf(alpha), erf(beta)). Note that `a` and `b`
    are values, not multiples of `std`, as in PyTorch.

    >>> import samara
    >>> bool((trunc_normal_(samara.empty(64)).abs() <= 2.0).all())
    True
    """
    _check_std("trunc_normal_", std)
    if not a < b:
        raise ArgumentError(
            f"trunc_normal_: received a={a} and b={b}. Expected a < b. Fix: swap them."
        )

    def fill(t: Tensor, k: Key) -> None:
        low, high = (math.erf((bound - mean) / (std * math.sqrt(2.0))) for bound in (a, b))
        shape = tuple(t.shape)
        u = samara.uniform(shape, low, high, dtype=_core.float64, device=t.device, key=k)
        x = mean + std * math.sqrt(2.0) * samara.erfinv(u)
        t.copy_(samara.clamp(x, a, b))

    return _start(tensor, fill, key, generator)


def orthogonal_(
    tensor: Tensor, gain: float = 1.0, generator: Any = None, *, key: Key | None = None
) -> Tensor:
    """Fill with gain times a (semi-)orthogonal matrix, uniform by Haar measure (Saxe et al., 2013).

    `tensor: [rows, ...]`; the dimensions after the first are flattened. Raises ShapeError for
    fewer than two dimensions.

    >>> import samara
    >>> q = orthogonal_(samara.empty(4, 4))
    >>> bool(((q @ q.T - samara.eye(4)).abs() < 1e-5).all())
    True
    """

    def fill(t: Tensor, k: Key) -> None:
        import numpy as np

        rows, columns = t.shape[0], math.prod(t.shape[1:])
        flat = samara.normal((rows, columns), 0.0, 1.0, dtype=_core.float64, key=k).numpy()
        q, r = np.linalg.qr(flat if rows >= columns else flat.T)
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        values = gain * (q if rows >= columns else q.T).reshape(tuple(t.shape))
        t.copy_(asarray(np.ascontiguousarray(values)))

    _check_fans("orthogonal_", tensor)
    return _start(tensor, fill, key, generator)


def _check_fans(op: str, tensor: Tensor) -> None:
    from samara.nn.parameter import UninitializedParameter

    if not isinstance(tensor, UninitializedParameter):
        _fans(op, tensor)


def _check_kaiming(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> None:
    choose(f"{op}: mode", mode, {"fan_in": 0, "fan_out": 1})
    calculate_gain(nonlinearity, a)
    _check_fans(op, tensor)


def _check_std(op: str, std: float) -> None:
    if std < 0:
        raise ArgumentError(f"{op}: std is {std}. Expected std >= 0. Fix: std={-std}.")


_BY_NAME: dict[str, Callable[..., Tensor]] = {
    "zeros": zeros_,
    "ones": ones_,
    "constant": constant_,
    "eye": eye_,
    "uniform": uniform_,
    "normal": normal_,
    "trunc_normal": trunc_normal_,
    "xavier_uniform": xavier_uniform_,
    "xavier_normal": xavier_normal_,
    "glorot_uniform": xavier_uniform_,
    "glorot_normal": xavier_normal_,
    "kaiming_uniform": kaiming_uniform_,
    "kaiming_normal": kaiming_normal_,
    "he_uniform": kaiming_uniform_,
    "he_normal": kaiming_normal_,
    "orthogonal": orthogonal_,
    "dirac": dirac_,
}


def get(init: str | Callable[..., Any]) -> Callable[..., Any]:
    """An initialiser by name ("xavier_uniform" or "xavier_uniform_"), or the one given.

    Raises ArgumentError for an unknown name, with the closest known one.

    >>> get("he_normal").__name__
    'kaiming_normal_'
    """
    if callable(init):
        return init
    found: Callable[..., Any] = choose("init", str(init).removesuffix("_"), _BY_NAME)
    return found


def initialize(
    model: Any, weight: str | Callable[..., Any], bias: str | Callable[..., Any] | None = "zeros"
) -> Any:
    """Initialise a whole model: every matrix with `weight`, every vector named bias with `bias`.

    Parameters of other shapes and names (the scales of norms) stay as they are. Returns the model.

    >>> from samara import nn
    >>> model = nn.init.initialize(nn.Sequential(nn.Linear(4, 4)), "orthogonal")
    >>> bool((model[0].bias == 0).all())
    True
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            get(weight)(parameter)
        elif bias is not None and name.rpartition(".")[2] == "bias":
            get(bias)(parameter)
    return model
