"""Random numbers; samara.random holds the keys they are functions of.

The NumPy functions at the top define the numbers: Philox4x32-10 on the counters (block,
block >> 32, 0, purpose), the blocks taken sixteen at a time and their words laid out word by word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import samara._core as _core
from samara._core import Device, DType
from samara.device import resolve
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.ops.checks import broadcast
from samara.ops.creation import Sizes, flagged, sizes_of
from samara.ops.record import (
    ALL,
    FLOAT,
    METHODS,
    ErrorSample,
    Sample,
    composite,
    understanding,
)
from samara.random import Key, as_key, key
from samara.tensor import Tensor

Array = np.ndarray[Any, Any]

# ---- the definition in NumPy ---------------------------------------------------------------------

LANES = 16
BITS, UNIFORM, NORMAL, INTEGERS, PERMUTATION, DROPOUT = range(6)


def reference_philox(counters: Array, key: int) -> Array:
    """Philox4x32-10 of each counter, [..., 4] words in uint64."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.moveaxis(counters.astype(np.uint64), -1, 0)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = p1 >> half ^ c1 ^ np.uint64(k0), p1 & low
        c2, c3 = p0 >> half ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1)


def reference_blocks(count: int, key: int, purpose: int) -> Array:
    """The blocks 0, 1, ... of a key, [count, 4] words."""
    number = np.arange(count)
    counters = [number & 0xFFFFFFFF, number >> 32, 0 * number, 0 * number + purpose]
    return reference_philox(np.stack(counters, axis=-1), key)


def reference_draws(n: int, key: int, purpose: int, bits: int = 32) -> Array:
    """The first n draws of 32 or 64 bits."""
    width = bits // 32
    groups = -(-n * width // (4 * LANES))
    words = reference_blocks(groups * LANES, key, purpose).reshape(groups, LANES, 4 // width, width)
    draws = words[..., 0] if width == 1 else words[..., 0] | words[..., 1] << np.uint64(32)
    return draws.transpose(0, 2, 1).reshape(-1)[:n]


def _count(shape: Sizes) -> int:
    return math.prod(shape) if isinstance(shape, Sequence) else shape


def _uniform_ref(shape: Sizes, low: float = 0.0, high: float = 1.0, *, key: Key) -> Array:
    draws = reference_draws(_count(shape), key.value, UNIFORM)
    return (low + (high - low) * ((draws >> np.uint64(8)) * 2.0**-24)).reshape(shape)


def _normal_ref(shape: Sizes, mean: float = 0.0, std: float = 1.0, *, key: Key) -> Array:
    count = _count(shape)
    draws = reference_draws(-(-count // 64) * 64, key.value, NORMAL).reshape(-1, 2, LANES)
    u = ((draws[:, 0] >> np.uint64(1)) + 0.5) * 2.0**-31
    radius, angle = np.sqrt(-2 * np.log(u)), draws[:, 1] * (2 * np.pi * 2.0**-32)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return mean + std * pairs.reshape(-1)[:count].reshape(shape)


def _randint_ref(low: int, high: int, size: Sizes, *, key: Key) -> Array:
    draws = reference_draws(_count(size), key.value, INTEGERS, 64)
    values = [low + (int(draw) * (high - low) >> 64) for draw in draws]
    return np.array(values, np.int64).reshape(size)


def _dropout_ref(x: Array, p: float = 0.5, training: bool = True, *, key: Key) -> Array:
    if not training or p == 0.0:
        return x
    kept = reference_draws(x.size, key.value, DROPOUT).reshape(x.shape) >= int(p * 2**32)
    return np.where(kept, x / (1.0 - p) if p < 1.0 else 0.0, 0.0)


# ---- operations ----------------------------------------------------------------------------------

_random_bits = _core.Operation("random_bits(shape: ints, key: int, device: device?)", "random_bits")
_uniform = _core.Operation(
    "uniform(shape: ints, low: float, high: float, key: int, dtype: dtype?, device: device?)",
    "uniform",
)
_normal = _core.Operation(
    "normal(shape: ints, mean: float, std: float, key: int, dtype: dtype?, device: device?)",
    "normal",
)
_randint = _core.Operation(
    "randint(low: int, high: int, size: ints, key: int, dtype: dtype?, device: device?)", "randint"
)
_randperm = _core.Operation(
    "randperm(n: int, key: int, dtype: dtype?, device: device?)", "randperm"
)
_dropout = _core.Operation("dropout(x, p: float, key: int)", "dropout")

_SIZES = "*sizes: int, shape: ints? = None, "
_OPTIONS = "dtype: dtype? = None, device: device? = None, requires_grad: bool = False"


@composite(
    f"uniform(shape: ints, low: float = 0.0, high: float = 1.0, *, key: Key? = None, {_OPTIONS})",
    doc="""Independent numbers, uniform in [low, high). shape: int or ints -> [*shape].

    The leading 24 bits of a 32-bit draw (float16: 11, bfloat16: 8; float64: 53 of a 64-bit draw)
    are the fraction; high itself is never returned where a number of the dtype lies between.

    Raises ArgumentError unless low <= high and their difference is finite, DTypeError for a dtype
    that is not floating.

    >>> x = samara.uniform((1000,), 2.0, 3.0, key=samara.random.key(0))
    >>> ((x >= 2.0) & (x < 3.0)).all().item()
    True
    """,
    ref=_uniform_ref,
    ulp=2,
    samples=lambda rng: [
        Sample((3, 5), key=key(1)),
        Sample((100,), -2.0, 5.0, key=key(2)),
        Sample((), key=key(3)),
        Sample((0, 2), key=key(4)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "low = 1 and high = 0", (2,), 1.0, 0.0),
        ErrorSample(ArgumentError, "finite difference", (2,), 0.0, math.inf),
    ],
    methods=(),
    differentiable=False,
)
def uniform(
    shape: Sizes = (),
    low: float = 0.0,
    high: float = 1.0,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    made = _uniform(shape, low, high, as_key(key).word, dtype, resolve(device))
    return flagged(made, requires_grad)


def _of_moments(*args: Any, **kwargs: Any) -> Any:
    """PyTorch's normal(mean, std, size=None)."""
    given = dict(zip(("mean", "std", "size"), args, strict=False)) | kwargs
    mean, std, size = given.pop("mean", 0.0), given.pop("std", 1.0), given.pop("size", None)
    both = [x for x in (mean, std) if isinstance(x, Tensor)]
    numbers = isinstance(mean, (int, float)) and isinstance(std, (int, float))
    if "shape" in given or not (both or (numbers and (size is not None or type(mean) is float))):
        return NotImplemented
    if size is None and not both:
        raise ArgumentError(
            f"normal: mean {mean} and std {std} given without a size. Expected a tensor among "
            "them, or a size. Fix: normal(0.0, 1.0, size=(2, 3)), or normal((2, 3))."
        )
    if not both:
        return normal(size, float(mean), float(std), **given)
    shape = broadcast("normal", both[0].shape, both[-1].shape) if size is None else size
    return normal(shape, dtype=both[0].dtype, device=both[0].device, **given) * std + mean


@composite(
    f"normal(shape: ints, mean: float = 0.0, std: float = 1.0, *, key: Key? = None, {_OPTIONS})",
    doc="""Independent numbers of the normal distribution. shape: int or ints -> [*shape].

    mean + std sqrt(-2 ln u) cos(2 pi v), and sin for the other one of a pair. The farthest value is
    6.6 standard deviations from the mean (float64: 9.4).

    PyTorch's normal(mean, std, size=None) is understood: of tensors, which broadcast, or of two
    floats and a size.

    Raises ArgumentError for std < 0, DTypeError for a dtype that is not floating.
    Source: Box and Muller, "A note on the generation of random normal deviates", 1958.

    >>> samara.normal((2, 3), 1.0, 0.5).shape
    (2, 3)
    """,
    ref=_normal_ref,
    ulp=8,
    samples=lambda rng: [
        Sample((3, 5), key=key(1)),
        Sample((200,), -50.0, 5.0, key=key(2)),
        Sample((), key=key(3)),
        Sample((0, 2), key=key(4)),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "std = -1", (2,), 0.0, -1.0)],
    methods=(),
    differentiable=False,
    other_form=_of_moments,
)
def normal(
    shape: Sizes = (),
    mean: float = 0.0,
    std: float = 1.0,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    moments = (
        isinstance(shape, tuple)
        and not shape
        and (isinstance(mean, Tensor) or isinstance(std, Tensor))
    )
    if moments or isinstance(shape, float) or (isinstance(shape, Tensor) and shape.dtype in FLOAT):
        # Before a key is taken: the call is PyTorch's.
        raise DTypeError(
            f"normal: argument 'shape' is a {type(shape).__name__}. Expected an int or a sequence "
            "of ints. Fix: normal(shape, mean, std), or normal(mean, std, size=shape)."
        )
    made = _normal(shape, mean, std, as_key(key).word, dtype, resolve(device))
    return flagged(made, requires_grad)


@composite(
    f"rand({_SIZES}key: Key? = None, {_OPTIONS})",
    doc="""Independent numbers, uniform in [0, 1): rand(2, 3) -> [2, 3]. See `uniform`.

    >>> samara.rand(2, 3, key=samara.random.key(0)).shape
    (2, 3)
    """,
    ref=_uniform_ref,
    ulp=2,
    samples=lambda rng: [Sample((3, 5), key=key(1)), Sample((), key=key(3))],
    errors=lambda: [ErrorSample(ShapeError, "negative size", -1)],
    methods=(),
    differentiable=False,
)
def rand(
    *sizes: Any,
    shape: Sizes | None = None,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    made = _uniform(sizes_of(sizes, shape), 0.0, 1.0, as_key(key).word, dtype, resolve(device))
    return flagged(made, requires_grad)


@composite(
    f"randn({_SIZES}key: Key? = None, {_OPTIONS})",
    doc="""Independent standard normal numbers: randn(2, 3) -> [2, 3]. See `normal`.

    >>> samara.randn(2, 3, key=samara.random.key(0)).shape
    (2, 3)
    """,
    ref=_normal_ref,
    ulp=8,
    samples=lambda rng: [Sample((3, 5), key=key(1)), Sample((), key=key(3))],
    errors=lambda: [ErrorSample(ShapeError, "negative size", -1)],
    methods=(),
    differentiable=False,
)
def randn(
    *sizes: Any,
    shape: Sizes | None = None,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    made = _normal(sizes_of(sizes, shape), 0.0, 1.0, as_key(key).word, dtype, resolve(device))
    return flagged(made, requires_grad)


@composite(
    f"rand_like(x, *, key: Key? = None, {_OPTIONS})",
    doc="""Uniform in [0, 1), of x's shape, dtype and device. x: [*S] float -> [*S].

    >>> samara.rand_like(samara.zeros(2, 3)).shape
    (2, 3)
    """,
    ref=lambda x, *, key, dtype: _uniform_ref(x.shape, key=key),
    dtypes=ALL,
    ulp=2,
    samples=lambda rng: [
        Sample(np.zeros(shape), key=key(1), dtype=_core.float32) for shape in ((2, 3), (0,), ())
    ],
    errors=lambda: [ErrorSample(DTypeError, "dtype int64 given", np.zeros(2), dtype=_core.int64)],
    methods=(),
    differentiable=False,
)
def rand_like(
    x: Tensor,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    place = resolve(device or x.device)
    made = _uniform(x.shape, 0.0, 1.0, as_key(key).word, dtype or x.dtype, place)
    return flagged(made, requires_grad)


@composite(
    f"randn_like(x, *, key: Key? = None, {_OPTIONS})",
    doc="""Standard normal numbers of x's shape, dtype and device. x: [*S] float -> [*S].

    >>> samara.randn_like(samara.zeros(2, 3)).shape
    (2, 3)
    """,
    ref=lambda x, *, key, dtype: _normal_ref(x.shape, key=key),
    dtypes=ALL,
    ulp=8,
    samples=lambda rng: [
        Sample(np.zeros(shape), key=key(1), dtype=_core.float32) for shape in ((2, 3), (0,), ())
    ],
    errors=lambda: [ErrorSample(DTypeError, "dtype int64 given", np.zeros(2), dtype=_core.int64)],
    methods=(),
    differentiable=False,
)
def randn_like(
    x: Tensor,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    place = resolve(device or x.device)
    made = _normal(x.shape, 0.0, 1.0, as_key(key).word, dtype or x.dtype, place)
    return flagged(made, requires_grad)


@composite(
    "randint(low: int, high: int, size: ints, *, key: Key? = None, dtype: dtype? = None, "
    "device: device? = None)",
    doc="""Independent integers from low to high - 1, int64 by default: -> [*size].

    randint(high, size) starts from 0. A value is low + floor(d (high - low) / 2^64) of a 64-bit
    draw d, of a 128-bit one when the range holds more than 2^32 numbers, so no number's probability
    is off by more than 2^-64.

    Raises ArgumentError unless low < high and both fit in the dtype, DTypeError for a dtype that is
    not an integer.

    >>> samara.randint(0, 10, (2, 3)).shape, samara.randint(10, (4,)).shape
    ((2, 3), (4,))
    """,
    ref=_randint_ref,
    ulp=0,
    samples=lambda rng: [
        Sample(0, 10, (3, 5), key=key(1)),
        Sample(-7, 8, (100,), key=key(2)),
        Sample(0, 1, (), key=key(3)),
        Sample(0, 5, (0,), key=key(4)),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "low = 3 and high = 3", 3, 3, (2,))],
    methods=(),
    differentiable=False,
)
def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: Sizes | None = None,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
) -> Tensor:
    if size is None and high is not None and not hasattr(high, "__index__"):
        high, size = None, high  # randint(high, size)
    if size is None:
        raise DTypeError(
            "randint: argument 'size' is missing. Expected randint(low, high, size) or "
            "randint(high, size). Fix: pass the shape, e.g. (3,)."
        )
    if high is None:
        low, high = 0, low
    made: Tensor = _randint(low, high, size, as_key(key).word, dtype, resolve(device))
    return made


@composite(
    "randperm(n: int, *, key: Key? = None, dtype: dtype? = None, device: device? = None)",
    doc="""The numbers 0 to n - 1 in random order, int64 by default: -> [n].

    They are sorted by a 64-bit draw each, so all orders are equally likely but for the chance of
    n^2 / 2^65 that two draws are equal.

    Raises ArgumentError for a negative n or a dtype too small for n - 1.

    >>> sorted(samara.randperm(4).tolist())
    [0, 1, 2, 3]
    """,
    ref=lambda n, *, key: np.argsort(
        reference_draws(n, key.value, PERMUTATION, 64), kind="stable"
    ).astype(np.int64),
    ulp=0,
    samples=lambda rng: [
        Sample(10, key=key(1)),
        Sample(3000, key=key(2)),
        Sample(0, key=key(3)),
        Sample(1, key=key(4)),
    ],
    errors=lambda: [ErrorSample(ArgumentError, "n = -1", -1)],
    methods=(),
    differentiable=False,
)
def randperm(
    n: int,
    *,
    key: Key | int | None = None,
    dtype: DType | None = None,
    device: Device | str | None = None,
) -> Tensor:
    made: Tensor = _randperm(n, as_key(key).word, dtype, resolve(device))
    return made


@composite(
    f"random_bits({_SIZES}key: Key? = None, device: device? = None)",
    doc="""Raw 32-bit words of the generator, uint32: random_bits(2, 3) -> [2, 3].

    >>> samara.random_bits(4, key=samara.random.key(0)).dtype
    samara.uint32
    """,
    ref=lambda shape, *, key: (
        reference_draws(_count(shape), key.value, BITS).astype(np.uint32).reshape(shape)
    ),
    ulp=0,
    samples=lambda rng: [
        Sample((3, 5), key=key(1)),
        Sample(1000, key=key(2)),
        Sample((0,), key=key(3)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "negative size", -1)],
    methods=(),
    differentiable=False,
)
def random_bits(
    *sizes: Any,
    shape: Sizes | None = None,
    key: Key | int | None = None,
    device: Device | str | None = None,
) -> Tensor:
    made: Tensor = _random_bits(sizes_of(sizes, shape), as_key(key).word, resolve(device))
    return made


def _bernoulli_ref(p: Any, *, key: Key) -> Array:
    draws = _uniform_ref(np.shape(p), key=key)
    return np.where(draws < p, 1.0, 0.0)


@composite(
    "bernoulli(p, *, key: Key? = None)",
    doc="""1 with probability p, else 0, for each element of p. p: [*S] float -> [*S], of p's dtype.

    It is 1 where the uniform float32 number of the key and the index is less than p, so
    probabilities count in steps of 2^-24.

    Raises ArgumentError where p is not from 0 to 1, DTypeError when p is not floating.

    >>> samara.bernoulli(samara.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """,
    ref=_bernoulli_ref,
    ulp=0,
    samples=lambda rng: [
        # Multiples of 1/8 and draws far from them: every dtype decides alike.
        Sample(np.array([0.0, 0.125, 0.5, 0.875, 1.0]), key=key(1)),
        Sample(np.full((3, 4), 0.5), key=key(2)),
        Sample(np.array(0.25), key=key(3)),
        Sample(np.zeros((0, 2)), key=key(4)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "1.5", np.array([0.5, 1.5])),
        ErrorSample(ArgumentError, "nan", np.array([np.nan])),
    ],
    differentiable=False,
)
def bernoulli(p: Tensor, *, key: Key | int | None = None) -> Tensor:
    if p.dtype not in FLOAT:
        raise DTypeError(
            f"bernoulli: probabilities of dtype {p.dtype.name} given. Expected a floating-point "
            "dtype. Fix: convert them, e.g. p.to(samara.float32)."
        )
    p = p.detach()
    wrong = p[~((p >= 0) & (p <= 1))]
    if wrong.numel() > 0:
        raise ArgumentError(
            f"bernoulli: a probability is {wrong[0].item()}. Expected numbers from 0 to 1. "
            "Fix: clamp p, or take the sigmoid of logits."
        )
    draws = _uniform(p.shape, 0.0, 1.0, as_key(key).word, _core.float32, p.device)
    hits: Tensor = (draws < p).to(p.dtype)
    return hits


@composite(
    "dropout(x, p: float = 0.5, training: bool = True, key: Key? = None)",
    doc="""Zeroes each element with probability p and scales the others by 1 / (1 - p).

    x: [*S] float -> [*S]; x itself outside training or with p = 0. The mask is a function of the
    key and the element's index; backward draws it again instead of storing it.

    Raises ArgumentError unless 0 <= p <= 1. Source: Srivastava et al., "Dropout: a simple way to
    prevent neural networks from overfitting", JMLR 15, 2014.

    >>> x = samara.ones(1000)
    >>> sorted(set(samara.dropout(x, 0.5, key=samara.random.key(0)).tolist()))
    [0.0, 2.0]
    """,
    ref=_dropout_ref,
    onnx="Dropout",
    ulp=2,
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 7)), 0.5, key=key(1)),
        Sample(rng.normal(size=(3, 40)), 0.2, key=key(2)),
        Sample(rng.normal(size=4), 0.5, False, key=key(3)),
        Sample(rng.normal(size=4), 0.0, key=key(3)),
        Sample(rng.normal(size=4), 1.0, key=key(3)),
        Sample(rng.normal(size=()), 0.5, key=key(4)),
        Sample(rng.normal(size=(0, 3)), 0.5, key=key(5)),
    ],
    errors=lambda: [
        ErrorSample(ArgumentError, "p = 1.5", np.ones(2), 1.5),
        ErrorSample(ArgumentError, "p = -0.1", np.ones(2), -0.1, False),
    ],
    methods=(),
)
def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, key: Key | int | None = None
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"dropout: p = {p} given. Expected a probability from 0 to 1. "
            "Fix: pass the share of elements to drop."
        )
    if not isinstance(x, Tensor):
        raise TypeError("x is no tensor")  # the caller names the argument
    if not training or p == 0.0:
        return x
    dropped: Tensor = _dropout(x, p, as_key(key).word)
    return dropped


# --- in place -------------------------------------------------------------------------------------


def uniform_(
    self: Tensor, low: float = 0.0, high: float = 1.0, *, key: Key | int | None = None
) -> Tensor:
    """Writes uniform numbers from [low, high) into the tensor and returns it."""
    drawn = uniform(self.shape, low, high, key=key, dtype=self.dtype, device=self.device)
    return self.copy_(drawn)


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, key: Key | int | None = None
) -> Tensor:
    """Writes numbers of the normal distribution into the tensor and returns it."""
    drawn = normal(self.shape, mean, std, key=key, dtype=self.dtype, device=self.device)
    return self.copy_(drawn)


def bernoulli_(self: Tensor, p: Any = 0.5, *, key: Key | int | None = None) -> Tensor:
    """Writes 1 with probability p, else 0, into each element and returns the tensor."""
    from samara.ops.creation import full

    chance = p.expand(self.shape) if isinstance(p, Tensor) else full(self.shape, float(p))
    return self.copy_(bernoulli(chance, key=key))


METHODS["uniform_"] = understanding(uniform_)
METHODS["normal_"] = understanding(normal_)
METHODS["bernoulli_"] = understanding(bernoulli_)
