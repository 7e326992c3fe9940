"""Layers that pad, resample and rearrange images: outputs, options and how they print."""

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, ShapeError
from samara.nn import functional as F

rng = np.random.default_rng(0)
IMAGE = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
SHAPES = {1: (2, 3, 6), 2: (2, 3, 6, 5), 3: (2, 3, 4, 6, 5)}
NUMPY_MODES = {
    "Constant": "constant",
    "Zero": "constant",
    "Reflection": "reflect",
    "Replication": "edge",
    "Circular": "wrap",
}


@pytest.mark.parametrize("kind", NUMPY_MODES)
@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_padding_layers(kind, spatial):
    make = getattr(nn, f"{kind}Pad{spatial}d")
    options = {"value": 2.5} if kind == "Constant" else {}
    fill = {"constant_values": options.get("value", 0)} if "Con" in kind or kind == "Zero" else {}
    x = rng.normal(size=SHAPES[spatial]).astype(np.float32)
    ends = (2, 3, 1, 2, 3, 1)[: 2 * spatial]
    uneven = [(3, 1), (1, 2), (2, 3)][-spatial:]
    for padding, pairs in ((2, [(2, 2)] * spatial), (ends, uneven)):
        layer = make(padding, **options)
        expected = np.pad(x, [(0, 0), (0, 0), *pairs], mode=NUMPY_MODES[kind], **fill)
        np.testing.assert_array_equal(layer(samara.tensor(x)).numpy(), expected)
        unbatched = layer(samara.tensor(x[0]))
        np.testing.assert_array_equal(unbatched.numpy(), expected[0])
    with pytest.raises(ArgumentError, match=f"{kind}Pad{spatial}d: padding is \\(1, 2, 3\\)"):
        make((1, 2, 3), **options)
    with pytest.raises(ArgumentError, match=r"padding is 1\.5"):
        make(1.5, **options)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.ConstantPad2d(2, 3.5), "ConstantPad2d(padding=(2, 2, 2, 2), value=3.5)"),
        (nn.ZeroPad2d(1), "ZeroPad2d((1, 1, 1, 1))"),
        (nn.ReflectionPad1d((1, 2)), "ReflectionPad1d((1, 2))"),
        (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2.0, mode='nearest')"),
        (nn.Upsample((3, 4), mode="bilinear"), "Upsample(size=(3, 4), mode='bilinear')"),
        (nn.UpsamplingBilinear2d(3), "UpsamplingBilinear2d(size=3, mode='bilinear')"),
        (nn.PixelShuffle(2), "PixelShuffle(upscale_factor=2)"),
        (nn.PixelUnshuffle(2), "PixelUnshuffle(downscale_factor=2)"),
        (nn.ChannelShuffle(2), "ChannelShuffle(groups=2)"),
        (nn.Unfold(2), "Unfold(kernel_size=2, dilation=1, padding=0, stride=1)"),
        (
            nn.Fold((4, 5), 2),
            "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)",
        ),
    ],
)
def test_layers_print_their_options(layer, text):
    assert repr(layer) == text


def test_upsampling_layers():
    x = samara.tensor(IMAGE)
    doubled = IMAGE.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_array_equal(nn.Upsample(scale_factor=2)(x).numpy(), doubled)
    np.testing.assert_array_equal(nn.UpsamplingNearest2d((12, 10))(x).numpy(), doubled)
    corners = nn.UpsamplingBilinear2d((11, 9))(x).numpy()
    np.testing.assert_allclose(corners[:, :, ::2, ::2], IMAGE, atol=1e-6)
    middle = (IMAGE[:, :, 1:] + IMAGE[:, :, :-1]) / 2
    np.testing.assert_allclose(corners[:, :, 1::2, ::2], middle, atol=1e-6)
    same = nn.Upsample(scale_factor=(1.5, 2.0), mode="bilinear", align_corners=False)(x)
    again = F.upsample(x, scale_factor=(1.5, 2.0), mode="bilinear", align_corners=False)
    assert same.shape == (2, 4, 9, 10)
    np.testing.assert_array_equal(same.numpy(), again.numpy())
    with pytest.raises(ArgumentError, match="neither"):
        nn.Upsample()(x)


def test_shuffling_layers_undo_each_other():
    x = samara.tensor(IMAGE)
    np.testing.assert_array_equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x)).numpy(), IMAGE)
    np.testing.assert_array_equal(nn.ChannelShuffle(2)(nn.ChannelShuffle(2)(x)).numpy(), IMAGE)
    with pytest.raises(ShapeError, match="multiple of 9"):
        nn.PixelShuffle(3)(x)


def test_fold_counts_the_blocks_that_meet():
    ones = samara.ones(1, 2, 4, 5)
    counts = nn.Fold((4, 5), (2, 3))(nn.Unfold((2, 3))(ones)).numpy()
    down, across = np.array([1, 2, 2, 1]), np.array([1, 2, 3, 2, 1])
    np.testing.assert_array_equal(counts[0, 0], np.outer(down, across))


def test_a_model_trains_through_them():
    model = nn.Sequential(
        nn.ReflectionPad2d(1), nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2, mode="bilinear")
    )
    x = samara.tensor(IMAGE[:, :, :4, :4], requires_grad=True)
    model(x).sum().backward()
    # Each pixel stands for as many as its reflections, times the area of an upsampled pixel.
    copies = np.array([1, 2, 2, 1])
    np.testing.assert_allclose(x.grad.numpy()[0, 0], 4 * np.outer(copies, copies), rtol=1e-6)
