"""Optimizers written as for PyTorch: a step that does everything, a state by parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError
from samara.optim import Optimizer
from samara.optim.lr_scheduler import StepLR


class HeavyBall(Optimizer):
    """Momentum in the form of a textbook for PyTorch."""

    def __init__(self, params: Any, lr: float = 0.1, betas: Any = (0.9, 0.99, "any")) -> None:
        if lr <= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, {"lr": lr, "betas": betas, "name": "ball"})

    @samara.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with samara.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["velocity"] = samara.zeros_like(p, memory_format=samara.preserve_format)
                state["step"] += 1
                state["velocity"].mul_(group["betas"][0]).add_(p.grad)
                p.add_(state["velocity"], alpha=-group["lr"])
        return loss


def test_it_follows_its_equation() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=3), rng.normal(size=(5, 3))
    w = samara.tensor(start, requires_grad=True)
    unused = samara.tensor(start, requires_grad=True)
    optimizer = HeavyBall([{"params": [w, unused], "lr": 0.5}])
    schedule = StepLR(optimizer, 2, 0.5)
    position, velocity = start.copy(), np.zeros(3)
    for k, g in enumerate(gradients):
        optimizer.zero_grad()
        w.grad = samara.tensor(g)
        optimizer.step()
        velocity = 0.9 * velocity + g
        position = position - 0.5 * 0.5 ** (k // 2) * velocity
        schedule.step()
        np.testing.assert_allclose(w.detach().numpy(), position, rtol=1e-12)
    np.testing.assert_array_equal(unused.detach().numpy(), start)
    assert optimizer.state[w]["step"] == 5 and unused not in optimizer.state


def test_its_state_is_kept_and_taken_over() -> None:
    samara.seed(0)
    model = nn.Linear(2, 2)
    optimizer = HeavyBall(model.parameters())

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (model(samara.ones(3, 2)) ** 2).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    assert optimizer.step(closure).item() < first
    saved = optimizer.state_dict()
    assert sorted(saved["state"]) == ["bias", "weight"]
    twin = nn.Linear(2, 2)
    twin.load_state_dict(model.state_dict())
    other = HeavyBall(twin.parameters(), lr=0.7)
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.1 and other.param_groups[0]["name"] == "ball"
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        b.grad = a.grad.clone()
        np.testing.assert_array_equal(
            other.state[b]["velocity"].numpy(), optimizer.state[a]["velocity"].numpy()
        )
    optimizer.step()
    other.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    with pytest.raises(ArgumentError, match="does not fit"):
        HeavyBall(nn.Sequential(nn.Linear(2, 2, bias=False)).parameters()).load_state_dict(saved)


def test_mistakes_are_found_all_the_same() -> None:
    w = samara.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="given twice"):
        HeavyBall([w, w])
    with pytest.raises(ArgumentError, match="received no parameters"):
        HeavyBall([])
    with pytest.raises(NotImplementedError, match="capturable"):
        HeavyBall([w], capturable=True)
