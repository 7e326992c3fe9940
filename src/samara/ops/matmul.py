"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.errors import ShapeError
from samara.ops.record import ALL, NUMERIC, ErrorSample, Sample, composite, operation
from samara.tensor import Tensor

Gradients = tuple[Tensor | None, ...]


def _matmul_grad(g: Tensor, x: Tensor, y: Tensor, out: Tensor) -> Gradients:
    """Gives dX = G Y^H and dY = X^H G, with a 1-D operand's missing axis put in."""
    row, column = x.ndim == 1, y.ndim == 1
    if column:
        g = g.unsqueeze(-1)
    if row:
        g = g.unsqueeze(-2)
    left = x.unsqueeze(0) if row else x
    right = y.unsqueeze(1) if column else y
    dx = matmul(g, right.transpose(-2, -1).conj())
    dy = matmul(left.transpose(-2, -1).conj(), g)
    return dx.squeeze(-2) if row else dx, dy.squeeze(-1) if column else dy


def _matmul_samples(rng: np.random.Generator) -> list[Sample]:
    def normal(*shape: int) -> Any:
        return rng.normal(size=shape)

    return [
        Sample(normal(3, 4), normal(4, 5)),
        Sample(normal(4), normal(4)),
        Sample(normal(4), normal(4, 3)),
        Sample(normal(3, 4), normal(4)),
        Sample(normal(2, 3, 4), normal(4, 5)),
        Sample(normal(2, 3, 4), normal(2, 4, 5)),
        Sample(normal(3, 4), normal(2, 4, 5)),
        Sample(normal(2, 1, 3, 4), normal(3, 4, 2)),
        Sample(normal(2, 3, 4), normal(4)),
        Sample(normal(4), normal(2, 4, 3)),
        Sample(normal(2, 3, 4).swapaxes(1, 2), normal(2, 3, 5)),
        Sample(normal(1, 1), normal(1, 1)),
        Sample(normal(33, 65), normal(65, 17)),
        Sample(normal(3, 0), normal(0, 4)),
        Sample(normal(0, 3), normal(3, 4)),
        Sample(normal(2, 3), normal(3, 0)),
        Sample(normal(0, 2, 3), normal(3, 4)),
        Sample(normal(0), normal(0)),
    ]


matmul = operation(
    "matmul(x, y)",
    doc="""The matrix product, out[..., i, j] = sum_k x[..., i, k] y[..., k, j].

    x: [*B, m, k], y: [*B, k, n] -> [*B, m, n]; the leading axes broadcast. A 1-D x is a row and a
    1-D y a column whose axis the result lacks: [k], [k] -> []. Integers wrap around; float16 and
    bfloat16 are summed in float32 and rounded once. The bits do not depend on the number of
    threads.

    Raises ShapeError when the inner sizes differ, the leading axes do not broadcast or an operand
    is 0-d.
    Source: Python array API standard 2025.12, `matmul`.

    >>> samara.matmul(samara.tensor([[1.0, 2.0]]), samara.tensor([[3.0], [4.0]])).tolist()
    [[11.0]]
    """,
    ref=np.matmul,
    grad=_matmul_grad,
    dtypes=NUMERIC,
    onnx="MatMul",
    aliases=("linalg.matmul",),
    ulp=4,
    condition="sum",
    samples=_matmul_samples,
    errors=lambda: [
        ErrorSample(
            ShapeError,
            r"shapes \(2, 3\) and \(4, 5\) do not fit: 3 columns on the left meet 4 rows",
            np.ones((2, 3)),
            np.ones((4, 5)),
        ),
        ErrorSample(ShapeError, r"3 elements on the left meet 2 elements", np.ones(3), np.ones(2)),
        ErrorSample(
            ShapeError,
            r"leading axes are \(2,\) and \(3,\)",
            np.ones((2, 3, 4)),
            np.ones((3, 4, 5)),
        ),
        ErrorSample(ShapeError, "at least one axis each", np.ones(()), np.ones((2, 2))),
    ],
)


def _linear_ref(x: Any, weight: Any, bias: Any = None) -> Any:
    out = np.einsum("...i,oi->...o", x, weight)
    return out if bias is None else out + bias


def _linear_grad(
    g: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor
) -> Gradients:
    rows = math.prod(x.shape[:-1])
    flat = g.reshape(rows, weight.shape[0])
    dx = matmul(g, weight.conj())
    dweight = matmul(flat.transpose(0, 1), x.reshape(rows, weight.shape[1]).conj())
    return dx, dweight, None if bias is None else flat.sum(axis=0)


linear = operation(
    "linear(x, weight, bias: Tensor? = None)",
    doc="""A fully connected layer, x W^T + b.

    x: [*S, in], weight: [out, in], bias: [out] or None -> [*S, out].

    Raises ShapeError when the features of x, the columns of the weight or the bias do not fit.

    >>> samara.linear(samara.ones(2, 3), samara.ones(1, 3), samara.tensor([0.5])).tolist()
    [[3.5], [3.5]]
    """,
    ref=_linear_ref,
    grad=_linear_grad,
    dtypes=NUMERIC,
    onnx="Gemm",
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)),
        Sample(rng.normal(size=(5, 3)), rng.normal(size=(4, 3))),
        Sample(rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)),
        Sample(rng.normal(size=3), rng.normal(size=(4, 3)), rng.normal(size=4)),
        Sample(rng.normal(size=(3, 1)), rng.normal(size=(1, 1)), rng.normal(size=1)),
        Sample(rng.normal(size=(64, 40)), rng.normal(size=(33, 40)), rng.normal(size=33)),
        Sample(rng.normal(size=(0, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=(4, 0)), rng.normal(size=4)),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(0, 3)), rng.normal(size=0)),
    ],
    errors=lambda: [
        ErrorSample(
            ShapeError,
            r"x has shape \(2, 3\), 3 features, and weight has shape \(4, 5\), made for 5",
            np.ones((2, 3)),
            np.ones((4, 5)),
        ),
        ErrorSample(
            ShapeError,
            r"bias has shape \(3,\)",
            np.ones((2, 5)),
            np.ones((4, 5)),
            np.ones(3),
        ),
        ErrorSample(ShapeError, r"weight has shape \(5,\)", np.ones((2, 5)), np.ones(5)),
        ErrorSample(ShapeError, r"x has shape \(\)", np.ones(()), np.ones((4, 5))),
    ],
    methods=(),
)


def _require_ranks(place: str, x: Tensor, y: Tensor, ranks: tuple[int, int], fix: str) -> None:
    if (x.ndim, y.ndim) != ranks:
        raise ShapeError(
            f"{place}: shapes {tuple(x.shape)} and {tuple(y.shape)} given. "
            f"Expected {ranks[0]} and {ranks[1]} axes. Fix: {fix}."
        )


@composite(
    "mm(x, y)",
    doc="""The product of two matrices. x: [m, k], y: [k, n] -> [m, n].

    Raises ShapeError when an operand has other than 2 axes or the inner sizes differ.

    >>> samara.mm(samara.eye(2), samara.ones(2, 1)).tolist()
    [[1.0], [1.0]]
    """,
    ref=np.matmul,
    dtypes=NUMERIC,
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(1, 1)), rng.normal(size=(1, 1))),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=(0, 3))),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected 2 and 2 axes", np.ones(3), np.ones((3, 3)))],
)
def mm(x: Tensor, y: Tensor) -> Tensor:
    _require_ranks("mm", x, y, (2, 2), "use matmul for other shapes")
    out: Tensor = matmul(x, y)
    return out


@composite(
    "bmm(x, y)",
    doc="""Products of two stacks of matrices. x: [b, m, k], y: [b, k, n] -> [b, m, n].

    Raises ShapeError when an operand has other than 3 axes or the sizes differ.

    >>> samara.bmm(samara.ones(2, 1, 3), samara.ones(2, 3, 1)).shape
    (2, 1, 1)
    """,
    ref=np.matmul,
    dtypes=NUMERIC,
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3, 4))),
        Sample(rng.normal(size=(1, 1, 1)), rng.normal(size=(1, 1, 1))),
        Sample(rng.normal(size=(0, 2, 3)), rng.normal(size=(0, 3, 4))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected 3 and 3 axes", np.ones((3, 3)), np.ones((3, 3))),
        ErrorSample(
            ShapeError, "stacks of 2 and 1 matrices", np.ones((2, 3, 3)), np.ones((1, 3, 3))
        ),
    ],
)
def bmm(x: Tensor, y: Tensor) -> Tensor:
    _require_ranks("bmm", x, y, (3, 3), "use matmul for other shapes")
    if x.shape[0] != y.shape[0]:
        raise ShapeError(
            f"bmm: stacks of {x.shape[0]} and {y.shape[0]} matrices given. "
            "Expected equally many. Fix: use matmul, which broadcasts."
        )
    out: Tensor = matmul(x, y)
    return out


@composite(
    "mv(x, y)",
    doc="""A matrix times a vector. x: [m, k], y: [k] -> [m].

    Raises ShapeError when x is not a matrix, y is not a vector or the sizes differ.

    >>> samara.mv(samara.eye(2), samara.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """,
    ref=np.matmul,
    dtypes=NUMERIC,
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3)),
        Sample(rng.normal(size=(1, 1)), rng.normal(size=1)),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=0)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected 2 and 1 axes", np.ones(3), np.ones(3))],
)
def mv(x: Tensor, y: Tensor) -> Tensor:
    _require_ranks("mv", x, y, (2, 1), "use matmul for other shapes")
    out: Tensor = matmul(x, y)
    return out


@composite(
    "dot(x, y)",
    doc="""The sum of the products of two vectors, sum_i x_i y_i (no conjugate). x, y: [n] -> [].

    Raises ShapeError when an operand is not a vector or the lengths differ.

    >>> samara.dot(samara.tensor([1.0, 2.0]), samara.tensor([3.0, 4.0])).item()
    11.0
    """,
    ref=np.dot,
    dtypes=NUMERIC,
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=5), rng.normal(size=5)),
        Sample(rng.normal(size=1), rng.normal(size=1)),
        Sample(rng.normal(size=0), rng.normal(size=0)),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected 1 and 1 axes", np.ones((3, 3)), np.ones((3, 3)))
    ],
)
def dot(x: Tensor, y: Tensor) -> Tensor:
    _require_ranks("dot", x, y, (1, 1), "use matmul for matrices, vecdot for stacks of vectors")
    out: Tensor = matmul(x, y)
    return out


@composite(
    "outer(x, y)",
    doc="""All products of two vectors' elements, out[i, j] = x_i y_j. x: [m], y: [n] -> [m, n].

    Raises ShapeError when an operand is not a vector.

    >>> samara.outer(samara.tensor([1, 2]), samara.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """,
    ref=np.outer,
    dtypes=ALL,
    ulp=1,
    samples=lambda rng: [
        Sample(rng.normal(size=3), rng.normal(size=2)),
        Sample(rng.normal(size=0), rng.normal(size=2)),
    ],
    errors=lambda: [ErrorSample(ShapeError, "Expected 1 and 1 axes", np.ones((2, 2)), np.ones(2))],
    aliases=("ger", "linalg.outer"),
    methods=("outer", "ger"),
)
def outer(x: Tensor, y: Tensor) -> Tensor:
    _require_ranks("outer", x, y, (1, 1), "flatten the operands with reshape(-1)")
    out: Tensor = x.unsqueeze(1) * y
    return out


def _vecdot_ref(x: Any, y: Any, axis: int = -1) -> Any:
    return np.sum(np.conj(x) * y, axis=axis)


@composite(
    "vecdot(x, y, axis: int = -1)",
    doc="""Dot products along an axis, sum_i conj(x_i) y_i.

    x, y: [*B, n] (n at `axis`), broadcast against each other -> [*B].

    Raises ShapeError when the lengths along `axis` differ or the other axes do not broadcast.
    Source: Python array API standard 2025.12, `vecdot`.

    >>> samara.vecdot(samara.tensor([[1.0, 2.0], [3.0, 4.0]]), samara.ones(2)).tolist()
    [3.0, 7.0]
    """,
    ref=_vecdot_ref,
    dtypes=NUMERIC,
    ulp=4,
    condition="sum",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 5)), rng.normal(size=(2, 5))),
        Sample(rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), axis=-2),
        Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=4)),
        Sample(rng.normal(size=4), rng.normal(size=4)),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=(2, 0))),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "4 and 5 elements along axis -1", np.ones(4), np.ones(5)),
        ErrorSample(IndexError, "axis 3 is out of range", np.ones(4), np.ones(4), axis=3),
    ],
    aliases=("linalg.vecdot",),
)
def vecdot(x: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    left = x.movedim(axis, -1)
    right = y.movedim(axis, -1)
    if left.shape[-1] != right.shape[-1]:
        raise ShapeError(
            f"vecdot: shapes {tuple(x.shape)} and {tuple(y.shape)} have {left.shape[-1]} and "
            f"{right.shape[-1]} elements along axis {axis}. Expected equal lengths. "
            "Fix: choose another axis or cut one of them."
        )
    product: Tensor = matmul(left.conj().unsqueeze(-2), right.unsqueeze(-1))
    return product.reshape(product.shape[:-2])


@composite(
    "matrix_transpose(x)",
    doc="""Each matrix with rows and columns exchanged; a view. x: [*B, m, n] -> [*B, n, m].

    Raises ShapeError when x has fewer than 2 axes.
    Source: Python array API standard 2025.12, `matrix_transpose`.

    >>> samara.matrix_transpose(samara.ones(2, 3)).shape
    (3, 2)
    """,
    ref=lambda x: np.swapaxes(x, -1, -2),
    dtypes=ALL,
    ulp=0,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3, 4))),
        Sample(rng.normal(size=(0, 3))),
    ],
    errors=lambda: [ErrorSample(ShapeError, "at least 2 axes", np.ones(3))],
    aliases=("linalg.matrix_transpose",),
)
def matrix_transpose(x: Tensor) -> Tensor:
    if x.ndim < 2:
        raise ShapeError(
            f"matrix_transpose: a tensor of shape {tuple(x.shape)} given. "
            "Expected at least 2 axes. Fix: reshape it to a matrix."
        )
    out: Tensor = x.transpose(-2, -1)
    return out
