"""Reductions that ask which elements are nonzero: any, all, count_nonzero."""

from __future__ import annotations

import numpy as np

from samara.ops.record import ALL, Sample, operation
from samara.ops.reduction import axis_errors, numpy_reference


def _truth_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.integers(0, 2, size=(3, 4, 2)) * 1.0
    return [
        Sample(x),
        Sample(x, axis=1),
        Sample(x, axis=(0, 2), keepdims=True),
        Sample(np.zeros((2, 3)), axis=0),
        Sample(np.ones((2, 3)), axis=0),
        Sample(np.array([0.0, -0.0])),
        Sample(np.array([np.nan, 0.0])),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((0, 3)), axis=0),
        Sample(np.array(1.0)),
    ]


any = operation(
    "any(x, axis: ints? = None, keepdims: bool = False)",
    doc="""Whether any element over `axis` is nonzero. x: [*S] -> [*S without axis] bool.

    NaN counts as nonzero; the answer over nothing is False.
    Source: Python array API standard 2025.12, `any`.

    >>> samara.any(samara.tensor([0.0, 2.0])).item()
    True
    """,
    ref=numpy_reference(np.any),
    dtypes=ALL,
    ulp=0,
    samples=_truth_samples,
    errors=axis_errors,
)
all = operation(
    "all(x, axis: ints? = None, keepdims: bool = False)",
    doc="""Whether all elements over `axis` are nonzero. x: [*S] -> [*S without axis] bool.

    NaN counts as nonzero; the answer over nothing is True.
    Source: Python array API standard 2025.12, `all`.

    >>> samara.all(samara.tensor([1.0, 0.0])).item()
    False
    """,
    ref=numpy_reference(np.all),
    dtypes=ALL,
    ulp=0,
    samples=_truth_samples,
    errors=axis_errors,
)
count_nonzero = operation(
    "count_nonzero(x, axis: ints? = None, keepdims: bool = False)",
    doc="""How many elements over `axis` are nonzero. x: [*S] -> [*S without axis] int64.

    Source: Python array API standard 2025.12, `count_nonzero`.

    >>> samara.count_nonzero(samara.tensor([1.0, 0.0, 3.0])).item()
    2
    """,
    ref=numpy_reference(np.count_nonzero),
    dtypes=ALL,
    ulp=0,
    samples=_truth_samples,
    errors=axis_errors,
)

__all__ = ["all", "any", "count_nonzero"]
