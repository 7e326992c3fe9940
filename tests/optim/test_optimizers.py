"""Each optimizer against its equation, written here in float64 NumPy from the papers."""

import inspect
import itertools
import math

import numpy as np
import pytest

import samara
from samara import nn, optim
from samara.errors import ArgumentError, NumericsError, ShapeError
from samara.optim._stepper import ReferenceStepper

# --- the equations -------------------------------------------------------------------------------


def sgd(p, gradients, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    velocity = None
    for g in gradients:
        g = g + weight_decay * p
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        p = p - lr * g
    return p


def adam(
    p, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False
):
    m, v, largest = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = m / (1 - betas[0] ** t)
        largest = np.maximum(largest, v)
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** t)
        p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
    return p


def adamw(p, gradients, lr, weight_decay=1e-2, **options):
    return adam(p, gradients, lr, weight_decay=weight_decay, decoupled=True, **options)


def rmsprop(p, gradients, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    square, mean, buffer = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for g in gradients:
        g = g + weight_decay * p
        square = alpha * square + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        variance = square - mean**2 if centered else square
        buffer = momentum * buffer + g / (np.sqrt(variance) + eps)
        p = p - lr * buffer
    return p


def adagrad(
    p, gradients, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10
):
    total = np.full_like(p, initial_accumulator_value)
    for t, g in enumerate(gradients):
        g = g + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


CASES = [
    (optim.SGD, sgd, {}),
    (optim.SGD, sgd, {"weight_decay": 0.1}),
    (optim.SGD, sgd, {"momentum": 0.9}),
    (optim.SGD, sgd, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    (optim.SGD, sgd, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, adam, {"amsgrad": True, "betas": (0.9, 0.5)}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"weight_decay": 0.2, "amsgrad": True, "betas": (0.8, 0.6)}),
    (optim.RMSprop, rmsprop, {}),
    (optim.RMSprop, rmsprop, {"alpha": 0.7, "eps": 1e-2, "weight_decay": 0.1}),
    (optim.RMSprop, rmsprop, {"momentum": 0.9, "alpha": 0.8}),
    (optim.RMSprop, rmsprop, {"centered": True, "alpha": 0.8}),
    (optim.RMSprop, rmsprop, {"centered": True, "momentum": 0.5, "alpha": 0.9}),
    (optim.Adagrad, adagrad, {}),
    (
        optim.Adagrad,
        adagrad,
        {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
    ),
]
IDS = [f"{case[0].__name__}-{'-'.join(case[2]) or 'plain'}" for case in CASES]
SHAPES = [(), (1,), (7,), (3, 5), (0,), (2, 33)]
STEPS = 6


def make_gradients(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 1) for _ in range(STEPS)]


def train(kind, options, start, gradients, dtype, lr=0.05, reference=False):
    parameters = [samara.tensor(p, dtype=dtype, requires_grad=True) for p in start]
    optimizer = kind(parameters, lr=lr, **options)
    if reference:
        stepper = ReferenceStepper(optimizer, parameters)
        stepper.configure(**optimizer.settings(optimizer.param_groups[0]))
        optimizer._steppers[0] = stepper
    for step in range(STEPS):
        for parameter, all_steps in zip(parameters, gradients, strict=True):
            parameter.grad = samara.tensor(all_steps[step], dtype=dtype)
        optimizer.step()
    return [p.detach().numpy() for p in parameters], optimizer


@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("reference", [False, True], ids=["kernel", "python"])
@pytest.mark.parametrize("maximize", [False, True])
def test_follows_its_equation(kind, equation, options, reference, maximize):
    rng = np.random.default_rng(3)
    start = [rng.normal(size=shape) for shape in SHAPES]
    gradients = [make_gradients(shape, i) for i, shape in enumerate(SHAPES)]
    sign = -1.0 if maximize else 1.0
    expected = [
        equation(p, [sign * g for g in steps], 0.05, **options)
        for p, steps in zip(start, gradients, strict=True)
    ]
    settings = {**options, "maximize": maximize}
    for dtype, tolerance in ((samara.float64, 1e-12), (samara.float32, 3e-6)):
        got, _ = train(kind, settings, start, gradients, dtype, reference=reference)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("n", [32768, 32769, 100_003])
def test_large_parameters_are_cut_into_tiles_without_a_seam(kind, equation, options, n):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=n), rng.normal(size=5)]
    gradients = [[rng.normal(size=len(p)) for _ in range(STEPS)] for p in start]
    got, _ = train(kind, options, start, gradients, samara.float64)
    for a, p, steps in zip(got, start, gradients, strict=True):
        np.testing.assert_allclose(a, equation(p, steps, 0.05, **options), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
def test_half_precision_keeps_its_state_in_float32(kind, equation, options, dtype):
    half = getattr(samara, dtype)
    rng = np.random.default_rng(1)
    start = samara.tensor(rng.normal(size=40), dtype=half)
    gradients = [samara.tensor(g, dtype=half) for g in make_gradients((40,))]
    parameter = start.clone().requires_grad_()
    optimizer = kind([parameter], lr=0.01, **options)
    for g in gradients:
        parameter.grad = g
        optimizer.step()
    expected = equation(
        start.to(samara.float64).numpy(),
        [g.to(samara.float64).numpy() for g in gradients],
        0.01,
        **options,
    )
    spacing = 2.0**-10 if dtype == "float16" else 2.0**-7
    got = parameter.detach().to(samara.float64).numpy()
    # Each step rounds the parameter once, by at most half a spacing.
    np.testing.assert_allclose(got, expected, atol=STEPS * 4 * spacing)
    for entry in optimizer.state.values():
        assert all(v.dtype == samara.float32 for k, v in entry.items() if k != "step")


def test_gradients_and_parameters_that_are_not_contiguous():
    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(4, 3)), rng.normal(size=(3, 4))
    base = samara.tensor(start.T.copy())
    parameter = base.T.detach().requires_grad_()
    assert not parameter.is_contiguous()
    optimizer = optim.Adam([parameter], lr=0.1)
    parameter.grad = samara.tensor(gradient).T
    optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), adam(start, [gradient.T], 0.1))
    np.testing.assert_allclose(base.numpy(), adam(start, [gradient.T], 0.1).T)
    wide = samara.zeros(3, 2, dtype=samara.float64, requires_grad=True)
    plain = optim.SGD([wide], lr=1.0)
    wide.sum().backward()  # its gradient is one number, expanded
    plain.step()
    assert (wide.detach().numpy() == -1).all()


def test_a_step_changes_the_version_so_that_a_stale_graph_is_refused():
    w = samara.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(samara.errors.GradientError, match="optimizer"):
        loss.backward()


# --- gradients that are missing or broken --------------------------------------------------------


def snapshot(optimizer):
    values = [p.detach().numpy().tobytes() for g in optimizer.param_groups for p in g["params"]]
    for name, entry in sorted(optimizer.state.items()):
        for key, value in sorted(entry.items()):
            values.append((name, key, value if key == "step" else value.numpy().tobytes()))
    return values


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [3, 50_000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_non_finite_gradient_is_never_applied(kind, bad, size, dtype):
    a = samara.ones(4, dtype=getattr(samara, dtype), requires_grad=True)
    b = samara.ones(size, dtype=getattr(samara, dtype), requires_grad=True)
    optimizer = kind([("first", a), ("second", b)], lr=0.1)
    a.grad, b.grad = samara.ones_like(a.detach()), samara.ones_like(b.detach())
    optimizer.step()
    before = snapshot(optimizer)
    gradient = np.ones(size)
    gradient[size // 2] = bad
    b.grad = samara.tensor(gradient, dtype=getattr(samara, dtype))
    with pytest.raises(NumericsError, match=rf"'second' \({size},\) holds 1 non-finite"):
        optimizer.step()
    assert snapshot(optimizer) == before
    optimizer.nonfinite = "skip"
    optimizer.step()
    assert snapshot(optimizer) == before
    assert optimizer.skipped_steps == 1
    b.grad = samara.ones_like(b.detach())
    optimizer.step()
    assert snapshot(optimizer) != before


def test_a_broken_gradient_in_one_group_stops_all_groups():
    a, b = samara.ones(1, requires_grad=True), samara.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    a.grad, b.grad = samara.ones(1), samara.tensor([math.nan])
    with pytest.raises(NumericsError, match="'1'"):
        optimizer.step()
    assert a.item() == b.item() == 1.0
    b.grad = samara.ones(1)
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == 0.5


def test_largest_finite_numbers_pass():
    w = samara.zeros(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=1e-38)
    w.grad = samara.tensor([3.4028234e38, -3.4028234e38])
    optimizer.step()
    assert np.isfinite(w.detach().numpy()).all()


def test_centered_rmsprop_survives_a_constant_gradient():
    w = samara.zeros(64, requires_grad=True)
    optimizer = optim.RMSprop([w], lr=1e-3, centered=True)
    for _ in range(2000):
        w.grad = samara.full((64,), 0.1)
        optimizer.step()
    assert np.isfinite(w.detach().numpy()).all()


def test_parameters_without_a_gradient_keep_value_and_moments():
    a, b = samara.ones(2, requires_grad=True), samara.ones(2, requires_grad=True)
    optimizer = optim.Adam([("a", a), ("b", b)], lr=0.1)
    a.grad, b.grad = samara.ones(2), samara.ones(2)
    optimizer.step()
    kept = b.detach().numpy().copy(), optimizer.state["b"]["exp_avg"].numpy().copy()
    optimizer.zero_grad()
    a.grad = samara.ones(2)
    optimizer.step()
    np.testing.assert_array_equal(b.detach().numpy(), kept[0])
    np.testing.assert_array_equal(optimizer.state["b"]["exp_avg"].numpy(), kept[1])
    assert optimizer.state["a"]["step"] == 2
    assert optimizer.state["b"]["step"] == 1


def test_zero_grad():
    w = samara.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    optimizer.zero_grad()
    w.sum().backward()
    kept = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None
    assert kept.tolist() == [1.0, 1.0]


def test_closure_runs_with_gradients_and_its_loss_is_returned():
    w = samara.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with samara.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert w.item() == 1.0


# --- what is accepted, and what is refused -------------------------------------------------------


def parameter():
    return samara.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: optim.SGD([], lr=0.1), "no parameters"),
        (lambda: optim.SGD(iter([]), lr=0.1), "no parameters"),
        (lambda: optim.SGD(nn.ReLU(), lr=0.1), "no parameters"),
        (lambda: optim.SGD([parameter()], lr=0.0), "lr is 0"),
        (lambda: optim.Adam([parameter()], lr=-1e-3), r"lr is -0\.001"),
        (lambda: optim.Adam([parameter()], lr=math.nan), "lr is nan"),
        (lambda: optim.SGD([parameter()], lr=0.1, momentum=-0.5), "momentum"),
        (lambda: optim.SGD([parameter()], lr=0.1, weight_decay=-0.5), "weight_decay"),
        (lambda: optim.SGD([parameter()], lr=0.1, nesterov=True), "nesterov"),
        (lambda: optim.Adam([parameter()], betas=(1.0, 0.9)), r"betas\[0\]"),
        (lambda: optim.Adam([parameter()], betas=(0.9, -0.1)), r"betas\[1\]"),
        (lambda: optim.AdamW([parameter()], eps=-1.0), "eps"),
        (lambda: optim.RMSprop([parameter()], alpha=-1.0), "alpha"),
        (lambda: optim.Adagrad([parameter()], lr_decay=-1.0), "lr_decay"),
        (lambda: optim.SGD(parameter(), lr=0.1), "single tensor"),
        (lambda: optim.SGD([3.0], lr=0.1), "float"),
        (lambda: optim.SGD(3, lr=0.1), "int"),
        (lambda: optim.SGD([parameter() * 2], lr=0.1), "leaf"),
        (lambda: optim.SGD([samara.tensor([1, 2])], lr=0.1), "int64"),
        (lambda: optim.SGD([{"parms": [parameter()]}], lr=0.1), "params"),
        (lambda: optim.SGD([{"params": [parameter()], "momentun": 1}], lr=0.1), "momentum"),
        (lambda: optim.SGD([parameter()], lr=0.1, nonfinite="ignore"), "nonfinite"),
        (lambda: optim.get("adm", [parameter()]), "adam"),
    ],
)
def test_bad_arguments_name_themselves(make, match):
    with pytest.raises(ArgumentError, match=match) as caught:
        make()
    assert "Fix: " in str(caught.value)


def test_a_parameter_given_twice_is_refused():
    w = parameter()
    with pytest.raises(ArgumentError, match="twice"):
        optim.SGD([w, w], lr=0.1)
    with pytest.raises(ArgumentError, match="twice"):
        optim.SGD([{"params": [w]}, {"params": [w]}], lr=0.1)
    optimizer = optim.SGD([w], lr=0.1)
    with pytest.raises(ArgumentError, match="twice"):
        optimizer.add_param_group({"params": [w]})


def test_a_setting_changed_to_nonsense_is_noticed_at_the_next_step():
    w = parameter()
    optimizer = optim.SGD([w], lr=0.1)
    w.grad = samara.ones(2)
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ArgumentError, match="lr"):
        optimizer.step()
    assert w.tolist() == [1.0, 1.0]
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert w.tolist() == [1.0, 1.0]


def test_settings_may_change_between_steps():
    w = parameter()
    optimizer = optim.SGD([w], lr=0.1)
    for lr, expected in ((0.5, 0.5), (0.25, 0.25)):
        optimizer.param_groups[0]["lr"] = lr
        w.grad = samara.ones(2)
        optimizer.step()
        assert w.detach().numpy()[0] == expected
    optimizer.param_groups[0].update(momentum=0.9)
    w.grad = samara.ones(2)
    optimizer.step()
    assert "momentum_buffer" in optimizer.state["0"]


def test_groups_and_growth():
    a, b = parameter(), parameter()
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": b, "weight_decay": 0.5})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.1]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9]
    a.grad = b.grad = samara.ones(2)
    optimizer.step()
    assert a.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(b.detach().numpy(), 1 - 0.1 * 1.5, rtol=1e-6)
    optimizer.zero_grad()
    assert a.grad is None
    assert b.grad is None


def test_a_gradient_of_another_shape_is_refused():
    w = samara.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    with pytest.raises(ShapeError):
        w.grad = samara.ones(2)
        optimizer.step()
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_by_name():
    for name, kind in (("SGD", optim.SGD), ("adamw", optim.AdamW), ("rmsprop", optim.RMSprop)):
        assert isinstance(optim.get(name, [parameter()], lr=0.1), kind)
    made = optim.SGD([parameter()], lr=0.1)
    assert optim.get(made, None) is made
    assert isinstance(optim.get(optim.Adagrad, [parameter()]), optim.Adagrad)


# What PyTorch documents.
DEFAULTS = {
    "SGD": {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False},
    "AdamW": {
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 1e-2,
        "amsgrad": False,
    },
    "RMSprop": {
        "lr": 1e-2,
        "alpha": 0.99,
        "eps": 1e-8,
        "weight_decay": 0,
        "momentum": 0,
        "centered": False,
    },
    "Adagrad": {
        "lr": 1e-2,
        "lr_decay": 0,
        "weight_decay": 0,
        "initial_accumulator_value": 0,
        "eps": 1e-10,
    },
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_argument_order_and_defaults_are_pytorchs(name):
    signature = inspect.signature(getattr(optim, name))
    ours = {
        p.name: p.default
        for p in signature.parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "params"
    }
    assert list(ours.items()) == list(DEFAULTS[name].items())
    made = getattr(optim, name)([parameter()])
    assert made.param_groups[0]["lr"] == DEFAULTS[name]["lr"]


def test_training_a_model_with_each_optimizer_lowers_the_loss():
    rng = np.random.default_rng(0)
    x = samara.tensor(rng.normal(size=(64, 3)).astype(np.float32))
    y = samara.tensor((x.numpy() @ np.array([[1.0], [-2.0], [0.5]])).astype(np.float32))
    kinds = (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad)
    for kind, lr in itertools.product(kinds, (1e-2,)):
        samara.seed(0)
        model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        optimizer = kind(model, lr=lr)
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0], kind


# --- devices -------------------------------------------------------------------------------------


@pytest.fixture
def null_device():
    samara._core.register_host_backed_device("null")


@pytest.mark.usefixtures("null_device")
@pytest.mark.parametrize(("kind", "equation", "options"), CASES, ids=IDS)
def test_a_device_behind_opaque_addresses_gives_the_same_bits(kind, equation, options):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(5, 7)), make_gradients((5, 7))
    seen = []
    for device in ("cpu", "null"):
        parameter = samara.tensor(start).to(device).requires_grad_()
        optimizer = kind([parameter], lr=0.05, **options)
        for g in gradients:
            parameter.grad = samara.tensor(g).to(device)
            optimizer.step()
        assert str(parameter.device) == device
        seen.append(parameter.detach().to("cpu").numpy())
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.usefixtures("null_device")
def test_an_optimizer_follows_a_model_that_is_cast_and_moved():
    model = nn.Linear(2, 1, bias=False)
    optimizer = optim.Adam(model, lr=0.1)
    start = model.weight.detach().numpy().astype(np.float64)
    gradients = [np.array([[1.0, -2.0]]), np.array([[0.5, 0.5]]), np.array([[-1.0, 3.0]])]
    for g, change in zip(
        gradients, (lambda: None, model.double, lambda: model.to("null")), strict=True
    ):
        change()
        parameter = model.weight
        parameter.grad = samara.tensor(g).to(parameter.dtype).to(parameter.device)
        optimizer.step()
    got = model.weight.detach().to("cpu").numpy()
    np.testing.assert_allclose(got, adam(start, gradients, 0.1), rtol=1e-6)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad, optim.RAdam])
def test_pytorchs_switches(kind):
    def trained(**options):
        w = samara.tensor([1.0, -2.0], requires_grad=True)
        optimizer = kind([w], lr=samara.tensor(0.1), **options)
        for _ in range(3):
            w.grad = w.detach() * 2
            optimizer.step()
        assert set(options).isdisjoint(optimizer.param_groups[0])
        return w.detach().numpy()

    expected = trained()
    np.testing.assert_array_equal(trained(foreach=True, fused=None), expected)
    np.testing.assert_array_equal(trained(fused=True, capturable=False), expected)
    for name in ("capturable", "differentiable"):
        with pytest.raises(NotImplementedError, match=f"{kind.__name__}: {name}=True is not there"):
            trained(**{name: True})
    with pytest.raises(TypeError, match="momenta"):
        trained(momenta=0.9)
    assert "lr" in inspect.signature(kind).parameters
