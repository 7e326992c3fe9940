"""Observers see each call of their thread, and cost nothing when there are none."""

from __future__ import annotations

from typing import Any

import pytest

import samara
from samara.autograd import observe


def test_names_arguments_and_outputs() -> None:
    calls: list[tuple[str, list[Any], list[Any]]] = []
    x = samara.tensor([1.0, 2.0])
    with observe(after=lambda name, arguments, outputs: calls.append((name, arguments, outputs))):
        y = samara.softmax(x * 3, axis=0)
    names = [name for name, _, _ in calls]
    assert names == ["multiply", "softmax"]
    assert calls[0][1][0] is x and calls[0][1][1] == 3
    assert calls[1][2][0] is y and calls[1][1][1] == 0
    x * 2
    assert len(calls) == 2


def test_observers_nest_and_unwind() -> None:
    order: list[str] = []

    def note(text: str) -> Any:
        return lambda *_: order.append(text)

    with observe(note("outer before"), note("outer after")):
        with observe(note("inner before"), note("inner after")):
            samara.ones(2) * 2
        count = len(order)
        assert order[-4:] == ["outer before", "inner before", "inner after", "outer after"]
        with pytest.raises(samara.errors.SamaraError), observe(note("x"), note("y")):
            samara.ones(2) + samara.ones(3)
        order[count:] = []
        -samara.ones(1)
    assert "inner before" not in order[count:] and order[-1] == "outer after"


def test_what_an_observer_computes_is_not_observed() -> None:
    sums: list[float] = []

    def add(name: str, arguments: list[Any], outputs: list[Any]) -> None:
        sums.append((outputs[0] * 1).sum().item())

    x = samara.ones(4)
    with observe(after=add):
        x + 1
    assert sums == [8.0]


def test_an_observer_may_refuse() -> None:
    def refuse(name: str, arguments: list[Any]) -> None:
        raise RuntimeError(f"no {name} here")

    x = samara.ones(2)
    with observe(before=refuse), pytest.raises(RuntimeError, match="no add here"):
        x + 1
    assert (x + 1).tolist() == [2.0, 2.0]


def test_backward_is_observed_too() -> None:
    names: list[str] = []
    x = samara.ones(3, requires_grad=True)
    loss = (x * x).sum()
    with observe(before=lambda name, _: names.append(name)):
        loss.backward(create_graph=True)
    assert "multiply" in names
