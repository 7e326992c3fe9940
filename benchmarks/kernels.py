"""Kernels by size: matrix products, pointwise functions, reductions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import samara
from benchmarks.measure import Row, compare

MATMUL = "matmul"
POINTWISE = "pointwise and normalising"
REDUCTIONS = "reductions"


def matmul_rows() -> Iterator[Row]:
    """Square, skinny and transposed float32 products."""
    rng = np.random.default_rng(0)

    def operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        return (
            rng.normal(size=(m, k)).astype(np.float32),
            rng.normal(size=(k, n)).astype(np.float32),
        )

    for size in (256, 512, 1024, 2048):
        a, b = operands(size, size, size)
        x, y, tx, ty = samara.tensor(a), samara.tensor(b), torch.tensor(a), torch.tensor(b)
        yield compare(
            MATMUL,
            f"{size} x {size}",
            lambda x=x, y=y: x @ y,
            lambda tx=tx, ty=ty: tx @ ty,
            0.5,
            seconds=0.1,
        )
    a, b = operands(32, 4096, 1024)
    x, y, tx, ty = samara.tensor(a), samara.tensor(b), torch.tensor(a), torch.tensor(b)
    yield compare(MATMUL, "32 x 4096 x 1024", lambda: x @ y, lambda: tx @ ty, 0.6, seconds=0.1)
    a, b = operands(1024, 1024, 1024)
    u, v, tu, tv = samara.tensor(a), samara.tensor(b), torch.tensor(a), torch.tensor(b)
    yield compare(MATMUL, "1024, a.T @ b", lambda: u.T @ v, lambda: tu.T @ tv, 0.5, seconds=0.1)
    yield compare(MATMUL, "1024, a @ b.T", lambda: u @ v.T, lambda: tu @ tv.T, 0.5, seconds=0.1)


def pointwise_rows() -> Iterator[Row]:
    """add, exp, gelu, softmax and layer_norm at three sizes."""
    F, tF = samara.nn.functional, torch.nn.functional
    for size, mark in ((10**3, 0.8), (10**5, 0.8), (10**7, 0.4)):
        data = np.random.default_rng(0).normal(size=size).astype(np.float32)
        x, tx = samara.tensor(data), torch.tensor(data)
        rows_of = 10 if size == 10**3 else 100 if size == 10**5 else 10**4
        m, tm = x.reshape(rows_of, -1), tx.reshape(rows_of, -1)
        width = size // rows_of
        cases = {
            "add": (lambda x=x: x + x, lambda tx=tx: tx + tx),
            "exp": (lambda x=x: x.exp(), lambda tx=tx: tx.exp()),
            "gelu": (lambda x=x: F.gelu(x), lambda tx=tx: tF.gelu(tx)),
            "softmax": (
                lambda m=m: F.softmax(m, dim=-1),
                lambda tm=tm: tF.softmax(tm, dim=-1),
            ),
            "layer_norm": (
                lambda m=m, w=width: F.layer_norm(m, (w,)),
                lambda tm=tm, w=width: tF.layer_norm(tm, (w,)),
            ),
        }
        for name, (own, peer) in cases.items():
            yield compare(POINTWISE, f"{name}, 10^{len(str(size)) - 1}", own, peer, mark)


def reduction_rows() -> Iterator[Row]:
    """sum and cross_entropy at three sizes."""
    for size in (10**3, 10**5, 10**7):
        rng = np.random.default_rng(0)
        data = rng.normal(size=size).astype(np.float32)
        classes = 10 if size == 10**3 else 100
        labels = rng.integers(0, classes, size=size // classes)
        x, tx = samara.tensor(data), torch.tensor(data)
        m, tm = x.reshape(-1, classes), tx.reshape(-1, classes)
        y, ty = samara.tensor(labels), torch.tensor(labels)
        exponent = len(str(size)) - 1
        yield compare(
            REDUCTIONS, f"sum, 10^{exponent}", lambda x=x: x.sum(), lambda tx=tx: tx.sum(), 1.0
        )
        yield compare(
            REDUCTIONS,
            f"cross_entropy, 10^{exponent}",
            lambda m=m, y=y: samara.nn.functional.cross_entropy(m, y),
            lambda tm=tm, ty=ty: torch.nn.functional.cross_entropy(tm, ty),
            1.0,
        )


def rows() -> Iterator[Row]:
    """All kernels."""
    yield from matmul_rows()
    yield from pointwise_rows()
    yield from reduction_rows()
