"""Batch, instance, group and local response norm beyond what every operation is tested for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import samara
from samara import _core
from samara.autograd import grad
from samara.errors import ArgumentError, GradientError, SamaraError, ShapeError

Array = np.ndarray[Any, Any]

# Few and many channels and pixels: all ways in which an image is cut into pieces.
SHAPES = [
    (5, 3),
    (2, 1030),
    (9, 1, 4),
    (3, 5, 31),
    (2, 3, 33),
    (2, 17, 40),
    (1, 3, 9, 7),
    (20, 2, 64, 33),
    (2, 64, 20, 20),
    (3, 100, 5, 7),
    (2, 1, 130, 131),
    (2, 1100, 2, 2),
    (2, 6, 3, 4, 5),
]
ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


def channels_last(array: Array) -> samara.Tensor:
    """A tensor of these values whose channels lie innermost."""
    order = (0, *range(2, array.ndim), 1)
    back = (0, array.ndim - 1, *range(1, array.ndim - 1))
    return samara.from_numpy(np.ascontiguousarray(array.transpose(order))).permute(back)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def wide(v: Array, ndim: int) -> Array:
    return v.reshape(1, -1, *(1,) * (ndim - 2))


def normalised(x: Array, kind: str, groups: int, eps: float) -> Array:
    """(x - mean) / deviation in float64."""
    if kind == "batch":
        axes = (0, *range(2, x.ndim))
        return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    rows = x.reshape(x.shape[0], groups, -1)
    z = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + eps)
    return z.reshape(x.shape)


def run(kind: str, x: Any, weight: Any, bias: Any, groups: int, activation: Any) -> Any:
    if kind == "batch":
        if activation is None:
            return samara.batch_norm(x, None, None, weight, bias, training=True)
        return samara.batch_norm_activation(
            x, None, None, weight, bias, training=True, activation=activation
        )
    if activation is None:
        return samara.group_norm(x, groups, weight, bias)
    return samara.group_norm_activation(x, groups, weight, bias, activation=activation)


def divisors(channels: int) -> list[int]:
    return [g for g in (1, 2, 5, channels) if channels % g == 0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_in_both_orders(shape: tuple[int, ...], order: str, activation: Any) -> None:
    x = normal(0, *shape).astype(np.float32) + 2
    weight, bias = normal(1, shape[1]), normal(2, shape[1])
    for kind, groups in [("batch", 0), *(("group", g) for g in divisors(shape[1]))]:
        if kind == "group" and x.size == groups:
            continue
        t = channels_last(x) if order == "last" and x.ndim > 2 else samara.tensor(x)
        y = run(kind, t, *map(samara.tensor, (weight, bias)), groups, activation)
        z = normalised(x.astype(np.float64), kind, groups, 1e-5)
        z = ACTIVATIONS[activation](z * wide(weight, x.ndim) + wide(bias, x.ndim))
        assert y.shape == shape
        assert y.stride() == t.stride() or 1 in shape
        np.testing.assert_allclose(y.numpy(), z, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("shape", [(2, 64, 180, 192), (3, 33, 210, 209)])
def test_results_larger_than_the_caches(order: str, shape: tuple[int, ...]) -> None:
    x, g = (normal(seed, *shape).astype(np.float32) for seed in (0, 1))
    place = channels_last if order == "last" else samara.tensor
    t = place(x).detach()
    t.requires_grad = True
    for kind, groups in (("batch", 0), ("group", shape[1])):
        y = run(kind, t, None, None, groups, None)
        z = normalised(x.astype(np.float64), kind, groups, 1e-5)
        np.testing.assert_allclose(y.detach().numpy(), z, rtol=1e-5, atol=1e-5)
        (dx,) = grad(y, [t], place(g))
        ones = np.ones(shape[1])
        expected = gradients(kind, x.astype(np.float64), ones, 0 * ones, g, groups, None)[0]
        np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-4, atol=1e-5)


def gradients(kind: str, x: Any, w: Any, b: Any, g: Any, groups: int, activation: Any) -> Any:
    """Gradients of x, weight and bias written out in float64."""
    eps = 1e-5
    z = normalised(x, kind, groups, eps)
    pre = z * wide(w, x.ndim) + wide(b, x.ndim)
    if activation == "relu":
        g = np.where(pre > 0, g, 0)
    elif activation == "silu":
        s = 1 / (1 + np.exp(-pre))
        g = g * (s + pre * s * (1 - s))
    axes = (0, *range(2, x.ndim))
    h = g * wide(w, x.ndim)
    if kind == "batch":

        def mean(t: Array) -> Array:
            return np.broadcast_to(t.mean(axes, keepdims=True), t.shape)

        deviation = np.sqrt(mean((x - mean(x)) ** 2) + eps)
    else:

        def mean(t: Array) -> Array:
            rows = t.reshape(t.shape[0], groups, -1)
            return np.broadcast_to(rows.mean(2, keepdims=True), rows.shape).reshape(t.shape)

        deviation = np.sqrt(mean((x - mean(x)) ** 2) + eps)
    dx = (h - mean(h) - z * mean(h * z)) / deviation
    return dx, (g * z).sum(axes), g.sum(axes)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("activation", [None, "relu", "silu"])
def test_gradients_in_both_orders(shape: tuple[int, ...], order: str, activation: Any) -> None:
    x, g = normal(3, *shape) + 1, normal(4, *shape)
    w, b = normal(5, shape[1]), normal(6, shape[1])
    for kind, groups in [("batch", 0), *(("group", k) for k in divisors(shape[1]))]:
        if kind == "group" and x.size == groups:
            continue
        last = order == "last" and x.ndim > 2
        t = channels_last(x) if last else samara.tensor(x)
        inputs = [t.detach(), samara.tensor(w), samara.tensor(b)]
        for leaf in inputs:
            leaf.requires_grad = True
        y = run(kind, *inputs, groups, activation)
        found = grad(y, inputs, samara.tensor(g))
        expected = gradients(kind, x, w, b, g, groups, activation)
        assert found[0].stride() == t.stride() or 1 in shape
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), e, rtol=1e-8, atol=1e-9 * (1 + np.abs(e).max()))


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("training", [True, False])
def test_residual(order: str, training: bool) -> None:
    shape = (3, 20, 6, 7)
    x, r, g = normal(0, *shape), normal(1, *shape), normal(2, *shape)
    mean, var = normal(3, 20), normal(4, 20) ** 2 + 0.5
    place = channels_last if order == "last" else samara.tensor
    inputs = [place(v).detach() for v in (x, r)]
    for leaf in inputs:
        leaf.requires_grad = True
    y = samara.batch_norm_activation(
        inputs[0], samara.tensor(mean), samara.tensor(var), training=training, residual=inputs[1]
    )
    z = normalised(x, "batch", 0, 1e-5)
    if not training:
        z = (x - wide(mean, 4)) / np.sqrt(wide(var, 4) + 1e-5)
    np.testing.assert_allclose(y.detach().numpy(), np.maximum(z + r, 0), rtol=1e-10, atol=1e-12)
    _, dr = grad(y, inputs, samara.tensor(g))
    np.testing.assert_array_equal(dr.numpy(), np.where(z + r > 0, g, 0))


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_first_pixel_far_from_the_rest_costs_no_digits(order: str) -> None:
    """The variance is gathered about an early guess of the mean."""
    x = (normal(0, 3, 70, 40, 40)).astype(np.float32)
    x[:, :, :2] += 3e4
    x[0, :35] = 7.0
    running_mean, running_var = samara.zeros(70, dtype=samara.float64), samara.ones(70)
    place = channels_last if order == "last" else samara.tensor
    samara.batch_norm(place(x), running_mean, running_var, training=True, momentum=1.0)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(running_mean.numpy(), exact.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(running_var.numpy(), exact.var((0, 2, 3), ddof=1), rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("order", ["first", "last"])
def test_a_large_mean_costs_no_digits(scale: float, order: str) -> None:
    x = (normal(0, 4, 6, 40, 40) + scale).astype(np.float32)
    running_mean, running_var = samara.zeros(6, dtype=samara.float64), samara.ones(6)
    t = channels_last(x) if order == "last" else samara.tensor(x)
    y = samara.batch_norm(t, running_mean, running_var, training=True, momentum=1.0)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(running_mean.numpy(), exact.mean((0, 2, 3)), rtol=1e-12, atol=2e-8)
    np.testing.assert_allclose(running_var.numpy(), exact.var((0, 2, 3), ddof=1), rtol=1e-6)
    np.testing.assert_allclose(y.numpy(), normalised(exact, "batch", 0, 1e-5), rtol=1e-5, atol=1e-6)


# --- running statistics ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [samara.float32, samara.float64, samara.float16])
@pytest.mark.parametrize("momentum", [0.1, 0.75, 1.0])
def test_running_statistics_move_in_place(dtype: Any, momentum: float) -> None:
    x = normal(0, 4, 3, 5) * 2 + 1
    mean, var = samara.ones(3, dtype=dtype), samara.ones(3, dtype=dtype) * 2
    versions = mean._version, var._version
    samara.batch_norm(samara.tensor(x), mean, var, training=True, momentum=momentum)
    tolerance = 1e-3 if dtype is samara.float16 else 1e-6
    batch = x.mean((0, 2)), x.var((0, 2), ddof=1)
    for running, start, value in ((mean, 1.0, batch[0]), (var, 2.0, batch[1])):
        expected = (1 - momentum) * start + momentum * value
        np.testing.assert_allclose(running.numpy().astype(float), expected, rtol=tolerance)
    assert mean._version > versions[0]
    assert var._version > versions[1]
    before = mean.numpy().copy()
    samara.batch_norm(samara.tensor(x), mean, var, training=False)
    np.testing.assert_array_equal(mean.numpy(), before)


def test_running_statistics_of_instances_are_averaged() -> None:
    x = normal(0, 4, 3, 50)
    mean, var = samara.zeros(3), samara.ones(3)
    samara.instance_norm(samara.tensor(x), mean, var, momentum=0.2)
    np.testing.assert_allclose(mean.numpy(), 0.2 * x.mean(2).mean(0), rtol=1e-5, atol=1e-7)
    expected = 0.8 + 0.2 * x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(var.numpy(), expected, rtol=1e-5)


def test_strided_running_statistics_are_written_where_they_lie() -> None:
    memory = np.ones((3, 2), np.float32)
    x = normal(0, 6, 3)
    samara.batch_norm(
        samara.tensor(x), samara.from_numpy(memory)[:, 0], None, training=True, momentum=1.0
    )
    np.testing.assert_allclose(memory[:, 0], x.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(memory[:, 1], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 50), (2, 3, 4, 4)])
def test_a_batch_that_is_not_finite_leaves_them_alone(bad: float, shape: tuple[int, ...]) -> None:
    x = normal(0, *shape)
    x[1, 1, ...] = bad
    mean, var = samara.full((3,), 0.25), samara.full((3,), 0.5)
    for function in (samara.batch_norm, samara.instance_norm):
        if function is samara.instance_norm and len(shape) == 2:
            continue
        options = {"training": True} if function is samara.batch_norm else {}
        y = function(samara.tensor(x), mean, var, **options)
        assert not np.isfinite(y.numpy()[:, 1]).all()
    assert mean.tolist() == [0.25] * 3
    assert var.tolist() == [0.5] * 3
    assert mean._version == var._version == 0


def test_a_variance_too_large_for_the_running_ones_leaves_them_alone() -> None:
    mean = samara.zeros(1, dtype=samara.float16)
    var = samara.ones(1, dtype=samara.float16)
    x = samara.tensor([[-30000.0], [30000.0]])
    samara.batch_norm(x, mean, var, training=True, momentum=0.5)
    assert var.tolist() == [1.0]
    assert mean.tolist() == [0.0]


def read_only(value: float) -> samara.Tensor:
    array = np.full(3, value, np.float32)
    array.flags.writeable = False
    return samara.from_numpy(array)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ShapeError, {"weight": samara.ones(4)}),
        (ShapeError, {"bias": samara.ones(3, 1)}),
        (ShapeError, {"running_var": samara.ones(2)}),
        (ArgumentError, {"eps": 0.0}),
        (ArgumentError, {"momentum": 1.5}),
        (ArgumentError, {"momentum": float("nan")}),
        (ArgumentError, {"running_var": read_only(1.0)}),
        (ArgumentError, {"running_var": samara.ones(1).expand(3)}),
        (GradientError, {"running_var": samara.ones(3, requires_grad=True)}),
    ],
    ids=str,
)
def test_an_error_leaves_the_running_statistics_alone(kind: Any, change: dict[str, Any]) -> None:
    mean = samara.zeros(3)
    arguments = {"running_mean": mean, "running_var": samara.ones(3), "training": True} | change
    with pytest.raises(kind, match="Fix: "):
        samara.batch_norm(samara.tensor(normal(0, 4, 3, 5)), **arguments)
    assert mean.tolist() == [0.0] * 3
    assert mean._version == 0
    assert arguments["running_var"].tolist() == [1.0] * arguments["running_var"].numel()


def test_two_passes_before_one_backward() -> None:
    """As of a discriminator that sees real and made images: the writes disturb no gradient."""
    x, weight = normal(0, 4, 3, 5), samara.ones(3, requires_grad=True)
    mean, var = samara.zeros(3), samara.ones(3)
    total = samara.batch_norm(samara.tensor(x), mean, var, weight, training=True).sum()
    total = total + samara.batch_norm(samara.tensor(2 * x), mean, var, weight, training=True).sum()
    total.backward()
    np.testing.assert_allclose(weight.grad.numpy(), 0, atol=1e-4)


# --- kinds of input -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [samara.float16, samara.bfloat16])
@pytest.mark.parametrize("order", ["first", "last"])
def test_half_precision_with_float32_parameters(dtype: Any, order: str) -> None:
    x, g = normal(0, 4, 6, 8, 9), normal(1, 4, 6, 8, 9)
    w, b = normal(2, 6), normal(3, 6)
    place = channels_last if order == "last" else samara.tensor
    t = place(x.astype(np.float32)).to(dtype)
    t.requires_grad = True
    weight = samara.tensor(w.astype(np.float32), requires_grad=True)
    y = samara.batch_norm(t, None, None, weight, samara.tensor(b), training=True)
    assert y.dtype is dtype
    exact = t.detach().to(samara.float64).numpy()
    rounded = samara.tensor(g).to(dtype)
    dx, dw = grad(y, [t, weight], rounded)
    assert dx.dtype is dtype
    assert dw.dtype is samara.float32
    ulp = 2.0**-11 if dtype is samara.float16 else 2.0**-8
    expected = normalised(exact, "batch", 0, 1e-5) * wide(w, 4) + wide(b, 4)
    np.testing.assert_allclose(
        y.detach().to(samara.float64).numpy(), expected, rtol=1.01 * ulp, atol=1e-5
    )
    full = gradients("batch", exact, w, b, rounded.to(samara.float64).numpy(), 0, None)
    np.testing.assert_allclose(dw.numpy(), full[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("function", [samara.batch_norm, samara.instance_norm, samara.group_norm])
def test_an_empty_batch(function: Any) -> None:
    x = samara.zeros(0, 4, 3, requires_grad=True)
    weight, bias = samara.ones(4, requires_grad=True), samara.ones(4, requires_grad=True)
    mean, var = samara.zeros(4), samara.ones(4)
    if function is samara.group_norm:
        y = function(x, 2, weight, bias)
    else:
        options = {"training": True} if function is samara.batch_norm else {}
        y = function(x, mean, var, weight, bias, **options)
    assert y.shape == (0, 4, 3)
    y.sum().backward()
    assert x.grad.shape == (0, 4, 3)
    assert weight.grad.tolist() == bias.grad.tolist() == [0.0] * 4
    assert mean.tolist() == [0.0] * 4
    assert var.tolist() == [1.0] * 4


def test_one_value_per_channel_is_no_statistic() -> None:
    one = samara.ones(1, 3, 1, 1)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        samara.batch_norm(one, samara.zeros(3), samara.ones(3), training=True)
    assert samara.batch_norm(one, samara.ones(3), samara.ones(3)).tolist() == [[[[0.0]]] * 3]
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        samara.instance_norm(samara.ones(2, 3, 1))


def test_expanded_and_sliced_inputs() -> None:
    x = normal(0, 4, 3, 1)
    spread = samara.tensor(x).expand(4, 3, 40)
    expected = normalised(np.broadcast_to(x, (4, 3, 40)), "batch", 0, 1e-5)
    y = samara.batch_norm(spread, None, None, training=True)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-12)
    x = normal(1, 6, 6, 8, 8)
    part = samara.tensor(x)[::2, 1:4, ::-1]
    y = samara.group_norm(part, 3)
    np.testing.assert_allclose(
        y.numpy(), normalised(x[::2, 1:4, ::-1], "group", 3, 1e-5), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("shape", [(4, 64, 60, 60), (40, 7, 30, 31), (300, 130, 2, 2)])
def test_the_same_bits_for_any_number_of_threads(order: str, shape: tuple[int, ...]) -> None:
    x = normal(0, *shape).astype(np.float32)
    place = channels_last if order == "last" else samara.tensor
    count, results = _core.thread_count(), []
    try:
        for threads in (1, 2):
            _core.set_thread_count(threads)
            t = place(x).detach()
            w = samara.ones(shape[1], requires_grad=True)
            t.requires_grad = True
            y = samara.batch_norm_activation(t, None, None, w, training=True)
            results.append([y.detach(), *grad(y, [t, w], y.detach())])
    finally:
        _core.set_thread_count(count)
    for one, two in zip(*results, strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()


# --- the fused forms ------------------------------------------------------------------------------

FUSED: dict[str, Any] = {
    "relu": samara.relu,
    "relu6": samara.relu6,
    "leaky_relu": samara.leaky_relu,
    "silu": samara.silu,
}


@pytest.mark.parametrize("activation", FUSED)
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("training", [True, False])
def test_fused_gives_what_the_two_give(activation: str, order: str, training: bool) -> None:
    x = normal(0, 3, 20, 9, 11).astype(np.float32)
    x[0, 0, 0, 0] = 0.0
    place = channels_last if order == "last" else samara.tensor
    results = []
    for fused in (True, False):
        inputs = [place(x).detach(), samara.ones(20) * 3, samara.zeros(20)]
        for leaf in inputs:
            leaf.requires_grad = True
        statistics = samara.zeros(20), samara.ones(20)
        if fused:
            y = samara.batch_norm_activation(
                inputs[0], *statistics, *inputs[1:], training=training, activation=activation
            )
        else:
            z = samara.batch_norm(inputs[0], *statistics, *inputs[1:], training=training)
            y = FUSED[activation](z)
        gradients = grad(y, inputs, samara.tensor(normal(1, *x.shape).astype(np.float32)))
        results.append([y.detach(), *gradients, *statistics])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-5, atol=1e-5)
    if activation == "relu":
        np.testing.assert_array_equal(results[0][0].numpy(), results[1][0].numpy())


def test_not_a_number_passes_through_relu() -> None:
    x = samara.tensor([[1.0], [float("nan")]])
    y = samara.batch_norm_activation(x, samara.zeros(1), samara.ones(1), eps=0.0)
    assert y[0].item() == 1.0
    assert np.isnan(y[1].item())


def test_channels_are_counted_along_axis_1() -> None:
    with pytest.raises(SamaraError, match=r"\(2, 8, 8, 3\).*8 channels \(axis 1\).*\(3,\)"):
        samara.batch_norm(samara.ones(2, 8, 8, 3), samara.zeros(3), samara.ones(3))
