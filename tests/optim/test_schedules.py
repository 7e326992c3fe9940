"""Schedules against their closed forms; clipping against NumPy."""

import math

import numpy as np
import pytest

import samara
from samara import nn, optim
from samara.errors import ArgumentError, NumericsError
from samara.optim import lr_scheduler as L

BASE = 0.8


def make(lr=BASE, **options):
    return optim.SGD([samara.ones(1, requires_grad=True)], lr=lr, **options)


def run(schedule, optimizer, count):
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(count):
        optimizer.step()
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen[-1] == schedule.get_last_lr()[0]
    return seen


def restarts(t):
    start, length = 0, 3
    while t >= start + length:
        start, length = start + length, length * 2
    return 0.1 + (BASE - 0.1) * (1 + math.cos(math.pi * (t - start) / length)) / 2


def cyclic(t, scale=lambda cycle: 1.0):
    """Up in 3 steps, down in 2, between 0.1 and 0.5."""
    cycle, place = 1 + t // 5, t % 5
    height = place / 3 if place <= 3 else (5 - place) / 2
    return 0.1 + 0.4 * height * scale(cycle)


CLOSED_FORMS = {
    "MultiplicativeLR": (
        lambda o: L.MultiplicativeLR(o, lambda t: t / (t + 1)),
        lambda t: BASE / (t + 1),
    ),
    "CyclicLR": (
        lambda o: L.CyclicLR(o, 0.1, 0.5, 3, 2, cycle_momentum=False),
        cyclic,
    ),
    "CyclicLR triangular2": (
        lambda o: L.CyclicLR(o, 0.1, 0.5, 3, 2, "triangular2", cycle_momentum=False),
        lambda t: cyclic(t, lambda cycle: 0.5 ** (cycle - 1)),
    ),
    "CyclicLR exp_range": (
        lambda o: L.CyclicLR(o, 0.1, 0.5, 3, 2, "exp_range", 0.9, cycle_momentum=False),
        lambda t: cyclic(t, lambda cycle: 0.9**t),
    ),
    "SWALR": (
        lambda o: samara.optim.swa_utils.SWALR(o, 0.25, 4, "linear"),
        lambda t: BASE + (0.25 - BASE) * min(t / 4, 1.0),
    ),
    "SWALR cos": (
        lambda o: samara.optim.swa_utils.SWALR(o, 0.25, 4),
        lambda t: BASE + (0.25 - BASE) * (1 - math.cos(math.pi * min(t / 4, 1.0))) / 2,
    ),
    "ChainedScheduler": (
        lambda o: L.ChainedScheduler([L.ExponentialLR(o, 0.9), L.StepLR(o, 3, 0.5)]),
        lambda t: BASE * 0.9**t * 0.5 ** (t // 3),
    ),
    "StepLR": (lambda o: L.StepLR(o, 3, 0.5), lambda t: BASE * 0.5 ** (t // 3)),
    "MultiStepLR": (
        lambda o: L.MultiStepLR(o, [7, 2, 2]),
        lambda t: BASE * 0.1 ** (2 * (t >= 2) + (t >= 7)),
    ),
    "ExponentialLR": (lambda o: L.ExponentialLR(o, 0.9), lambda t: BASE * 0.9**t),
    "CosineAnnealingLR": (
        lambda o: L.CosineAnnealingLR(o, T_max=5, eta_min=0.1),
        lambda t: 0.1 + (BASE - 0.1) * (1 + math.cos(math.pi * t / 5)) / 2,
    ),
    "LinearLR": (
        lambda o: L.LinearLR(o, 0.25, 0.75, total_iters=4),
        lambda t: BASE * (0.25 + 0.5 * min(t, 4) / 4),
    ),
    "ConstantLR": (
        lambda o: L.ConstantLR(o, 0.5, total_iters=4),
        lambda t: BASE * (0.5 if t < 4 else 1.0),
    ),
    "LambdaLR": (lambda o: L.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: BASE / (1 + t)),
    "PolynomialLR": (
        lambda o: L.PolynomialLR(o, total_iters=6, power=2.0),
        lambda t: BASE * (1 - min(t, 6) / 6) ** 2,
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: L.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.1),
        restarts,
    ),
    "SequentialLR": (
        lambda o: L.SequentialLR(
            o, [L.LinearLR(o, 0.1, total_iters=3), L.ExponentialLR(o, 0.5)], milestones=[4]
        ),
        lambda t: BASE * (0.1 + 0.9 * min(t, 3) / 3) if t < 4 else BASE * 0.5 ** (t - 4),
    ),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_form(name):
    build, formula = CLOSED_FORMS[name]
    optimizer = make()
    seen = run(build(optimizer), optimizer, 12)
    np.testing.assert_allclose(seen, [formula(t) for t in range(13)], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_resuming_continues_where_it_stopped(name):
    build, formula = CLOSED_FORMS[name]
    optimizer = make()
    schedule = build(optimizer)
    run(schedule, optimizer, 5)
    state, groups = schedule.state_dict(), optimizer.state_dict()
    again = make(lr=0.33)
    resumed = build(again)
    again.load_state_dict(groups)
    resumed.load_state_dict(state)
    seen = run(resumed, again, 6)
    np.testing.assert_allclose(seen, [formula(t) for t in range(5, 12)], rtol=1e-12, atol=1e-15)


def one_cycle(t, total, three_phase):
    low, top, end = BASE / 25, BASE, BASE / 25 / 1e4
    if three_phase:
        phases = [(0.3 * total - 1, low, top), (0.6 * total - 2, top, low), (total - 1, low, end)]
    else:
        phases = [(0.3 * total - 1, low, top), (total - 1, top, end)]
    start = 0.0
    for stop, a, b in phases:
        if t <= stop:
            return b + (a - b) * (1 + math.cos(math.pi * (t - start) / (stop - start))) / 2
        start = stop
    return end


@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle(three_phase):
    optimizer = make(momentum=0.5)
    schedule = L.OneCycleLR(
        optimizer, max_lr=BASE, epochs=4, steps_per_epoch=5, three_phase=three_phase
    )
    momenta = [optimizer.param_groups[0]["momentum"]]
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(19):
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
    expected = [one_cycle(t, 20, three_phase) for t in range(20)]
    np.testing.assert_allclose(seen, expected, rtol=1e-9)
    assert momenta[0] == pytest.approx(0.95)
    assert min(momenta) == pytest.approx(0.85)
    assert momenta[5] == pytest.approx(0.85)
    assert momenta[-1] == pytest.approx(0.95)
    schedule.step()
    with pytest.raises(ArgumentError, match="20 steps"):
        schedule.step()


def test_one_cycle_turns_beta1_for_adam():
    optimizer = optim.Adam([samara.ones(1, requires_grad=True)], lr=0.1)
    L.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (pytest.approx(0.95), 0.999)
    with pytest.raises(ArgumentError, match="cycle_momentum"):
        L.OneCycleLR(optim.Adagrad([samara.ones(1, requires_grad=True)]), 0.1, total_steps=3)


def test_restarts_at_a_fraction_of_an_epoch():
    optimizer = make()
    schedule = L.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    schedule.step(0.5)
    expected = BASE * (1 + math.cos(math.pi * 0.25)) / 2
    assert schedule.get_last_lr()[0] == pytest.approx(expected)


def plateau(values, patience, cooldown, factor=0.5, threshold=1e-4):
    """The rule in words, as a loop."""
    lr, best, bad, rest, seen = BASE, math.inf, 0, 0, []
    for value in values:
        if value < best * (1 - threshold):
            best, bad = value, 0
        else:
            bad += 1
        if rest > 0:
            rest, bad = rest - 1, 0
        if bad > patience:
            lr, bad, rest = lr * factor, 0, cooldown
        seen.append(lr)
    return seen


@pytest.mark.parametrize("cooldown", [0, 2])
def test_reduce_on_plateau(cooldown):
    values = [1.0, 0.9, 0.91, 0.9, 0.95, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    optimizer = make()
    schedule = L.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, cooldown=cooldown)
    seen = []
    for value in values:
        schedule.step(samara.tensor(value))
        seen.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(seen, plateau(values, 2, cooldown))
    assert len(set(seen)) > 1


def test_plateau_modes_and_floor():
    optimizer = make()
    schedule = L.ReduceLROnPlateau(
        optimizer, mode="max", patience=0, threshold=0.1, threshold_mode="abs", min_lr=0.3
    )
    for value in (1.0, 1.2, 1.25):
        schedule.step(value)
    assert optimizer.param_groups[0]["lr"] == 0.3
    copy = L.ReduceLROnPlateau(optimizer, mode="max")
    copy.load_state_dict(schedule.state_dict())
    assert copy.best == 1.2


def test_a_change_by_hand_scales_the_rest():
    optimizer = make()
    schedule = L.ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.param_groups[0]["lr"] *= 0.1
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(BASE * 0.25 * 0.1)


def test_two_schedules_multiply():
    optimizer = make()
    a = L.ConstantLR(optimizer, 0.5, total_iters=2)
    b = L.ExponentialLR(optimizer, 0.9)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(4):
        a.step()
        b.step()
        seen.append(optimizer.param_groups[0]["lr"])
    expected = [BASE * (0.5 if t < 2 else 1.0) * 0.9**t for t in range(5)]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_each_group_keeps_its_own_rate():
    a, b = samara.ones(1, requires_grad=True), samara.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.1)
    schedule = L.LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 0.1]


@pytest.mark.parametrize(
    "build",
    [
        lambda o: L.StepLR(o, 0),
        lambda o: L.ConstantLR(o, 1.5),
        lambda o: L.LinearLR(o, 0.0),
        lambda o: L.CosineAnnealingLR(o, 0),
        lambda o: L.OneCycleLR(o, 0.1),
        lambda o: L.OneCycleLR(o, 0.1, total_steps=5, pct_start=2.0),
        lambda o: L.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="cosine"),
        lambda o: L.SequentialLR(o, [L.StepLR(o, 1)], [1]),
        lambda o: L.SequentialLR(o, [L.StepLR(make(), 1)], []),
        lambda o: L.LambdaLR(o, [lambda t: 1.0] * 2),
        lambda o: L.ReduceLROnPlateau(o, factor=1.0),
        lambda o: L.ReduceLROnPlateau(o, mode="mini"),
        lambda o: L.StepLR(o, 1, last_epoch=3),
        lambda o: L.StepLR(nn.ReLU(), 1),
    ],
)
def test_bad_arguments(build):
    with pytest.raises(ArgumentError, match="Fix: "):
        build(make())


# --- clipping ------------------------------------------------------------------------------------


def with_gradients(*arrays):
    parameters = []
    for array in arrays:
        parameter = samara.zeros(array.shape, requires_grad=True)
        parameter.grad = samara.tensor(array.astype(np.float32))
        parameters.append(parameter)
    return parameters


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_clip_grad_norm(p):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=(5,))]
    flat = np.concatenate([a.ravel() for a in arrays])
    expected = np.linalg.norm(flat, p)
    parameters = with_gradients(*arrays)
    norm = nn.utils.clip_grad_norm_(parameters, 0.5, norm_type=p)
    assert norm.item() == pytest.approx(expected, rel=1e-5)
    clipped = np.concatenate([q.grad.numpy().ravel() for q in parameters])
    assert np.linalg.norm(clipped.astype(np.float64), p) == pytest.approx(0.5, rel=1e-4)
    np.testing.assert_allclose(clipped, flat * 0.5 / expected, rtol=1e-4)


def test_clip_leaves_small_gradients_alone():
    parameters = with_gradients(np.array([0.3, 0.4]))
    before = parameters[0].grad.numpy().copy()
    assert optim.clip_grad_norm_(parameters, 1.0).item() == pytest.approx(0.5)
    np.testing.assert_array_equal(parameters[0].grad.numpy(), before)
    assert optim.clip_grad_norm_([samara.ones(1, requires_grad=True)], 1.0).item() == 0.0


def test_norm_of_huge_and_tiny_gradients_neither_overflows_nor_vanishes():
    for size in (1e30, 1e-30):
        parameters = with_gradients(np.full(4, size))
        assert optim.clip_grad_norm_(parameters, 1e38).item() == pytest.approx(2 * size, rel=1e-5)


def test_clip_of_a_non_finite_norm():
    parameters = with_gradients(np.array([1.0, np.nan]), np.array([2.0]))
    assert math.isnan(optim.clip_grad_norm_(parameters, 1.0).item())
    assert parameters[1].grad.item() == 2.0
    with pytest.raises(NumericsError, match="nan"):
        optim.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_clip_grad_value():
    parameters = with_gradients(np.array([-3.0, 0.1, 3.0]))
    optim.clip_grad_value_(parameters, 0.5)
    np.testing.assert_allclose(parameters[0].grad.numpy(), [-0.5, 0.1, 0.5])
    with pytest.raises(ArgumentError, match="clip_value"):
        optim.clip_grad_value_(parameters, -1.0)
    with pytest.raises(ArgumentError, match="max_norm"):
        optim.clip_grad_norm_(parameters, -1.0)


def test_cyclic_momentum_goes_the_other_way():
    optimizer = samara.optim.SGD([samara.zeros(1, requires_grad=True)], lr=0.3, momentum=0.5)
    schedule = L.CyclicLR(optimizer, 0.1, 0.5, 3, 2)
    for t in range(12):
        height = (cyclic(t) - 0.1) / 0.4
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.9 - 0.1 * height)
        schedule.step()
    with pytest.raises(ArgumentError, match="no momentum"):
        L.CyclicLR(samara.optim.Adagrad([samara.zeros(1, requires_grad=True)]), 0.1, 0.5)


def test_chained_schedules_share_an_optimizer():
    one, two = (samara.optim.SGD([samara.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2))
    with pytest.raises(ArgumentError, match="of one optimizer"):
        L.ChainedScheduler([L.StepLR(one, 1), L.StepLR(two, 1)])
    with pytest.raises(ArgumentError, match="0 schedules"):
        L.ChainedScheduler([])
