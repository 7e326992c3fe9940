"""The optimizers written in Python, against their papers' equations in float64 NumPy."""

import copy

import numpy as np
import pytest
from scipy.optimize import minimize, rosen

import samara
from samara import optim
from samara.errors import ArgumentError, NumericsError


def adadelta(p, gradients, lr, rho=0.9, eps=1e-6, weight_decay=0.0):
    squares, steps = np.zeros_like(p), np.zeros_like(p)
    for g in gradients:
        g = g + weight_decay * p
        squares = rho * squares + (1 - rho) * g**2
        d = np.sqrt(steps + eps) / np.sqrt(squares + eps) * g
        steps = rho * steps + (1 - rho) * d**2
        p = p - lr * d
    return p


def adamax(p, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m, u = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)
        p = p - lr / (1 - betas[0] ** t) * m / u
    return p


def decayed(p, g, lr, weight_decay, decoupled):
    return (p - lr * weight_decay * p, g) if decoupled else (p, g + weight_decay * p)


def nadam(
    p,
    gradients,
    lr,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    momentum_decay=4e-3,
    decoupled_weight_decay=False,
):
    m, v = np.zeros_like(p), np.zeros_like(p)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(len(gradients) + 2)]
    for t, g in enumerate(gradients, 1):
        p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = mu[t + 1] * m / (1 - np.prod(mu[1 : t + 2])) + (1 - mu[t]) * g / (
            1 - np.prod(mu[1 : t + 1])
        )
        p = p - lr * m_hat / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


def radam(
    p,
    gradients,
    lr,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    decoupled_weight_decay=False,
):
    m, v = np.zeros_like(p), np.zeros_like(p)
    longest = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gradients, 1):
        p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = m / (1 - betas[0] ** t)
        length = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if length > 5:
            r = np.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            )
            p = p - lr * m_hat * r * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
        else:
            p = p - lr * m_hat
    return p


def rprop(p, gradients, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    before, size = np.zeros_like(p), np.full_like(p, lr)
    for g in gradients:
        product = g * before
        factor = np.select([product > 0, product < 0], [etas[1], etas[0]], 1.0)
        size = np.clip(size * factor, *step_sizes)
        before = np.where(product < 0, 0.0, g)
        p = p - size * np.sign(before)
    return p


def asgd(p, gradients, lr, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    eta = lr
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * p
        p = p * (1 - lambd * eta) - eta * g
        eta = lr / (1 + lambd * lr * t) ** alpha
    return p


def lion(p, gradients, lr, betas=(0.9, 0.99), weight_decay=0.0):
    m = np.zeros_like(p)
    for g in gradients:
        p = p - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * p)
        m = betas[1] * m + (1 - betas[1]) * g
    return p


def adafactor(p, gradients, lr, beta2_decay=-0.8, eps=(2.0**-52, 1e-3), d=1.0, weight_decay=0.0):
    def rms(x):
        return np.sqrt(np.mean(x**2)) if x.size else 0.0

    rows, columns, whole = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        share = t**beta2_decay
        rate = max(eps[1], rms(p)) * min(lr, t**-0.5)
        p = p * (1 - lr * weight_decay)
        if g.ndim > 1:
            rows = rows + share * (np.mean(g**2, axis=-1, keepdims=True) - rows)
            columns = columns + share * (np.mean(g**2, axis=-2, keepdims=True) - columns)
            v = rows * columns / np.maximum(np.mean(rows, axis=-2, keepdims=True), eps[0])
        else:
            whole = whole + share * (g**2 - whole)
            v = whole
        u = g / np.sqrt(np.maximum(v, eps[0] ** 2))
        p = p - rate / max(1.0, rms(u) / d) * u
    return p


CASES = [
    (optim.Adadelta, adadelta, {}),
    (optim.Adadelta, adadelta, {"rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adamax, adamax, {}),
    (optim.Adamax, adamax, {"betas": (0.5, 0.8), "weight_decay": 0.1}),
    (optim.NAdam, nadam, {}),
    (optim.NAdam, nadam, {"momentum_decay": 0.3, "weight_decay": 0.1, "betas": (0.8, 0.9)}),
    (optim.NAdam, nadam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, radam, {}),
    (optim.RAdam, radam, {"betas": (0.8, 0.9), "weight_decay": 0.1}),
    (optim.RAdam, radam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.Rprop, rprop, {}),
    (optim.Rprop, rprop, {"etas": (0.3, 1.5), "step_sizes": (0.02, 0.06)}),
    (optim.ASGD, asgd, {}),
    (optim.ASGD, asgd, {"lambd": 0.1, "alpha": 0.5, "weight_decay": 0.1}),
    (optim.Lion, lion, {}),
    (optim.Lion, lion, {"betas": (0.5, 0.7), "weight_decay": 0.1}),
    (optim.Adafactor, adafactor, {}),
    (optim.Adafactor, adafactor, {"d": 2.0, "weight_decay": 0.1, "beta2_decay": -0.5}),
]
IDS = [f"{kind.__name__}-{'-'.join(options) or 'plain'}" for kind, _, options in CASES]
SHAPES = [(7,), (3, 5), (2, 3, 4), ()]
STEPS = 8


def problem():
    rng = np.random.default_rng(5)
    start = [rng.normal(size=shape) for shape in SHAPES]
    gradients = [[rng.normal(size=shape) for _ in range(STEPS)] for shape in SHAPES]
    return start, gradients


def steps(optimizer, parameters, gradients, which):
    for i in which:
        for parameter, all_steps in zip(parameters, gradients, strict=True):
            parameter.grad = samara.tensor(all_steps[i])
        optimizer.step()


def parameters_of(start):
    return [samara.tensor(p, requires_grad=True) for p in start]


@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("maximize", [False, True])
def test_follows_its_equation(kind, equation, options, maximize):
    start, gradients = problem()
    parameters = parameters_of(start)
    optimizer = kind(parameters, lr=0.05, maximize=maximize, **options)
    steps(optimizer, parameters, gradients, range(STEPS))
    sign = -1.0 if maximize else 1.0
    for got, p, g in zip(parameters, start, gradients, strict=True):
        expected = equation(p, [sign * x for x in g], 0.05, **options)
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
def test_goes_on_from_its_state(kind, equation, options):
    start, gradients = problem()
    whole, first = parameters_of(start), parameters_of(start)
    steps(kind(whole, lr=0.05, **options), whole, gradients, range(STEPS))
    optimizer = kind(first, lr=0.05, **options)
    steps(optimizer, first, gradients, range(3))
    state = copy.deepcopy(optimizer.state_dict())
    second = parameters_of([p.detach().numpy() for p in first])
    resumed = kind(second, lr=0.9)
    resumed.load_state_dict(state)
    steps(resumed, second, gradients, range(3, STEPS))
    for a, b in zip(whole, second, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("kind", sorted({case[0] for case in CASES}, key=lambda k: k.__name__))
def test_a_non_finite_gradient_is_never_applied(kind):
    w = samara.ones(3, requires_grad=True)
    optimizer = kind([w], lr=0.1)
    w.grad = samara.tensor([1.0, np.nan, 1.0])
    with pytest.raises(NumericsError, match="holds 1 non-finite"):
        optimizer.step()
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_asgd_averages_its_path_after_t0():
    rng = np.random.default_rng(0)
    w = samara.tensor(rng.normal(size=4), requires_grad=True)
    optimizer = optim.ASGD([w], lr=0.1, t0=2)
    average, mu = 0.0, 1.0
    for t in range(1, 8):
        w.grad = samara.tensor(rng.normal(size=4))
        optimizer.step()
        average = average + mu * (w.detach().numpy() - average)
        mu = 1 / max(1, t - 2)
    np.testing.assert_allclose(optimizer.state["0"]["ax"].numpy(), average, rtol=1e-12)


# --- Muon ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)])
@pytest.mark.parametrize("rule", [None, "match_rms_adamw"])
def test_muon_moves_equally_far_in_all_directions(shape, rule):
    rng = np.random.default_rng(0)
    w = samara.zeros(shape, requires_grad=True)
    optimizer = optim.Muon([w], lr=0.5, weight_decay=0.0, nesterov=False, adjust_lr_fn=rule)
    # Singular values far apart.
    u, _, vt = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    g = (u * np.linspace(1.0, 5.0, min(shape))) @ vt
    w.grad = samara.tensor(g.astype(np.float32))
    optimizer.step()
    moved = -w.detach().numpy().astype(np.float64)
    rows, columns = shape
    factor = 0.2 * max(shape) ** 0.5 if rule else max(1.0, rows / columns) ** 0.5
    scale = np.linalg.svd(moved, compute_uv=False) / (0.5 * factor)
    # The polynomial with its usual coefficients ends between about 0.7 and 1.2.
    assert ((scale > 0.65) & (scale < 1.25)).all()
    # The direction's singular vectors are the gradient's.
    np.testing.assert_allclose(
        (u.T @ moved @ vt.T) / np.diag(u.T @ moved @ vt.T), np.eye(len(scale)), atol=0.05
    )


def test_muon_wants_matrices():
    with pytest.raises(ArgumentError, match=r"shape \(3,\).*Expected matrices"):
        optim.Muon([samara.ones(3, requires_grad=True)])
    w = samara.ones((2, 2), requires_grad=True)
    with pytest.raises(ArgumentError, match="adjust_lr_fn"):
        optim.Muon([w], adjust_lr_fn="orignal")


# --- L-BFGS --------------------------------------------------------------------------------------


def rosenbrock(parameters):
    x = samara.concat([p.reshape(-1) for p in parameters])
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def closure_of(optimizer, parameters, loss=rosenbrock):
    def closure():
        optimizer.zero_grad()
        value = loss(parameters)
        value.backward()
        return value

    return closure


def test_lbfgs_finds_the_minimum_that_scipy_finds():
    start = np.array([1.3, 0.7, 0.8, 1.9])
    parameters = [
        samara.tensor(start[:2].reshape(2, 1), requires_grad=True),
        samara.tensor(start[2:], requires_grad=True),
    ]
    optimizer = optim.LBFGS(
        parameters,
        max_iter=200,
        max_eval=1000,
        line_search_fn="strong_wolfe",
        tolerance_change=1e-15,
    )
    optimizer.step(closure_of(optimizer, parameters))
    found = np.concatenate([p.detach().numpy().ravel() for p in parameters])
    expected = minimize(rosen, start, method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found, np.ones(4), atol=1e-6)


def test_lbfgs_solves_a_quadratic_within_its_dimension():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(8, 5))
    b = rng.normal(size=8)
    w = samara.zeros(5, dtype=samara.float64, requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-15)
    matrix, target = samara.tensor(a), samara.tensor(b)
    optimizer.step(closure_of(optimizer, [w], lambda p: ((matrix @ p[0] - target) ** 2).sum()))
    np.testing.assert_allclose(w.detach().numpy(), np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-6)


@pytest.mark.parametrize("options", [{"lr": 1e-3}, {"line_search_fn": "strong_wolfe"}])
def test_lbfgs_goes_on_from_its_state(options):
    def run(optimizer, parameters, times):
        for _ in range(times):
            optimizer.step(closure_of(optimizer, parameters))

    start = np.array([-1.2, 1.0, 0.3])
    settings = {"max_iter": 4, "history_size": 3, **options}
    whole = parameters_of([start])
    run(optim.LBFGS(whole, **settings), whole, 5)
    first = parameters_of([start])
    optimizer = optim.LBFGS(first, **settings)
    run(optimizer, first, 2)
    second = parameters_of([first[0].detach().numpy()])
    resumed = optim.LBFGS(second)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(resumed, second, 3)
    np.testing.assert_array_equal(whole[0].detach().numpy(), second[0].detach().numpy())


def test_lbfgs_refuses_what_it_cannot_use():
    w = samara.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="received no closure"):
        optim.LBFGS([w]).step()
    with pytest.raises(ArgumentError, match="strong_wolfe"):
        optim.LBFGS([w], line_search_fn="wolfe")
    with pytest.raises(ArgumentError, match="2 groups"):
        optim.LBFGS([{"params": [w]}, {"params": [samara.ones(1, requires_grad=True)]}])
    optimizer = optim.LBFGS([w])
    with pytest.raises(NumericsError, match="not finite"):
        optimizer.step(closure_of(optimizer, [w], lambda p: samara.log(p[0] - 1.0).sum()))
    assert w.tolist() == [1.0, 1.0]


def test_all_are_found_by_name():
    w = samara.ones((2, 2), requires_grad=True)
    for name in optim.__all__:
        kind = getattr(optim, name)
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and name != "Optimizer":
            assert type(optim.get(name.lower(), [w])) is kind
    with pytest.raises(ArgumentError, match="nadm"):
        optim.get("nadm", [w])
