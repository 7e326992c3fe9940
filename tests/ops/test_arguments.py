"""Operations written in Python name the argument that has a wrong type."""

from __future__ import annotations

import pytest

import samara
from samara.errors import DTypeError


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: samara.mm(1, x), "mm: argument 'x' has type int. Expected a tensor"),
        (lambda x: samara.mm(x, [1.0]), "mm: argument 'y' has type list. Expected a tensor"),
        (lambda x: samara.mm(x), "missing a required argument: 'y'. Expected mm\\(x, y\\)"),
        (lambda x: samara.mm(x, x, into=x), "unexpected keyword argument 'into'"),
        (lambda x: samara.chunk(x, "a"), "argument 'chunks' has type str. Expected an int"),
        (lambda x: samara.split(x, 1.5), "'size' has type float. Expected an int or a sequence"),
        (lambda x: samara.dropout(x, "a"), "argument 'p' has type str. Expected a float"),
        (lambda x: samara.bernoulli(0.5), "argument 'p' has type float. Expected a tensor"),
        (lambda x: samara.meshgrid(x[0], 1), "argument 'arrays' has type int. Expected a tensor"),
        (lambda x: samara.zeros(2, typ=x), "unexpected keyword argument 'typ'. Expected zeros"),
    ],
)
def test_wrong_types_are_named(call, message):
    with pytest.raises(DTypeError, match=message):
        call(samara.ones(2, 2))


def test_errors_inside_the_operation_stay_what_they_are(monkeypatch):
    def broken(*args):
        raise TypeError("a mistake of ours")

    monkeypatch.setattr("samara.ops.join._cut", broken)
    with pytest.raises(TypeError, match="a mistake of ours"):
        samara.chunk(samara.ones(4), 2)
