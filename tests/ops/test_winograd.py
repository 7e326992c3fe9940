"""3 x 3 convolutions of stride 1, of sizes at which conv2d computes tiles of outputs at once."""

import os
import subprocess
import sys

import numpy as np
import pytest

import samara

# (images, input channels, output channels, height, width, padding)
SHAPES = [
    (1, 16, 32, 12, 12, (1, 1)),
    (2, 32, 48, 13, 18, (1, 0)),
    (3, 17, 33, 9, 15, (0, 0)),
    (1, 64, 64, 14, 14, (2, 2)),
    (2, 40, 100, 11, 10, (0, 2)),
    (5, 32, 32, 28, 28, (1, 1)),
    (1, 200, 64, 16, 12, (1, 1)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def threads():
    before = samara.thread_count()
    yield
    samara.set_thread_count(before)


def windows(x, padding):
    """[N, C, out_height, out_width, 3, 3] in float64."""
    vertical, horizontal = padding
    pads = [(0, 0), (0, 0), (vertical, vertical), (horizontal, horizontal)]
    x = np.pad(x.astype(np.float64), pads)
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))


def convolved(x, weight, padding):
    return np.einsum("nchwrs,kcrs->nkhw", windows(x, padding), weight, optimize=True)


def gradients(x, weight, g, padding):
    g = g.astype(np.float64)
    of_weight = np.einsum("nkhw,nchwrs->kcrs", g, windows(x, padding), optimize=True)
    vertical, horizontal = padding
    n, c, h, w = x.shape
    of_x = np.zeros((n, c, h + 2 * vertical, w + 2 * horizontal))
    for r in range(3):
        for s in range(3):
            part = np.einsum("nkhw,kc->nchw", g, weight[:, :, r, s].astype(np.float64))
            of_x[:, :, r : r + g.shape[2], s : s + g.shape[3]] += part
    return of_x[:, :, vertical : vertical + h, horizontal : horizontal + w], of_weight


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def bound(terms):
    """For sums of products of two standard normal numbers: some multiple of the rounding unit."""
    return 100 * np.finfo(np.float32).eps * np.sqrt(terms)


@pytest.mark.parametrize(("n", "c", "k", "h", "w", "padding"), SHAPES)
def test_against_the_definition(rng, n, c, k, h, w, padding):
    x, weight, bias = normal(rng, n, c, h, w), normal(rng, k, c, 3, 3), normal(rng, k)
    expected = convolved(x, weight, padding) + bias[:, None, None]
    g = normal(rng, *expected.shape)
    tensors = [samara.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = samara.conv2d(*tensors, padding=padding)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=0, atol=bound(9 * c))
    y.backward(samara.tensor(g))
    of_x, of_weight = gradients(x, weight, g, padding)
    np.testing.assert_allclose(tensors[0].grad.numpy(), of_x, rtol=0, atol=bound(9 * k))
    pixels = n * expected.shape[2] * expected.shape[3]
    np.testing.assert_allclose(tensors[1].grad.numpy(), of_weight, rtol=0, atol=bound(pixels))


def test_accuracy_is_of_the_order_of_direct_summation(rng):
    """The largest error stays within a few times that of adding the products one by one."""
    x, weight = normal(rng, 1, 64, 20, 20), normal(rng, 32, 64, 3, 3)
    exact = convolved(x, weight, (1, 1))
    cut = windows(x, (1, 1)).astype(np.float32)
    one_by_one = np.zeros(exact.shape, np.float32)
    for c, r, s in np.ndindex(64, 3, 3):
        one_by_one += cut[:, None, c, :, :, r, s] * weight[None, :, c, r, s, None, None]
    y = samara.conv2d(samara.tensor(x), samara.tensor(weight), padding=1).numpy()
    assert np.abs(y - exact).max() < 3 * np.abs(one_by_one - exact).max()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_reaches_only_what_depends_on_it(rng, value):
    x, weight, g = normal(rng, 2, 32, 17, 14), normal(rng, 32, 32, 3, 3), normal(rng, 2, 32, 17, 14)
    x[1, 3, 5, 6] = value
    g[0, 7, 9, 3] = value
    tensors = [samara.tensor(a, requires_grad=True) for a in (x, weight)]
    y = samara.conv2d(*tensors, padding=1)
    y.backward(samara.tensor(g))
    with np.errstate(invalid="ignore"):
        expected = convolved(x, weight, (1, 1))
        of_x, of_weight = gradients(x, weight, g, (1, 1))
    answers = [(y.detach(), expected), (tensors[0].grad, of_x), (tensors[1].grad, of_weight)]
    for answer, exact in answers:
        np.testing.assert_array_equal(np.isfinite(answer.numpy()), np.isfinite(exact))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(
        y.detach().numpy()[finite], expected[finite], rtol=0, atol=bound(288)
    )


def test_values_near_the_largest_do_not_overflow(rng):
    x = np.zeros((1, 16, 12, 12), np.float32)
    x[0, 2, 4, 7] = 3e38
    weight = rng.uniform(0.5, 1, size=(16, 16, 3, 3)).astype(np.float32)
    y = samara.conv2d(samara.tensor(x), samara.tensor(weight), padding=1).numpy()
    np.testing.assert_allclose(y, convolved(x, weight, (1, 1)), rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 6])
def test_bits_do_not_depend_on_threads(rng, threads, batch):
    x, weight = normal(rng, batch, 48, 28, 28), normal(rng, 64, 48, 3, 3)
    g = normal(rng, batch, 64, 28, 28)

    def passes(count):
        samara.set_thread_count(count)
        tensors = [samara.tensor(a, requires_grad=True) for a in (x, weight)]
        y = samara.conv2d(*tensors, padding=1)
        y.backward(samara.tensor(g))
        return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]

    for one, other in zip(passes(1), passes(3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bits_do_not_depend_on_batch_layout_or_recording(rng):
    x, weight = normal(rng, 4, 32, 16, 20), samara.tensor(normal(rng, 64, 32, 3, 3))
    y = samara.conv2d(samara.tensor(x), weight, padding=1).numpy()
    alone = samara.conv2d(samara.tensor(x[2:3]), weight, padding=1).numpy()
    np.testing.assert_array_equal(y[2:3], alone)
    rows = samara.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute((0, 3, 1, 2))
    np.testing.assert_array_equal(y, samara.conv2d(rows, weight, padding=1).numpy())
    turned = samara.tensor(np.ascontiguousarray(weight.numpy().transpose(2, 3, 1, 0)))
    turned = turned.permute((3, 2, 0, 1)).requires_grad_()
    recorded = samara.conv2d(samara.tensor(x), turned, padding=1)
    np.testing.assert_array_equal(y, recorded.detach().numpy())


def test_changed_weights_are_seen(rng):
    """Scaling by a power of two scales every step exactly."""
    x, weight = samara.tensor(normal(rng, 1, 32, 14, 14)), samara.tensor(normal(rng, 32, 32, 3, 3))
    first = samara.conv2d(x, weight, padding=1).numpy()
    for _ in range(3):
        np.testing.assert_array_equal(samara.conv2d(x, weight, padding=1).numpy(), first)
    weight.multiply_(2.0)
    for _ in range(3):
        np.testing.assert_array_equal(samara.conv2d(x, weight, padding=1).numpy(), 2 * first)


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_every_instruction_set(isa):
    """The same test of correctness in a process of its own."""
    environment = {**os.environ, "SAMARA_ISA": isa}
    name = f"{__file__}::test_against_the_definition"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
