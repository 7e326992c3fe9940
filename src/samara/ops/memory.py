"""Copies, other dtypes and arbitrary views of the memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from samara import _core
from samara.dtypes import ALL, BOOL, FLOAT, INTEGER, to_numpy_dtype
from samara.errors import DTypeError, ShapeError
from samara.ops.record import ErrorSample, Sample, operation


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


clone = operation(
    "clone(x)",
    doc="""A copy in row-major order. x: [*S] -> [*S]. Source: PyTorch, `torch.clone`.

    Raises DTypeError for what is no tensor.

    >>> x = samara.zeros(2); y = x.clone(); y[0] = 1.0; x.tolist()
    [0.0, 0.0]
    """,
    ref=lambda x: x,
    grad=lambda g, x, y: g,
    dtypes=ALL,
    onnx="Identity",
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng)), Sample(_normal(rng, 0))],
    errors=lambda: [ErrorSample(DTypeError, "argument 'x' is a str", "text")],
)

contiguous = operation(
    "contiguous(x)",
    doc="""The tensor in row-major order: itself where it is, else a copy. x: [*S] -> [*S].

    Raises DTypeError for what is no tensor. Source: PyTorch, `Tensor.contiguous`.

    >>> samara.zeros(2, 3).mT.contiguous().is_contiguous()
    True
    """,
    ref=lambda x: x,
    grad=lambda g, x, y: g,
    dtypes=ALL,
    onnx="Identity",
    ulp=0,
    samples=lambda rng: [Sample(_normal(rng, 2, 3)), Sample(_normal(rng)), Sample(_normal(rng, 0))],
    errors=lambda: [ErrorSample(DTypeError, "argument 'x' is a str", "text")],
)

astype = operation(
    "astype(x, dtype: dtype, *, copy: bool = True, device: device? = None)",
    doc="""The elements in another dtype; floats lose their fraction on the way to integers.

    x: [*S] -> [*S], on `device` where one is given. With copy=False a tensor of that dtype comes
    back as it is.

    Raises DTypeError for what is no dtype, and for complex numbers that would become real ones.
    Source: Python array API standard 2025.12, `astype`.

    >>> samara.astype(samara.tensor([1.7, -1.7]), samara.int32).tolist()
    [1, -1]
    """,
    ref=lambda x, dtype, copy=True, device=None: x.astype(to_numpy_dtype(dtype)),
    dtypes=BOOL + INTEGER + FLOAT,
    onnx="Cast",
    ulp=1,
    samples=lambda rng: (
        [
            Sample(_normal(rng, 2, 3), dtype=dtype)
            for dtype in (_core.float64, _core.int32, _core.complex128, _core.bool)
        ]
        + [Sample(_normal(rng), dtype=_core.float64), Sample(_normal(rng, 0), dtype=_core.int32)]
    ),
    errors=lambda: [ErrorSample(DTypeError, "argument 'dtype' is a str", np.ones(2), "text")],
)

as_strided = operation(
    "as_strided(x, shape: ints, strides: ints, offset: int = 0)",
    doc="""A view with any shape and strides, in elements, from `offset` elements behind the first.

    x: [*S] -> shape. The values depend on how x lies in memory. A gradient needs a contiguous x.

    Raises IndexOutOfRangeError for places outside the memory, ShapeError when shape and strides
    differ in length. Source: PyTorch, `torch.as_strided`.

    >>> samara.as_strided(samara.arange(5), (2, 2), (2, 1)).tolist()
    [[0, 1], [2, 3]]
    """,
    ref=lambda x, shape, strides, offset=0: np.lib.stride_tricks.as_strided(
        np.ascontiguousarray(x).ravel()[offset:], shape, [s * x.itemsize for s in strides]
    ).copy(),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(_normal(rng, 6), (2, 2), (2, 1)),
        Sample(_normal(rng, 6), (3,), (2,), 1),
        Sample(_normal(rng, 2, 3), (3, 2), (1, 3)),
        Sample(_normal(rng, 1), (3,), (0,)),
        Sample(_normal(rng, 4), (0,), (1,)),
        Sample(_normal(rng, 3), (0, 2), (1, 1)),
        Sample(_normal(rng, 1), (), ()),
    ],
    errors=lambda: [
        ErrorSample(IndexError, "outside the tensor's memory", np.ones(4), (3,), (2,)),
        ErrorSample(ShapeError, "differ in length", np.ones(4), (2,), (1, 1)),
    ],
)
