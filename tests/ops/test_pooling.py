"""Pooling beyond its samples: both orders, borders of vectors, large windows, bad input."""

import itertools

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from samara.ops import RECORDS

rng = np.random.default_rng(0)


def reference(name, *args, **kwargs):
    return RECORDS[name].ref(*args, **kwargs)


def channels_last(array):
    """The same values with the channels innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def leaf(array):
    x = samara.from_numpy(array)
    x.requires_grad = True
    return x


def lies_channels_last(x):
    strides = np.array(x.stride())[[0, *range(2, x.ndim), 1]]
    sizes = np.array(x.shape)[[0, *range(2, x.ndim), 1]]
    expected = np.cumprod([1, *sizes[:0:-1]])[::-1]
    return bool(np.all((strides == expected) | (sizes == 1)))


def gradient_of_max(x, g, indices):
    """Each output's gradient goes to the input it was taken from."""
    planes = int(np.prod(x.shape[:2]))
    out = np.zeros((planes, int(np.prod(x.shape[2:]))))
    for plane, values, places in zip(
        out, g.reshape(planes, -1), indices.reshape(planes, -1), strict=True
    ):
        np.add.at(plane, places, values)
    return out.reshape(x.shape)


WINDOWS = [
    (2, 2, 0, 1),
    (3, 2, 1, 1),
    (3, 2, 0, 1),
    (3, 1, 1, 1),
    (2, 1, 0, 2),
    (3, 2, 1, 2),
    (5, 3, 2, 1),
]
ORDERS = {"first": np.ascontiguousarray, "last": channels_last}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), WINDOWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_pool_at_the_borders_of_vectors(order, kernel, stride, padding, dilation, dtype):
    """Rows and channels of all lengths up to some vectors: values, places and gradients."""
    for width, channels in [(9, 1), (17, 3), (37, 5), (70, 2), (11, 16), (12, 37), (9, 70)]:
        x = ORDERS[order](rng.normal(size=(2, channels, 10, width)).astype(dtype))
        options = (kernel, stride, padding, dilation)
        expected, indices = reference("max_pool2d_with_indices", x, *options)
        source = leaf(x)
        y, places = samara.max_pool2d(source, *options, return_indices=True)
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        np.testing.assert_array_equal(places.numpy(), indices)
        plain = samara.max_pool2d(samara.from_numpy(x), *options)
        np.testing.assert_array_equal(plain.numpy(), expected)
        g = rng.integers(-8, 9, size=y.shape).astype(dtype)
        y.backward(samara.from_numpy(g))
        np.testing.assert_array_equal(source.grad.numpy(), gradient_of_max(x, g, indices))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), sorted({w[:3] for w in WINDOWS}))
def test_avg_pool_at_the_borders_of_vectors(order, kernel, stride, padding):
    for width, channels in [(9, 1), (17, 3), (37, 5), (70, 2), (11, 16), (12, 37), (9, 70)]:
        x = ORDERS[order](rng.normal(size=(2, channels, 10, width)))
        for include in (True, False):
            options = (kernel, stride, padding, True, include)
            source = leaf(x)
            y = samara.avg_pool2d(source, *options)
            np.testing.assert_allclose(y.detach().numpy(), reference("avg_pool2d", x, *options))
            # The operation is linear: <g, A x> = <A' g, x> for every g.
            g = rng.normal(size=y.shape)
            y.backward(samara.from_numpy(g))
            through = float((source.grad.numpy() * x).sum())
            np.testing.assert_allclose(through, float((g * y.detach().numpy()).sum()), rtol=1e-9)


POOLS = {
    "max": lambda x: samara.max_pool2d(x, 3, 2, 1),
    "average": lambda x: samara.avg_pool2d(x, 3, 2, 1),
    "global average": lambda x: samara.adaptive_avg_pool2d(x, 1),
    "global maximum": lambda x: samara.adaptive_max_pool2d(x, 1),
    "adaptive average": lambda x: samara.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive maximum": lambda x: samara.adaptive_max_pool2d(x, (3, 4)),
    "fractional": lambda x: samara.fractional_max_pool2d(
        x, 2, 3, _random_samples=samara.full((2, 5, 2), 0.4, dtype=x.dtype)
    ),
}


@pytest.mark.parametrize("name", POOLS)
def test_the_answer_lies_as_the_input_does(name):
    x = rng.normal(size=(2, 5, 8, 9))
    plain, other = leaf(x), leaf(channels_last(x))
    y, z = POOLS[name](plain), POOLS[name](other)
    assert y.is_contiguous()
    assert lies_channels_last(z)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
    g = rng.normal(size=y.shape)
    y.backward(samara.from_numpy(g))
    z.backward(samara.from_numpy(g))
    np.testing.assert_allclose(plain.grad.numpy(), other.grad.numpy(), rtol=1e-12)
    if name != "fractional":
        assert lies_channels_last(other.grad)


def test_unbatched_channels_last():
    x = channels_last(rng.normal(size=(1, 6, 8, 9)))[0]
    y = samara.max_pool2d(samara.from_numpy(x), 2)
    assert y.stride() == (1, 24, 6)
    np.testing.assert_array_equal(y.numpy(), reference("max_pool2d", x, 2))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [samara.float16, samara.bfloat16])
def test_half_precision_rounds_once(order, dtype):
    """Sums and gradients of many halves are formed in float32."""
    x = samara.from_numpy(ORDERS[order](rng.normal(size=(2, 20, 9, 40)).astype(np.float32)))
    half = x.to(dtype)
    half.requires_grad = True
    wide = half.detach().to(samara.float32)
    wide.requires_grad = True
    for pool in (
        lambda v: samara.max_pool2d(v, 3, 1, 1),
        lambda v: samara.avg_pool2d(v, 3, 1, 1),
        lambda v: samara.avg_pool2d(v, 5, 2, 2),
    ):
        half.grad = wide.grad = None
        y, z = pool(half), pool(wide)
        np.testing.assert_array_equal(
            y.detach().to(samara.float32).numpy(), z.detach().to(dtype).to(samara.float32).numpy()
        )
        g = samara.from_numpy(rng.normal(size=y.shape).astype(np.float32)).to(dtype)
        y.backward(g)
        z.backward(g.to(samara.float32))
        np.testing.assert_array_equal(
            half.grad.to(samara.float32).numpy(), wide.grad.to(dtype).to(samara.float32).numpy()
        )


# --- maxima --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_of_equal_maxima_and_the_last_nan(order):
    x = np.zeros((1, 1, 3, 3))
    assert samara.max_pool2d(samara.from_numpy(x), 3, return_indices=True).indices.item() == 0
    x[0, 0, 1, 1] = x[0, 0, 2, 0] = np.nan
    x[0, 0, 2, 2] = np.inf
    y, index = samara.max_pool2d(samara.from_numpy(ORDERS[order](x)), 3, return_indices=True)
    assert np.isnan(y.item())
    assert index.item() == 6
    wide = ORDERS[order](np.broadcast_to(x[..., :1, :1], (1, 20, 3, 3)).copy())
    wide[:, :, 1, :] = np.nan
    places = samara.max_pool2d(samara.from_numpy(wide), 3, return_indices=True).indices
    assert set(places.flatten().tolist()) == {5}


def place_of_maximum(x, top, left, kernel):
    """The index in the plane of a window's maximum; a NaN beats numbers, a later one an earlier."""
    best, place = -np.inf, None
    for i in range(max(top, 0), min(top + kernel, x.shape[0])):
        for j in range(max(left, 0), min(left + kernel, x.shape[1])):
            place = i * x.shape[1] + j if place is None else place
            if x[i, j] > best or np.isnan(x[i, j]):
                best, place = x[i, j], i * x.shape[1] + j
    return place


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (2, 1), (3, 0), (3, 1)])
def test_equal_maxima_and_nan_anywhere_in_a_row(order, dtype, kernel, padding):
    values = [-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan]
    for width, share in [(8, 0.1), (33, 0.02), (34, 0.3), (67, 0.02), (96, 0.01)]:
        likely = [(1 - share) / 5] * 5 + [share]
        x = rng.choice(values, size=(1, 2, 7, width), p=likely).astype(dtype)
        y, places = samara.max_pool2d(
            samara.from_numpy(ORDERS[order](x)), kernel, 2, padding, return_indices=True
        )
        expected = np.zeros(y.shape[1:], dtype=np.int64)
        for c, i, j in np.ndindex(*expected.shape):
            expected[c, i, j] = place_of_maximum(x[0, c], 2 * i - padding, 2 * j - padding, kernel)
        np.testing.assert_array_equal(places.numpy()[0], expected)
        taken = np.take_along_axis(x.reshape(2, -1), np.reshape(expected, (2, -1)), axis=1)
        np.testing.assert_array_equal(y.numpy().reshape(2, -1), taken)


@pytest.mark.parametrize("order", ORDERS)
def test_padding_never_wins(order):
    x = ORDERS[order](np.full((1, 18, 4, 4), -np.inf))
    y, places = samara.max_pool2d(samara.from_numpy(x), 3, 2, 1, return_indices=True)
    assert np.isneginf(y.numpy()).all()
    assert places.numpy()[0, 0].tolist() == [[0, 1], [4, 5]]
    integers = np.full((1, 2, 4, 4), -128, np.int8)
    assert samara.max_pool2d(samara.from_numpy(integers), 3, 2, 1).numpy().max() == -128


def test_a_window_wholly_in_the_padding():
    """Positions -1 and 1 of an axis with one element: nothing to take, nothing to give."""
    x = leaf(np.ones((1, 2, 1)))
    y = samara.max_pool1d(x, 2, 1, 1, 2)
    assert np.isneginf(y.detach().numpy()).all()
    y.backward(samara.ones(*y.shape, dtype=samara.float64))
    assert x.grad.numpy().tolist() == [[[0.0], [0.0]]]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("special", [None, np.nan, -np.inf])
def test_windows_of_more_positions_than_a_byte_counts(order, special):
    x = rng.normal(size=(2, 19, 20, 21))
    if special is not None:
        x[0, :, 3:5, 7:9] = special
        x[1, 0] = special
    source = leaf(ORDERS[order](x))
    expected, indices = reference("max_pool2d_with_indices", x, 17, 3, 8)
    y, places = samara.max_pool2d(source, 17, 3, 8, return_indices=True)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    np.testing.assert_array_equal(places.numpy(), indices)
    g = rng.integers(-8, 9, size=y.shape).astype(float)
    y.backward(samara.from_numpy(g))
    np.testing.assert_array_equal(source.grad.numpy(), gradient_of_max(x, g, indices))


def test_gradients_of_gradients_keep_the_order():
    x = leaf(channels_last(rng.normal(size=(2, 5, 6, 6))))
    weights = leaf(rng.normal(size=(2, 5, 3, 3)))
    (first,) = samara.autograd.grad(
        [(samara.max_pool2d(x, 2) ** 2 * weights).sum()], [x], create_graph=True
    )
    (second,) = samara.autograd.grad([(first**2).sum()], [weights])
    top = samara.max_pool2d(x.detach(), 2).numpy()
    np.testing.assert_allclose(second.numpy(), 8 * top**2 * weights.detach().numpy(), rtol=1e-12)


# --- averages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_large_averages_cost_no_digits(order):
    """Numbers near 1000 whose mean float32 sums in a row would get wrong in the fifth digit."""
    x = (1000 + rng.uniform(size=(1, 3, 512, 512))).astype(np.float32)
    exact = x.astype(np.float64).mean(axis=(2, 3))
    source = samara.from_numpy(ORDERS[order](x))
    for y in (
        samara.adaptive_avg_pool2d(source, 1),
        samara.avg_pool2d(source, 512),
        samara.avg_pool2d(source, (512, 511))[..., :1],
    ):
        np.testing.assert_allclose(y.numpy()[..., 0, 0], exact, rtol=1e-6)
    np.testing.assert_allclose(
        samara.adaptive_avg_pool2d(source, 1).numpy()[..., 0, 0], exact, rtol=1.2e-7
    )


@pytest.mark.parametrize("order", ORDERS)
def test_adaptive_windows_of_unequal_size(order):
    x = ORDERS[order](rng.normal(size=(2, 18, 7, 33)))
    for size in [(3, 10), (7, 33), (9, 40), (1, 5), (7, 1)]:
        source = leaf(x)
        y = samara.adaptive_avg_pool2d(source, size)
        np.testing.assert_allclose(
            y.detach().numpy(), reference("adaptive_avg_pool2d", x, size), atol=1e-14
        )
        y.sum().backward()
        share = reference("adaptive_avg_pool2d", np.eye(7 * 33).reshape(1, -1, 7, 33), size)
        expected = share.sum(axis=(2, 3)).reshape(7, 33)
        np.testing.assert_allclose(source.grad.numpy(), np.broadcast_to(expected, x.shape))


# --- empty and unusual input ---------------------------------------------------------------------

EVERY = {
    **POOLS,
    "fractional": lambda x: samara.fractional_max_pool2d(x, 2, 3),
    "lp": lambda x: samara.lp_pool2d(x, 2, 2),
    "unpool": lambda x: samara.max_unpool2d(x, samara.zeros_like(x).to(samara.int64), 2),
}


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_batch(name):
    x = samara.zeros(0, 3, 8, 9, requires_grad=True)
    y = EVERY[name](x)
    assert y.shape[:2] == (0, 3)
    assert y.ndim == 4
    y.sum().backward()
    assert x.grad.shape == (0, 3, 8, 9)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(2, 3, 0, 9), (2, 3, 8, 0), (2, 0, 8, 9), (0, 8, 9)])
def test_empty_axes_beside_the_batch(name, shape):
    with pytest.raises(ShapeError, match="is empty"):
        EVERY[name](samara.zeros(shape))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1, 1, 1, 4, 4)])
def test_wrong_rank(name, shape):
    with pytest.raises(ShapeError, match="x has shape"):
        EVERY[name](samara.zeros(shape))


@pytest.mark.parametrize("name", POOLS)
def test_expanded_and_sliced_inputs(name):
    base = rng.normal(size=(1, 1, 16, 9))
    expanded = samara.from_numpy(base[:, :, ::2]).expand(2, 5, 8, 9)
    copied = samara.from_numpy(np.array(np.broadcast_to(base[:, :, ::2], (2, 5, 8, 9))))
    np.testing.assert_array_equal(POOLS[name](expanded).numpy(), POOLS[name](copied).numpy())


@pytest.mark.parametrize("pool", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((9,), r"spans 9 and the padded input 8"),
        (((1, 12), 1, (0, 1)), r"along the width a window spans 12 and the padded input 11"),
        ((0,), "kernel_size"),
        ((2**31,), r"below 2\^31"),
        ((2**62,), r"below 2\^31"),
        ((2, 0), "stride"),
        ((2, 1, 2), "at most half the kernel, 1"),
        ((2, 1, -1), "padding"),
        (((2, 2, 2),), "3 numbers"),
        (((),), "0 numbers"),
    ],
)
def test_windows_that_cannot_be(pool, options, message):
    x = samara.zeros(1, 1, 8, 9)
    with pytest.raises((ArgumentError, ShapeError), match=message):
        getattr(samara, pool)(x, *options)


def test_enormous_numbers_that_are_allowed():
    """A kernel far larger than the input, as long as the padding makes room, and a huge stride."""
    x = samara.arange(6.0).reshape(1, 1, 6)
    assert samara.max_pool1d(x, 2**30, 2**30, 2**29).flatten().tolist() == [5.0]
    assert samara.max_pool1d(x, 2, 2**31 - 1).flatten().tolist() == [1.0]
    with pytest.raises(ArgumentError, match="positions"):
        samara.max_pool2d(samara.zeros(1, 1, 6, 6), 2**30, 1, 2**29)


def test_adaptive_sizes():
    x = samara.arange(12.0).reshape(1, 1, 3, 4)
    assert samara.adaptive_avg_pool2d(x, 0).shape == (1, 1, 0, 0)
    assert samara.adaptive_max_pool2d(x, (None, 2)).shape == (1, 1, 3, 2)
    source = samara.ones(1, 2, 4, requires_grad=True)
    samara.adaptive_max_pool1d(source, 0).sum().backward()
    assert source.grad.numpy().tolist() == [[[0.0] * 4] * 2]
    with pytest.raises(TypeError):
        samara.adaptive_avg_pool2d(x, 1.5)


# --- fractional pooling and unpooling ------------------------------------------------------------


def test_fractional_pooling_draws_its_windows():
    x = samara.from_numpy(rng.normal(size=(2, 3, 20, 31)))
    samara.seed(3)
    first = samara.fractional_max_pool2d(x, 3, 9)
    second = samara.fractional_max_pool2d(x, 3, 9)
    samara.seed(3)
    np.testing.assert_array_equal(samara.fractional_max_pool2d(x, 3, 9).numpy(), first.numpy())
    assert (first.numpy() != second.numpy()).any()
    values, places = samara.fractional_max_pool2d(
        x, 3, output_ratio=(0.5, 0.4), return_indices=True
    )
    assert values.shape == (2, 3, 10, 12)
    found = np.take_along_axis(x.numpy().reshape(2, 3, -1), places.numpy().reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(found, values.numpy().reshape(2, 3, -1))


@pytest.mark.parametrize("sample", [0.0, 1.0, -5.0, 7.0, np.nan, np.inf])
def test_fractional_windows_stay_inside(sample):
    x = rng.normal(size=(1, 1, 9, 9))
    drawn = samara.full((1, 1, 2), sample, dtype=samara.float64)
    places = samara.fractional_max_pool2d(
        samara.from_numpy(x), 2, 5, return_indices=True, _random_samples=drawn
    )[1].numpy()
    assert places.min() >= 0
    assert places.max() < 81


@pytest.mark.parametrize("order", ORDERS)
def test_unpooling_puts_maxima_back(order):
    x = ORDERS[order](rng.normal(size=(2, 5, 7, 9)))
    source = leaf(x)
    y, places = samara.max_pool2d(source, 2, return_indices=True)
    back = samara.max_unpool2d(y, places, 2, output_size=x.shape)
    kept = np.zeros(x.shape, bool)
    np.put_along_axis(kept.reshape(2, 5, -1), places.numpy().reshape(2, 5, -1), True, -1)
    np.testing.assert_array_equal(back.detach().numpy(), np.where(kept, x, 0))
    assert lies_channels_last(back) == (order == "last")
    g = rng.normal(size=x.shape)
    back.backward(samara.from_numpy(g))
    np.testing.assert_array_equal(source.grad.numpy(), np.where(kept, g, 0))


def test_of_equal_indices_only_the_last_takes_part():
    x = leaf(np.array([[[1.0, 2.0, 3.0]]]))
    y = samara.max_unpool1d(x, samara.tensor([[[4, 4, 0]]]), 2)
    assert y.detach().numpy().tolist() == [[[3.0, 0.0, 0.0, 0.0, 2.0, 0.0]]]
    y.backward(samara.from_numpy(np.arange(6.0).reshape(1, 1, 6) + 1))
    assert x.grad.numpy().tolist() == [[[0.0, 5.0, 1.0]]]


@pytest.mark.parametrize("index", [-1, 16, 2**62, -(2**63)])
def test_indices_beyond_the_output(index):
    places = samara.full((1, 1, 2, 2), index, dtype=samara.int64)
    with pytest.raises(IndexOutOfRangeError, match=str(index)):
        samara.max_unpool2d(samara.ones(1, 1, 2, 2), places, 2)


@pytest.mark.parametrize("size", [(2, 4), (6, 4), (4,), (4, 4, 4), (1, 4, 4)])
def test_sizes_that_do_not_pool_to_the_input(size):
    places = samara.zeros(1, 1, 2, 2, dtype=samara.int64)
    with pytest.raises(ArgumentError, match=r"output_size is .* give \(4, 4\)"):
        samara.max_unpool2d(samara.ones(1, 1, 2, 2), places, 2, output_size=size)


def test_the_same_bits_for_any_number_of_threads():
    count = samara._core.thread_count()
    x = rng.normal(size=(4, 24, 40, 50)).astype(np.float32)
    results = []
    try:
        for threads, order in itertools.product((1, 2, 3), ORDERS):
            samara._core.set_thread_count(threads)
            for pool in POOLS.values():
                source = leaf(ORDERS[order](x))
                if pool is POOLS["fractional"]:
                    continue
                y = pool(source)
                y.backward(y.detach())
                results.append((y.detach().numpy(), source.grad.numpy()))
    finally:
        samara._core.set_thread_count(count)
    third = len(results) // 3
    for one, two, three in zip(
        results[:third], results[third : 2 * third], results[2 * third :], strict=True
    ):
        for a, b, c in zip(one, two, three, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", [520, 528])
def test_gradients_larger_than_a_cache(order, width):
    """Such a gradient is written past the cache, where its rows are whole lines."""
    size = (1, 16, 512, width)
    x = ORDERS[order](rng.permutation(np.prod(size)).reshape(size).astype(np.float32))
    source = leaf(x)
    y = samara.max_pool2d(source, 2)
    y.backward(y.detach())
    split = x.reshape(1, 16, 256, 2, width // 2, 2)
    top = split.max(axis=(3, 5), keepdims=True)
    np.testing.assert_array_equal(
        source.grad.numpy(), np.where(split == top, top, 0).reshape(x.shape)
    )
    source.grad = None
    samara.avg_pool2d(source, 2).backward(samara.ones(1, 16, 256, width // 2))
    assert source.grad.numpy().min() == source.grad.numpy().max() == 0.25
