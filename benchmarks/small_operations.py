"""The fixed cost of one operation: four elements, where the arithmetic is nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import samara
from benchmarks.measure import Row, compare

GROUP = "small operations"


def rows() -> Iterator[Row]:
    """Operators, slicing, and a chain with backward."""
    values = [1.0, 2.0, 3.0, 4.0]
    a, b = samara.tensor(values), samara.tensor(values)
    ta, tb = torch.tensor(values), torch.tensor(values)
    g = samara.tensor(values, requires_grad=True)
    tg = torch.tensor(values, requires_grad=True)
    yield compare(GROUP, "a + b, 4 elements", lambda: a + b, lambda: ta + tb, 0.25)
    yield compare(GROUP, "a + b, with gradient", lambda: g + b, lambda: tg + tb, 0.30)

    def chain(x: samara.Tensor) -> None:
        y = x
        for _ in range(3):
            y = (y * 1.5 + x).tanh()
        y.sum().backward()
        x.grad = None

    def torch_chain(x: torch.Tensor) -> None:
        y = x
        for _ in range(3):
            y = (y * 1.5 + x).tanh()
        y.sum().backward()
        x.grad = None

    yield compare(
        GROUP, "10 small operations and backward", lambda: chain(g), lambda: torch_chain(tg), 0.25
    )
    yield compare(GROUP, "slice x[1:3]", lambda: a[1:3], lambda: ta[1:3], 0.5)
    yield compare(GROUP, "index x[1]", lambda: a[1], lambda: ta[1], 0.5)
    m, tm = samara.zeros(8, 8), torch.zeros(8, 8)
    yield compare(GROUP, "index x[1:3, ::2]", lambda: m[1:3, ::2], lambda: tm[1:3, ::2], 0.5)
    s, ts = a[1], ta[1]
    yield compare(GROUP, "item()", lambda: s.item(), lambda: ts.item(), 0.5)
