"""einops takes tensors, whichever of the two was imported first."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import einops
import numpy as np
import pytest

import samara

X = np.arange(24.0).reshape(2, 3, 4)

CASES: dict[str, Any] = {
    "rearrange": lambda x: einops.rearrange(x, "a b c -> (c a) b"),
    "split": lambda x: einops.rearrange(x, "a b (c d) -> a d b c", d=2),
    "ellipsis": lambda x: einops.rearrange(x, "... c -> c ..."),
    "list": lambda x: einops.rearrange([x, x], "n a b c -> a (n b) c"),
    "repeat": lambda x: einops.repeat(x, "a b c -> a b (2 c) k", k=3),
    "sum": lambda x: einops.reduce(x, "a b c -> b", "sum"),
    "mean": lambda x: einops.reduce(x, "a (b k) c -> a b c", "mean", k=3),
    "max": lambda x: einops.reduce(x, "a b c -> a () c", "max"),
    "min": lambda x: einops.reduce(x, "a b c -> ", "min"),
    "prod": lambda x: einops.reduce(x + 1, "a b c -> c", "prod"),
    "any": lambda x: einops.reduce(x > 3, "a b c -> a", "any"),
    "all": lambda x: einops.reduce(x > 3, "a b c -> a", "all"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "a * c")[0],
    "einsum": lambda x: einops.einsum(x, x, "a b c, a d c -> a b d"),
}


@pytest.mark.parametrize("name", CASES)
def test_einops(name: str) -> None:
    received = CASES[name](samara.asarray(X.copy()))
    assert isinstance(received, samara.Tensor)
    np.testing.assert_allclose(received.numpy(), CASES[name](X), rtol=1e-12)


def test_shapes_are_parsed_and_packs_undone() -> None:
    x = samara.asarray(X.copy())
    assert einops.parse_shape(x, "a _ c") == {"a": 2, "c": 4}
    packed, shapes = einops.pack([x, x[:, 0]], "a * c")
    first, second = einops.unpack(packed, shapes, "a * c")
    assert (first == x).all() and (second == x[:, 0]).all()


def test_gradients_pass() -> None:
    x = samara.asarray(X.copy())
    x.requires_grad = True
    einops.reduce(x * x, "a (b k) c -> a b c", "mean", k=3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * X / 3)


@pytest.mark.parametrize("order", ["import samara, einops", "import einops, samara"])
def test_either_may_be_imported_first(order: str) -> None:
    program = (
        f"{order}\nimport sys\n"
        "assert einops.rearrange(samara.zeros(2, 3), 'a b -> b a').shape == (3, 2)\n"
        "assert not [f for f in sys.meta_path if type(f).__module__.startswith('samara')]"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_einops_is_not_imported_by_samara() -> None:
    program = "import samara, sys; assert 'einops' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
