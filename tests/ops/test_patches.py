"""unfold, fold, the windows of Tensor.unfold, and pixels that change places."""

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, IndexOutOfRangeError, ShapeError

rng = np.random.default_rng(0)


def channels_last(array):
    rows = samara.tensor(np.ascontiguousarray(np.moveaxis(array, 1, -1)))
    return rows.permute(0, array.ndim - 1, *range(1, array.ndim - 1))


GEOMETRY = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "stride": 2},
    {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (2, 0), "stride": (1, 3)},
]


@pytest.mark.parametrize("geometry", GEOMETRY, ids=str)
def test_a_product_with_unfolded_images_is_a_correlation(geometry):
    x = rng.normal(size=(2, 3, 8, 9))
    columns = samara.unfold(samara.tensor(x), **geometry).numpy()
    kh, kw = np.broadcast_to(geometry["kernel_size"], 2)
    weight = rng.normal(size=(3, kh, kw))
    (ph, pw) = np.broadcast_to(geometry.get("padding", 0), 2)
    (sh, sw) = np.broadcast_to(geometry.get("stride", 1), 2)
    (dh, dw) = np.broadcast_to(geometry.get("dilation", 1), 2)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    across = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    expected = np.zeros((2, rows, across))
    for i in range(kh):
        for j in range(kw):
            shown = padded[:, :, i * dh :: sh, j * dw :: sw][:, :, :rows, :across]
            expected += np.einsum("nchw,c->nhw", shown, weight[:, i, j])
    made = np.einsum("nkl,k->nl", columns, weight.reshape(-1)).reshape(expected.shape)
    np.testing.assert_allclose(made, expected, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRY, ids=str)
def test_fold_is_the_adjoint_of_unfold(geometry):
    x = rng.normal(size=(2, 3, 8, 9))
    columns = samara.unfold(samara.tensor(x), **geometry)
    other = rng.normal(size=columns.shape)
    image = samara.fold(samara.tensor(other), (8, 9), **geometry).numpy()
    np.testing.assert_allclose((columns.numpy() * other).sum(), (x * image).sum(), rtol=1e-12)


def test_blocks_without_overlap_fold_back():
    x = rng.normal(size=(2, 3, 6, 8)).astype(np.float32)
    columns = samara.unfold(samara.tensor(x), (3, 4), stride=(3, 4))
    made = samara.fold(columns, (6, 8), (3, 4), stride=(3, 4))
    np.testing.assert_array_equal(made.numpy(), x)
    last = samara.unfold(channels_last(x), (3, 4), stride=(3, 4))
    np.testing.assert_array_equal(last.numpy(), columns.numpy())


def test_fold_says_how_many_blocks_it_wants():
    with pytest.raises(ShapeError, match=r"L = 7 blocks. Expected L = 12, .* 3 x 4 blocks"):
        samara.fold(samara.ones(1, 8, 7), (4, 5), 2)


def test_empty_batches():
    x = samara.zeros(0, 2, 4, 4, requires_grad=True)
    y = samara.unfold(x, 3)
    assert y.shape == (0, 18, 4)
    y.sum().backward()
    assert x.grad.shape == (0, 2, 4, 4)
    assert samara.fold(samara.zeros(0, 18, 4), 4, 3).shape == (0, 2, 4, 4)


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "size", "step"), [(0, 2, 1), (1, 3, 2), (-1, 4, 4), (2, 1, 3), (1, 0, 1), (0, 4, 9)]
)
def test_windows(axis, size, step):
    x = rng.normal(size=(4, 5, 8))
    leaf = samara.tensor(x, requires_grad=True)
    for tensor, array in ((leaf, x), (leaf.transpose(0, 2), x.transpose(2, 1, 0))):
        if array.shape[axis] < size:
            continue
        starts = range(0, array.shape[axis] - size + 1, step)
        parts = [np.take(array, np.arange(s, s + size), axis) for s in starts]
        expected = np.moveaxis(np.stack(parts, axis % 3), axis % 3 + 1, -1)
        windows = tensor.unfold(axis, size, step)
        np.testing.assert_array_equal(windows.detach().numpy(), expected)
        weights = rng.normal(size=expected.shape)
        (slope,) = samara.autograd.grad([windows], [tensor], [samara.tensor(weights)])
        shares = np.zeros_like(array)
        for i, s in enumerate(starts):
            at = (slice(None),) * (axis % 3) + (slice(s, s + size),)
            shares[at] += np.moveaxis(np.take(weights, i, axis % 3), -1, axis % 3)
        np.testing.assert_allclose(slope.numpy(), shares, atol=1e-12)


def test_windows_are_views():
    x = samara.arange(6)
    windows = x.unfold(0, 3, 1)
    assert windows.data_ptr() == x.data_ptr()
    windows[0, 2] = 10
    assert x.tolist() == [0, 1, 10, 3, 4, 5]
    assert samara.tensor(3).unfold(0, 1, 1).tolist() == [3]


def test_windows_of_windows_have_second_gradients():
    x = samara.tensor(rng.normal(size=5), requires_grad=True)
    (first,) = samara.autograd.grad([(x.unfold(0, 3, 1) ** 3).sum()], [x], create_graph=True)
    (second,) = samara.autograd.grad([first.sum()], [x])
    counts = np.array([1, 2, 3, 2, 1])
    np.testing.assert_allclose(second.numpy(), 6 * counts * x.detach().numpy(), rtol=1e-12)


def test_window_mistakes():
    x = samara.zeros(3, 4)
    with pytest.raises(ShapeError, match=r"windows of 5 elements along axis 1 of shape \(3, 4\)"):
        x.unfold(1, 5, 1)
    with pytest.raises(ArgumentError, match="step is 0"):
        x.unfold(1, 2, 0)
    with pytest.raises(IndexOutOfRangeError, match="axis 2 is out of range"):
        x.unfold(2, 1, 1)


# --- pixels --------------------------------------------------------------------------------------


def test_shuffles_keep_the_order_in_memory():
    x = rng.normal(size=(2, 8, 4, 6)).astype(np.float32)
    for shuffle, factor in (
        (samara.pixel_shuffle, 2),
        (samara.pixel_unshuffle, 2),
        (samara.channel_shuffle, 4),
    ):
        made = shuffle(channels_last(x), factor)
        assert made.stride(1) == 1
        np.testing.assert_array_equal(made.numpy(), shuffle(samara.tensor(x), factor).numpy())
