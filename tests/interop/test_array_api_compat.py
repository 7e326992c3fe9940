"""array-api-compat and array-api-extra know tensors as arrays of the standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import array_api_extra as xpx
import numpy as np
import pytest

import samara


def test_tensors_are_arrays_of_the_standard() -> None:
    x = samara.ones(2, 3)
    assert array_api_compat.is_array_api_obj(x)
    assert array_api_compat.array_namespace(x, samara.zeros(1)) is samara
    assert array_api_compat.device(x) == samara.Device("cpu") and array_api_compat.size(x) == 6
    assert array_api_compat.to_device(x, "cpu").shape == (2, 3)
    assert array_api_compat.is_writeable_array(x) and not array_api_compat.is_lazy_array(x)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        array_api_compat.array_namespace(x, np.ones(2))


X = np.array([3.0, 1.0, 2.0, 1.0])
TABLE = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 0.0]])
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "apply_where": (lambda x: xpx.apply_where(x > 1.5, x, abs, lambda a: a - 1), (X,)),
    "atleast_nd": (lambda x: xpx.atleast_nd(x, ndim=3), (X,)),
    "cov": (lambda x: xpx.cov(x), (TABLE,)),
    "create_diagonal": (lambda x: xpx.create_diagonal(x), (X,)),
    "isclose": (lambda x: xpx.isclose(x, x + 1e-12), (X,)),
    "kron": (lambda x: xpx.kron(x, x), (X,)),
    "nan_to_num": (lambda x: xpx.nan_to_num(x / 0.0), (TABLE,)),
    "nunique": (lambda x: xpx.nunique(x), (X,)),
    "one_hot": (lambda i: xpx.one_hot(i, 3), (np.array([0, 2, 1]),)),
    "pad": (lambda x: xpx.pad(x, (1, 2), constant_values=7), (X,)),
    "partition": (lambda x: xpx.partition(x, 1)[..., 1], (X,)),
    "setdiff1d": (lambda x: xpx.setdiff1d(x, x[1:2]), (X,)),
    "sinc": (lambda x: xpx.sinc(x + 0.25), (X,)),
    "set at": (lambda x: xpx.at(x, 0).set(5.0, copy=True), (X,)),
    "add at a mask": (lambda x: xpx.at(x, x > 1.5).add(1.0, copy=True), (X,)),
    "union1d": (lambda x: xpx.union1d(x, x + 1), (X,)),
    "lazy_apply": (lambda x: xpx.lazy_apply(lambda a: a + 1, x), (X,)),
}


@pytest.mark.parametrize("name", CASES)
def test_array_api_extra(name: str) -> None:
    function, arguments = CASES[name]
    with np.errstate(all="ignore"):
        expected = np.asarray(function(*(a.copy() for a in arguments)))
    received = function(*(samara.asarray(a.copy()) for a in arguments))
    assert isinstance(received, samara.Tensor) and received.shape == expected.shape
    np.testing.assert_allclose(received.numpy().astype(float), expected.astype(float), atol=1e-12)


def test_gradients_pass_through_functions_of_others() -> None:
    x = samara.asarray(X.copy())
    x.requires_grad = True
    xpx.sinc(x + 0.25).sum().backward()
    t = np.pi * (X + 0.25)
    expected = np.pi * (np.cos(t) / t - np.sin(t) / t**2)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)
