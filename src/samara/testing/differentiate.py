"""Gradients against finite differences, to second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samara.autograd import grad
from samara.dtypes import COMPLEX, FLOAT
from samara.errors import DTypeError
from samara.tensor import Tensor, tensor
from samara.testing.compare import Array, CheckError, to_numpy

__all__ = ["GradientReport", "gradcheck"]

Function = Callable[..., Any]

# Step of the differences: the error of a central difference, about step**2, and what rounding
# does to it, about 1e-16 / step, are both near 1e-10.
STEP = 1e-5
# Differences to the left and to the right that disagree by more mark a kink or a jump: relative to
# their size, and absolute.
KINK = 1e-2
SMALL_KINK = 1e-4
# Elements of this size and above are left alone: a step would be lost in them.
LARGE = 1e3


@dataclass(frozen=True)
class GradientReport:
    """How much of a function `gradcheck` could see."""

    outputs: int
    """Elements of the outputs that are finite and smooth at the point."""
    total: int
    """Elements of the outputs."""
    second: int
    """Elements of the gradient that are finite and smooth, when the second order was checked."""


def gradcheck(
    function: Function,
    inputs: Sequence[Any],
    *,
    order: int = 2,
    seed: int = 0,
    tolerance: float = 1e-6,
    place: str = "gradcheck",
) -> GradientReport:
    """Raises CheckError unless a function's gradients agree with finite differences.

    function: tensors -> a tensor or a sequence of tensors. inputs: float64 or complex128 arrays or
    tensors. Compared in random directions v with random weights w:

    - w . (f(x + hv) - f(x - hv)) / 2h with v . J^T w of the backward pass;
    - the backward pass with create_graph=True with the one without, element by element;
    - with order=2, the same differences of the gradient with its own backward pass.

    Elements of the output at a kink or a jump (left and right differences disagree) and those that
    are not finite are left out of the differences. Raises DTypeError for other dtypes.

    >>> gradcheck(lambda x: x.exp(), [np.array([0.5, -1.0])]).outputs
    2
    """
    point = [_as_array(x, place) for x in inputs]
    rng = np.random.default_rng(seed)
    problem = _Problem(function, point, rng, tolerance, place)
    checked = problem.first_order()
    problem.rules_agree()
    second = problem.second_order() if order > 1 else 0
    return GradientReport(checked, sum(y.size for y in problem.center), second)


def _as_array(x: Any, place: str) -> Array:
    array = to_numpy(x) if isinstance(x, Tensor) else np.array(x)
    if array.dtype not in (np.float64, np.complex128):
        raise DTypeError(
            f"{place}: an input of dtype {array.dtype} was given. Expected float64 or complex128, "
            "in which differences are exact enough. Fix: convert it."
        )
    return array


def _draw(rng: np.random.Generator, like: Array) -> Array:
    values: Array = np.asarray(rng.normal(size=like.shape))
    if like.dtype.kind == "c":
        return np.asarray(values + 1j * rng.normal(size=like.shape))
    return values


def _dot(a: Sequence[Array], b: Sequence[Array]) -> tuple[float, float]:
    """The real inner product of two lists of arrays, and the sum of its terms' magnitudes."""
    total = magnitude = 0.0
    for left, right in zip(a, b, strict=True):
        terms = (np.conj(left) * right).real
        total += float(terms.sum())
        magnitude += float(np.abs(terms).sum())
    return total, magnitude


class _Problem:
    """One function at one point."""

    def __init__(
        self,
        function: Function,
        point: list[Array],
        rng: np.random.Generator,
        tolerance: float,
        place: str,
    ) -> None:
        self.function = function
        self.point = point
        self.rng = rng
        self.tolerance = tolerance
        self.place = place
        self.center = self.values(point)
        self.weights = [_draw(rng, y) for y in self.center]
        for weight, y in zip(self.weights, self.center, strict=True):
            weight[~np.isfinite(y)] = 0
        self.directions = [self.direction(x) for x in point]
        self.smooth = [np.isfinite(y) for y in self.center]

    def direction(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            still = ~np.isfinite(x) | (np.abs(x) >= LARGE)
        chosen = _draw(self.rng, x)
        chosen[still] = 0
        return chosen

    # --- evaluations -----------------------------------------------------------------------------

    def outputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        result = self.function(*inputs)
        outputs = [result] if isinstance(result, Tensor) else list(result)
        return [y for y in outputs if y.dtype in FLOAT or y.dtype in COMPLEX]

    def values(self, point: Sequence[Array]) -> list[Array]:
        return [to_numpy(y) for y in self.outputs([tensor(x) for x in point])]

    def gradients(
        self, point: Sequence[Array], weights: Sequence[Array], record: bool
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Inputs, weights as tensors, and J^T w; with `record` both take part in a graph."""
        inputs = [tensor(x, requires_grad=True) for x in point]
        factors = [tensor(w, requires_grad=record) for w in weights]
        pairs = [
            (y, w) for y, w in zip(self.outputs(inputs), factors, strict=True) if y.requires_grad
        ]
        if not pairs:
            raise CheckError(
                f"{self.place}: the outputs do not require grad though the inputs do. Expected a "
                "differentiable function. Fix: keep the graph, without detach() or numpy()."
            )
        found = grad(
            [y for y, _ in pairs],
            inputs,
            [w for _, w in pairs],
            create_graph=record,
            allow_unused=True,
        )
        return inputs, factors, list(found)

    def gradient_arrays(
        self, point: Sequence[Array], weights: Sequence[Array], record: bool = False
    ) -> list[Array]:
        _, _, found = self.gradients(point, weights, record)
        return [
            np.zeros_like(x) if g is None else self.checked(g, x)
            for g, x in zip(found, self.point, strict=True)
        ]

    def checked(self, gradient: Tensor, like: Array) -> Array:
        values = to_numpy(gradient)
        if values.shape != like.shape or values.dtype != like.dtype:
            raise CheckError(
                f"{self.place}: a gradient has shape {values.shape} and dtype {values.dtype}. "
                f"Expected {like.shape} and {like.dtype}, the input's. Fix: correct the rule."
            )
        return values

    # --- checks ----------------------------------------------------------------------------------

    def moved(self, directions: Sequence[Array], step: float) -> list[Array]:
        return [x + step * v for x, v in zip(self.point, directions, strict=True)]

    def differences(
        self, sample: Callable[[float], list[Array]], center: list[Array], smooth: list[Array]
    ) -> list[Array]:
        """Central differences; clears `smooth` where the function is not."""
        ahead, behind = sample(STEP), sample(-STEP)
        slopes = []
        for right, middle, left, good in zip(ahead, center, behind, smooth, strict=True):
            with np.errstate(all="ignore"):
                forward, backward = (right - middle) / STEP, (middle - left) / STEP
                slope = (right - left) / (2 * STEP)
                apart = np.abs(forward - backward)
                bound = KINK * (np.abs(forward) + np.abs(backward)) + SMALL_KINK
                good &= np.isfinite(slope) & (apart <= bound)
            slopes.append(np.where(good, slope, 0))
        return slopes

    def first_order(self) -> int:
        slopes = self.differences(
            lambda h: self.values(self.moved(self.directions, h)), self.center, self.smooth
        )
        weights = [np.where(s, w, 0) for s, w in zip(self.smooth, self.weights, strict=True)]
        found = self.gradient_arrays(self.point, weights)
        if self.excuse(found):
            slopes = self.differences(
                lambda h: self.values(self.moved(self.directions, h)), self.center, self.smooth
            )
        numeric, terms = _dot(weights, slopes)
        analytic, other_terms = _dot(found, self.directions)
        noise = _dot([np.abs(w) for w in weights], [self.finite(np.abs(y)) for y in self.center])[0]
        self.compare("first", numeric, analytic, terms + other_terms, noise)
        return int(sum(s.sum() for s in self.smooth))

    @staticmethod
    def finite(values: Array) -> Array:
        return np.where(np.isfinite(values), values, 0)

    def excuse(self, gradients: list[Array]) -> bool:
        """Stops moving inputs whose gradient is infinite, where an output was left out for it."""
        if all(s.all() for s in self.smooth):
            return False
        changed = False
        for gradient, direction in zip(gradients, self.directions, strict=True):
            wild = ~np.isfinite(gradient)
            changed = changed or bool((wild & (direction != 0)).any())
            direction[wild] = 0
            gradient[wild] = 0
        return changed

    def compare(
        self, name: str, numeric: float, analytic: float, terms: float, noise: float
    ) -> None:
        bound = self.tolerance * terms + 1e-15 * noise / STEP * 20 + 1e-9
        if not abs(numeric - analytic) <= bound:
            raise CheckError(
                f"{self.place}: the {name} derivative in a random direction is {analytic!r}, "
                f"finite differences give {numeric!r}. Expected at most {bound:.3g} between them. "
                "Fix: correct the gradient rule."
            )

    def rules_agree(self) -> None:
        """The backward pass that runs and the one that records itself give the same values."""
        plain = self.gradient_arrays(self.point, self.weights)
        recorded = self.gradient_arrays(self.point, self.weights, record=True)
        for position, (a, b, x) in enumerate(zip(plain, recorded, self.point, strict=True)):
            with np.errstate(all="ignore"):
                size = np.maximum(np.abs(a), np.abs(b))
                finite = size[np.isfinite(size)]
                scale = np.maximum(size, np.median(finite) if finite.size else 0.0)
                close = np.abs(a - b) <= 1e-9 * scale + 1e-300
                same = close | (a == b) | (np.isnan(a) & np.isnan(b)) | ~np.isfinite(x)
            if not same.all():
                index = tuple(int(i) for i in np.argwhere(~same)[0])
                raise CheckError(
                    f"{self.place}: the gradient of input {position} at {list(index)}, where it is "
                    f"{x[index]!r}, is {a[index]!r}, and {b[index]!r} with create_graph=True. "
                    "Expected the same. Fix: correct one of the two rules."
                )

    def second_order(self) -> int:
        """Differences of u . J^T w, moving x and w, against its backward pass."""
        weights = [np.where(s, w, 0) for s, w in zip(self.smooth, self.weights, strict=True)]
        turns = [_draw(self.rng, w) * s for w, s in zip(weights, self.smooth, strict=True)]

        def sample(step: float) -> list[Array]:
            changed = [w + step * t for w, t in zip(weights, turns, strict=True)]
            return self.gradient_arrays(self.moved(self.directions, step), changed)

        center = sample(0.0)
        smooth = [np.isfinite(g) & (v != 0) for g, v in zip(center, self.directions, strict=True)]
        slopes = self.differences(sample, center, smooth)
        cotangents = [_draw(self.rng, g) * s for g, s in zip(center, smooth, strict=True)]
        if not any(s.any() for s in smooth):
            return 0
        moves = self.directions + turns
        arrays = self.gradients_of_gradients(weights, cotangents)
        if self.excuse(arrays[: len(self.point)]):
            return self.second_order()
        arrays = [np.where(m == 0, 0, a) for a, m in zip(arrays, moves, strict=True)]
        numeric, terms = _dot(cotangents, slopes)
        analytic, other_terms = _dot(arrays, moves)
        noise = _dot([np.abs(c) for c in cotangents], [self.finite(np.abs(g)) for g in center])[0]
        self.compare("second", numeric, analytic, terms + other_terms, noise)
        return int(sum(s.sum() for s in smooth))

    def gradients_of_gradients(self, weights: list[Array], cotangents: list[Array]) -> list[Array]:
        """The derivatives of cotangents . J^T weights by the inputs and by the weights."""
        inputs, factors, found = self.gradients(self.point, weights, record=True)
        by = inputs + factors
        again = [
            (g, c)
            for g, c in zip(found, cotangents, strict=True)
            if g is not None and g.requires_grad
        ]
        if not again:
            return [np.zeros(x.shape) for x in by]
        results = grad([g for g, _ in again], by, [tensor(c) for _, c in again], allow_unused=True)
        return [
            np.zeros(x.shape) if r is None else to_numpy(r)
            for r, x in zip(results, by, strict=True)
        ]
