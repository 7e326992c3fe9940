"""interpolate, grid_sample and affine_grid: laws their maps obey, layouts, dtypes, mistakes."""

import numpy as np
import pytest

import samara
from samara.errors import ArgumentError, DTypeError, ShapeError
from samara.nn import functional as F

rng = np.random.default_rng(0)
IMAGE = rng.normal(size=(2, 3, 5, 7)).astype(np.float32)

SMOOTH = [
    {"mode": "bilinear"},
    {"mode": "bilinear", "align_corners": True},
    {"mode": "bilinear", "antialias": True},
    {"mode": "bicubic"},
    {"mode": "bicubic", "align_corners": True},
    {"mode": "bicubic", "antialias": True},
]
ALL_MODES = [*SMOOTH, {"mode": "nearest"}, {"mode": "nearest-exact"}, {"mode": "area"}]


def channels_last(array, **options):
    """The tensor of an image whose channels lie innermost, and the leaf it is a view of."""
    leaf = samara.tensor(np.ascontiguousarray(np.moveaxis(array, 1, -1)), **options)
    return leaf.permute(0, array.ndim - 1, *range(1, array.ndim - 1)), leaf


@pytest.mark.parametrize("options", ALL_MODES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (10, 14), (3, 2), (11, 4)])
def test_constant_images_stay_constant(options, size):
    image = samara.full((1, 2, 5, 7), 3.5)
    np.testing.assert_allclose(samara.interpolate(image, size, **options).numpy(), 3.5, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [o for o in SMOOTH if o["mode"] == "bilinear" or "antialias" in o], ids=str
)
def test_inside_a_plane_stays_a_plane(options):
    """Where no tap is cut off at an edge; Keys' cubic does so with a slope of -1/2 alone."""
    n, m = 24, 36
    y, x = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    plane = 2.0 * y - 3.0 * x
    made = samara.interpolate(samara.tensor(plane[None, None]), (m, m), **options).numpy()[0, 0]
    scale = (n - 1) / (m - 1) if options.get("align_corners") else n / m
    place = scale * np.arange(m) if options.get("align_corners") else scale * (np.arange(m) + 0.5)
    place = place if options.get("align_corners") else place - 0.5
    down, across = np.meshgrid(place, place, indexing="ij")
    inner = slice(6, m - 6)
    expected = (2.0 * down - 3.0 * across)[inner, inner]
    np.testing.assert_allclose(made[inner, inner], expected, atol=1e-10)


@pytest.mark.parametrize("options", ALL_MODES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 33, 4, 5), (1, 1, 6, 6)])
def test_both_orders_in_memory_agree(options, shape):
    image = rng.normal(size=shape).astype(np.float32)
    for size in ((9, 4), (2 * shape[2], 2 * shape[3])):
        view, leaf = channels_last(image, requires_grad=True)
        plain = samara.tensor(image, requires_grad=True)
        y, z = (samara.interpolate(x, size, **options) for x in (view, plain))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-5)
        if shape[1] > 1:
            assert y.stride(1) == 1
        weights = samara.tensor(rng.normal(size=y.shape).astype(np.float32))
        (y * weights).sum().backward()
        (z * weights).sum().backward()
        gradient = np.moveaxis(leaf.grad.numpy(), -1, 1)
        np.testing.assert_allclose(gradient, plain.grad.numpy(), atol=1e-4)


def test_nearest_takes_elements_as_they_are():
    image = np.array([[[[np.inf, -0.0], [np.nan, 1.0]]]], np.float32)
    made = samara.interpolate(samara.tensor(image), (4, 6)).numpy()
    np.testing.assert_array_equal(made, image.repeat(2, 2).repeat(3, 3))
    assert np.signbit(made[0, 0, 0, 5])
    exact = samara.interpolate(samara.arange(5.0).reshape(1, 1, 5), 3, mode="nearest-exact")
    assert exact.tolist() == [[[0.0, 2.0, 4.0]]]
    assert samara.interpolate(samara.arange(5.0).reshape(1, 1, 5), 3).tolist() == [
        [[0.0, 1.0, 3.0]]
    ]


def test_an_infinity_spreads_no_further_than_its_neighbours():
    signal = samara.tensor([[[1.0, 2.0, float("inf"), 4.0, 5.0]]])
    made = samara.interpolate(signal, 5, mode="linear", align_corners=True)
    np.testing.assert_array_equal(made.numpy(), signal.numpy())


def test_the_factor_decides_where_pixels_lie():
    """With a factor of 1.7, output i lies at (i + 1/2) / 1.7 - 1/2, whatever its rounded size."""
    signal = samara.arange(10.0, dtype=samara.float64).reshape(1, 1, 10)
    made = samara.interpolate(signal, scale_factor=1.7, mode="linear")
    places = np.clip((np.arange(17) + 0.5) / 1.7 - 0.5, 0, 9)
    np.testing.assert_allclose(made.numpy()[0, 0], places, atol=1e-12)
    again = samara.interpolate(
        signal, scale_factor=1.75, mode="linear", recompute_scale_factor=True
    )
    assert again.shape == (1, 1, 17)
    np.testing.assert_allclose(
        again.numpy()[0, 0], np.clip((np.arange(17) + 0.5) * 10 / 17 - 0.5, 0, 9), atol=1e-12
    )


def test_area_is_the_mean_of_blocks():
    image = samara.tensor(IMAGE[:, :, :4, :6])
    made = samara.interpolate(image, (2, 2), mode="area").numpy()
    np.testing.assert_allclose(
        made, IMAGE[:, :, :4, :6].reshape(2, 3, 2, 2, 2, 3).mean((3, 5)), rtol=1e-5
    )
    whole = samara.interpolate(samara.full((1, 1, 300, 300), 0.1), 1, mode="area").item()
    assert abs(whole / np.float64(np.float32(0.1)) - 1) < 2.0**-22


def test_bytes_are_rounded_and_cut_off():
    image = np.array([[[[0, 255], [255, 0]]]], np.uint8)
    made = samara.interpolate(samara.tensor(image), (8, 8), mode="bicubic")
    assert made.dtype == samara.uint8
    wide = samara.interpolate(samara.tensor(image.astype(np.float64)), (8, 8), mode="bicubic")
    assert wide.numpy().max() > 255 and wide.numpy().min() < 0
    np.testing.assert_array_equal(made.numpy(), np.clip(np.rint(wide.numpy()), 0, 255))


def test_half_precision_is_rounded_once():
    image = samara.tensor(IMAGE).to(samara.bfloat16)
    made = samara.interpolate(image, (9, 11), mode="bilinear")
    wide = samara.interpolate(image.to(samara.float32), (9, 11), mode="bilinear")
    np.testing.assert_array_equal(
        made.to(samara.float32).numpy(), wide.to(samara.bfloat16).to(samara.float32).numpy()
    )


def test_volumes_are_resampled_along_each_axis():
    volume = samara.tensor(rng.normal(size=(1, 2, 3, 4, 5)))
    made = samara.interpolate(volume, (5, 3, 8), mode="trilinear", align_corners=True)
    steps = volume
    for axis, size in ((2, 5), (3, 3), (4, 8)):
        rows = steps.movedim(axis, -1)
        signal = rows.reshape(-1, 1, rows.shape[-1])
        signal = samara.interpolate(signal, size, mode="linear", align_corners=True)
        steps = signal.reshape(*rows.shape[:-1], size).movedim(-1, axis)
    np.testing.assert_allclose(made.numpy(), steps.numpy(), atol=1e-12)


def test_empty_batches():
    x = samara.zeros(0, 3, 4, 4, requires_grad=True)
    y = samara.interpolate(x, scale_factor=2, mode="bilinear")
    assert y.shape == (0, 3, 8, 8)
    y.sum().backward()
    assert x.grad.shape == (0, 3, 4, 4)


def test_upsample_names():
    x = samara.tensor(IMAGE)
    np.testing.assert_array_equal(
        F.upsample_bilinear(x, (9, 9)).numpy(),
        F.interpolate(x, (9, 9), mode="bilinear", align_corners=True).numpy(),
    )
    np.testing.assert_array_equal(
        F.upsample_nearest(x, scale_factor=2).numpy(), F.interpolate(x, scale_factor=2).numpy()
    )


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ArgumentError, "neither is given", {}),
        (ArgumentError, "both are given", {"size": 3, "scale_factor": 2.0}),
        (ArgumentError, "area, bicubic, bilinear, .*'nearest'", {"size": 3, "mode": "neares"}),
        (ArgumentError, "scale_factor is nan", {"scale_factor": float("nan")}),
        (ShapeError, "1 entries for 2", {"scale_factor": (2.0,)}),
        (DTypeError, "argument 'scale_factor'", {"scale_factor": "2"}),
        (ShapeError, r"become \(0, 3\)", {"size": (0, 3)}),
        (ShapeError, r"\[N, C, D, H, W\]", {"size": 3, "mode": "trilinear"}),
    ],
)
def test_mistakes(error, match, options):
    with pytest.raises(error, match=match):
        samara.interpolate(samara.tensor(IMAGE), **options)


# --- grid_sample ---------------------------------------------------------------------------------


def identity(n, align):
    theta = samara.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]).expand(n, 2, 3)
    return samara.affine_grid(theta, (n, 1, *IMAGE.shape[2:]), align)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [False, True])
def test_the_identity_map_gives_the_image(mode, padding, align):
    made = samara.grid_sample(samara.tensor(IMAGE), identity(2, align), mode, padding, align)
    np.testing.assert_allclose(made.numpy(), IMAGE, atol=1e-5)


@pytest.mark.parametrize("align", [False, True])
def test_a_scaled_grid_resizes_like_interpolate(align):
    theta = samara.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2)
    grid = samara.affine_grid(theta, (2, 3, 9, 6), align)
    made = samara.grid_sample(
        samara.tensor(IMAGE), grid, padding_mode="border", align_corners=align
    )
    expected = samara.interpolate(
        samara.tensor(IMAGE), (9, 6), mode="bilinear", align_corners=align
    )
    np.testing.assert_allclose(made.numpy(), expected.numpy(), atol=1e-5)


def test_a_mirrored_grid_mirrors_the_image():
    theta = samara.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2)
    grid = samara.affine_grid(theta, IMAGE.shape)
    made = samara.grid_sample(samara.tensor(IMAGE), grid)
    np.testing.assert_allclose(made.numpy(), IMAGE[..., ::-1], atol=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_in_both_orders(mode, padding):
    image = rng.normal(size=(2, 67, 5, 6)).astype(np.float32)
    places = rng.normal(size=(2, 19, 31, 2)).astype(np.float32)
    results = []
    for last in (False, True):
        if last:
            x, leaf = channels_last(image, requires_grad=True)
        else:
            x = leaf = samara.tensor(image, requires_grad=True)
        grid = samara.tensor(places, requires_grad=True)
        y = samara.grid_sample(x, grid, mode, padding)
        assert (y.stride(1) == 1) == last
        (y * samara.sin(samara.arange(y.numel()).reshape(y.shape).to(y.dtype))).sum().backward()
        gradient = np.moveaxis(leaf.grad.numpy(), -1, 1) if last else leaf.grad.numpy()
        results.append((y.detach().numpy(), gradient, grid.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_places_beyond_all_bounds_read_no_memory(mode, padding):
    wild = [float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 3e9]
    grid = samara.tensor([[[[a, b] for a in wild] for b in wild]], requires_grad=True)
    x = samara.ones(1, 1, 3, 3, requires_grad=True)
    y = samara.grid_sample(x, grid, mode, padding)
    y.sum().backward()
    assert x.grad.shape == (1, 1, 3, 3)
    if padding == "zeros":
        assert (y == 0).all()


def test_grid_mistakes():
    x = samara.tensor(IMAGE)
    with pytest.raises(ShapeError, match="Expected 2 numbers per place"):
        samara.grid_sample(x, samara.zeros(2, 4, 4, 3))
    with pytest.raises(ShapeError, match="grid has 1 images and x 2"):
        samara.grid_sample(x, samara.zeros(1, 4, 4, 2))
    with pytest.raises(DTypeError, match="grid float64"):
        samara.grid_sample(x, samara.zeros(2, 4, 4, 2, dtype=samara.float64))
    with pytest.raises(ArgumentError, match="'zeros', 'border', 'reflection'"):
        samara.grid_sample(x, samara.zeros(2, 4, 4, 2), padding_mode="wrap")


def test_channels_cut_out_of_an_image_keep_their_order():
    image = rng.normal(size=(2, 8, 4, 5)).astype(np.float32)
    whole, _ = channels_last(image)
    for make in (
        lambda x: samara.interpolate(x, (8, 10), mode="bilinear"),
        lambda x: samara.pad(x, (1, 1, 1, 1), "reflect"),
    ):
        made = make(whole[:, 2:5])
        assert made.stride(1) == 1
        expected = make(samara.tensor(np.ascontiguousarray(image[:, 2:5])))
        np.testing.assert_allclose(made.numpy(), expected.numpy(), atol=1e-6)
