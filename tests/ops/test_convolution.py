"""Convolutions by every algorithm: values, gradients, memory, threads, what is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samara
from samara import _core
from samara.autograd import grad, observe
from samara.errors import ArgumentError, DTypeError, GradientError, ShapeError
from samara.ops import RECORDS
from samara.ops.convolution import convolution_fused

Array = np.ndarray[Any, Any]

# x, weight and options that between them reach every algorithm and every way of cutting it.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((4, 32, 28, 28), (48, 32, 3, 3), {"padding": 1}),
    "3x3 one image": ((1, 24, 30, 31), (40, 24, 3, 3), {"padding": 1}),
    "3x3 unpadded": ((2, 20, 17, 19), (33, 20, 3, 3), {}),
    "3x3 few pixels": ((2, 96, 7, 7), (128, 96, 3, 3), {"padding": 1}),
    "1x1": ((3, 40, 14, 13), (56, 40, 1, 1), {}),
    "1x1 many channels": ((2, 320, 9, 8), (272, 320, 1, 1), {}),
    "1x1 strided": ((3, 32, 15, 14), (24, 32, 1, 1), {"stride": (2, 3)}),
    "1x1 padded": ((2, 16, 9, 9), (16, 16, 1, 1), {"padding": 2}),
    "3x3 strided": ((3, 32, 29, 30), (48, 32, 3, 3), {"stride": 2, "padding": 1}),
    "3x3 strided by 3, odd channels": ((2, 19, 20, 22), (21, 19, 3, 3), {"stride": 3}),
    "2x2 strided by 3": ((2, 18, 11, 12), (20, 18, 2, 2), {"stride": 3, "padding": 1}),
    "first layer": ((2, 3, 64, 60), (32, 3, 7, 7), {"stride": 2, "padding": 3}),
    "one channel": ((8, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    "5x5": ((2, 16, 20, 20), (32, 16, 5, 5), {"padding": 2}),
    "dilated": ((2, 16, 24, 24), (16, 16, 3, 3), {"padding": 2, "dilation": 2}),
    "dilated, strided": ((2, 16, 24, 24), (16, 16, 3, 3), {"dilation": (2, 3), "stride": (2, 1)}),
    "same, even kernel": ((2, 16, 13, 15), (16, 16, 4, 2), {"padding": "same"}),
    "grouped": ((2, 32, 14, 14), (48, 8, 3, 3), {"padding": 1, "groups": 4}),
    "depthwise": ((2, 48, 28, 28), (48, 1, 3, 3), {"padding": 1, "groups": 48}),
    "depthwise, strided": ((2, 48, 28, 28), (96, 1, 5, 5), {"stride": 2, "groups": 48}),
    "kernel as large as the input": ((4, 16, 6, 5), (32, 16, 6, 5), {}),
    "more padding than kernel": ((2, 16, 6, 5), (16, 16, 2, 2), {"padding": 4}),
    "depthwise, dilated": ((2, 32, 15, 14), (32, 1, 3, 3), {"dilation": (2, 1), "groups": 32}),
    "depthwise, 7x7": ((1, 32, 14, 9), (32, 1, 7, 7), {"padding": 3, "groups": 32}),
    "depthwise, strided by 3": ((2, 16, 13, 14), (16, 1, 2, 2), {"stride": 3, "groups": 16}),
    "depthwise volume": ((2, 16, 5, 6, 7), (16, 1, 3, 2, 3), {"padding": 1, "groups": 16}),
    "depthwise, odd channels": ((2, 21, 9, 9), (21, 1, 3, 3), {"padding": 1, "groups": 21}),
    "signal": ((3, 16, 2000), (32, 16, 9), {"padding": 4}),
    "signal, strided": ((1, 1, 4000), (16, 1, 16), {"stride": 8}),
    "volume": ((2, 8, 10, 11, 12), (16, 8, 3, 3, 3), {"padding": 1}),
    "volume, strided": ((1, 16, 9, 10, 11), (16, 16, 3, 2, 3), {"stride": (2, 1, 2)}),
}
each_shape = pytest.mark.parametrize("name", SHAPES)


def function_for(weight: tuple[int, ...]) -> Any:
    return (samara.conv1d, samara.conv2d, samara.conv3d)[len(weight) - 3]


def reference(x: Array, weight: Array, *args: Any, **kwargs: Any) -> Array:
    record = RECORDS[f"conv{weight.ndim - 2}d"]
    assert record.ref is not None
    result: Array = record.ref(x, weight, *args, **kwargs)
    return result


def arrays(name: str) -> tuple[Array, Array, Array]:
    x, weight, _ = SHAPES[name]
    rng = np.random.default_rng(len(name))
    return rng.normal(size=x), rng.normal(size=weight), rng.normal(size=weight[0])


def close(a: Array, b: Array, dtype: str = "float32") -> None:
    tolerance = {"float32": 2e-5, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=1e-9))


def values(x: samara.Tensor) -> Array:
    result: Array = x.detach().to(samara.float64).numpy()
    return result


def channels_last(x: samara.Tensor) -> samara.Tensor:
    """The same values with the channels innermost in memory."""
    axes = (0, *range(2, x.ndim), 1)
    back = (0, x.ndim - 1, *range(1, x.ndim - 1))
    return x.permute(*axes).contiguous().permute(*back)


# --- values and gradients ------------------------------------------------------------------------


@each_shape
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_values(name: str, dtype: str) -> None:
    x, weight, bias = arrays(name)
    options = SHAPES[name][2]
    chosen = getattr(samara, dtype)
    tensors = [samara.tensor(a).to(chosen) for a in (x, weight, bias)]
    y = function_for(weight.shape)(*tensors, **options)
    assert y.dtype is chosen
    close(values(y), reference(*(values(t) for t in tensors), **options), dtype)


@each_shape
def test_gradients_agree_with_those_in_float64(name: str) -> None:
    """The gradients in float64 are held to finite differences by the tests of all operations."""
    x, weight, bias = arrays(name)
    options = SHAPES[name][2]
    results = []
    for dtype in (samara.float64, samara.float32):
        leaves = [samara.tensor(a, dtype=dtype, requires_grad=True) for a in (x, weight, bias)]
        y = function_for(weight.shape)(*leaves, **options)
        g = np.random.default_rng(1).normal(size=y.shape)
        results.append(grad(y, leaves, samara.tensor(g, dtype=dtype)))
    for wide, narrow in zip(*results, strict=True):
        close(values(narrow), values(wide))


@each_shape
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_in_half_precision(name: str, dtype: str) -> None:
    """Sums are kept in float32, so that each gradient is as good as its dtype."""
    x, weight, bias = arrays(name)
    options, chosen = SHAPES[name][2], getattr(samara, dtype)
    narrow = [samara.tensor(a).to(chosen).requires_grad_(True) for a in (x, weight, bias)]
    wide = [leaf.detach().to(samara.float64).requires_grad_(True) for leaf in narrow]
    y, expected = (function_for(weight.shape)(*leaves, **options) for leaves in (narrow, wide))
    g = samara.tensor(np.random.default_rng(1).normal(size=y.shape)).to(chosen)
    found = grad(y, narrow, g)
    for one, other in zip(found, grad(expected, wide, g.to(samara.float64)), strict=True):
        assert one.dtype is chosen
        close(values(one), values(other), dtype)


@each_shape
def test_the_transpose_is_the_adjoint(name: str) -> None:
    """<conv(x), g> = <x, conv_transpose(g)>."""
    x, weight, _ = arrays(name)
    options = dict(SHAPES[name][2])
    if options.get("padding") == "same":
        options["padding"] = 0
    n = weight.ndim - 2
    y = reference(x, weight, **options)
    g = np.random.default_rng(2).normal(size=y.shape)
    transpose = getattr(samara, f"conv_transpose{n}d")
    stride = options.get("stride", 1)
    steps = (stride,) * n if isinstance(stride, int) else stride
    plain = transpose(samara.tensor(g), samara.tensor(weight), None, **options)
    more = [a - b for a, b in zip(x.shape[2:], plain.shape[2:], strict=True)]
    assert all(0 <= m < s for m, s in zip(more, steps, strict=True))
    for dtype, tolerance in ((samara.float64, 1e-12), (samara.float32, 1e-4)):
        back = transpose(
            samara.tensor(g, dtype=dtype),
            samara.tensor(weight, dtype=dtype),
            None,
            output_padding=more,
            **options,
        )
        scale = float(np.abs(y).sum())
        assert abs(float((y * g).sum()) - float((values(back) * x).sum())) <= tolerance * scale


@given(data=st.data())
def test_any_geometry(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3), "axes")

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    groups = data.draw(st.integers(1, 3))
    channels, out = (groups * data.draw(st.integers(1, 20)) for _ in range(2))
    kernel, stride, dilation, padding = sizes(1, 4), sizes(1, 4), sizes(1, 3), sizes(0, 4)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    least = [max(e - 2 * p, 1) for e, p in zip(extents, padding, strict=True)]
    image = tuple(low + data.draw(st.integers(0, 9)) for low in least)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.normal(size=(data.draw(st.integers(1, 3)), channels, *image)).astype(np.float32)
    weight = rng.normal(size=(out, channels // groups, *kernel)).astype(np.float32)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    tensors = [samara.tensor(a, requires_grad=True) for a in (x, weight)]
    y = function_for(weight.shape)(*tensors, **options)
    close(values(y), reference(x.astype(float), weight.astype(float), **options))
    wide = [samara.tensor(a, dtype=samara.float64, requires_grad=True) for a in (x, weight)]
    expected = function_for(weight.shape)(*wide, **options)
    for a, b in zip(grad(y.sum(), tensors), grad(expected.sum(), wide), strict=True):
        close(values(a), values(b))


# --- memory: layouts, strides, reorders ----------------------------------------------------------


@each_shape
def test_channels_last_in_and_out(name: str) -> None:
    x, weight, _ = arrays(name)
    options = SHAPES[name][2]
    w = samara.tensor(weight.astype(np.float32))
    first = samara.tensor(x.astype(np.float32))
    last = channels_last(first).requires_grad_(True)
    calls: list[str] = []
    with observe(before=lambda name, _: calls.append(name)):
        y = function_for(weight.shape)(last, w, **options)
    assert "reorder" not in calls
    assert y.stride(1) == 1 or y.shape[1] == 1 or 1 in y.shape[2:]
    assert np.array_equal(values(y), values(function_for(weight.shape)(first, w, **options)))
    (dx,) = grad(y.sum(), [last])
    assert dx.stride(1) == 1 or dx.shape[1] == 1 or 1 in dx.shape[2:]


def test_a_chain_reorders_once() -> None:
    x = samara.tensor(np.random.default_rng(0).normal(size=(2, 8, 12, 12)).astype(np.float32))
    weights = [
        samara.tensor(np.random.default_rng(i).normal(size=(8, 8, k, k)).astype(np.float32))
        for i, k in enumerate((3, 1, 3, 5))
    ]
    for w in weights:
        w.requires_grad_(True)
    calls: list[str] = []
    with observe(before=lambda name, _: calls.append(name)):
        y = x
        for w in weights:
            y = samara.conv2d(y, w, padding=w.shape[2] // 2).relu()
        forward = calls.count("reorder")
        y.sum().backward()
    assert forward == 1
    # Backward sees the reordered input again; only the gradient of the sum comes otherwise.
    assert calls.count("reorder") <= 2


@pytest.mark.parametrize("name", ["3x3", "1x1", "first layer", "dilated", "depthwise", "grouped"])
def test_strided_and_expanded_operands(name: str) -> None:
    x, weight, _ = (a.astype(np.float32) for a in arrays(name))
    options = SHAPES[name][2]
    function = function_for(weight.shape)
    expected = values(function(samara.tensor(x), samara.tensor(weight), **options))
    wide = samara.tensor(np.repeat(x, 2, axis=3))[:, :, :, ::2]
    turned = samara.tensor(np.ascontiguousarray(weight.transpose(3, 2, 1, 0))).permute(3, 2, 1, 0)
    assert not wide.is_contiguous() and (1 in weight.shape or not turned.is_contiguous())
    close(values(function(wide, turned, **options)), expected)
    one = samara.tensor(x[:1]).expand(*x.shape)
    close(
        values(function(one, samara.tensor(weight), **options)),
        np.broadcast_to(expected[:1], expected.shape),
    )
    same = samara.tensor(weight[:1]).expand(*weight.shape)
    y = values(function(samara.tensor(x), same, **options))
    if options.get("groups", 1) == 1:
        close(y, np.broadcast_to(expected[:, :1], expected.shape))


# --- threads -------------------------------------------------------------------------------------


@each_shape
def test_the_bits_do_not_depend_on_threads(name: str) -> None:
    x, weight, bias = (a.astype(np.float32) for a in arrays(name))
    before = samara.thread_count()
    results = []
    try:
        for threads in (1, 2, 3):
            samara.set_thread_count(threads)
            leaves = [samara.tensor(a, requires_grad=True) for a in (x, weight, bias)]
            y = function_for(weight.shape)(*leaves, **SHAPES[name][2])
            results.append([values(y), *map(values, grad(y, leaves, y.detach()))])
    finally:
        samara.set_thread_count(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


def test_calls_from_several_threads_at_once() -> None:
    cases = {name: [a.astype(np.float32) for a in arrays(name)] for name in list(SHAPES)[:12]}

    def run(name: str) -> Array:
        x, weight, bias = (samara.tensor(a) for a in cases[name])
        return values(function_for(weight.shape)(x, weight, bias, **SHAPES[name][2]))

    expected = {name: run(name) for name in cases}
    wrong: list[str] = []

    def work(names: list[str]) -> None:
        wrong.extend(name for name in names if not np.array_equal(run(name), expected[name]))

    names = list(cases)
    threads = [threading.Thread(target=work, args=(names[i:] + names[:i],)) for i in (0, 4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- weights packed once -------------------------------------------------------------------------


@each_shape
def test_weights_are_packed_once_for_each_state(name: str) -> None:
    x, weight, _ = (a.astype(np.float32) for a in arrays(name))
    options = SHAPES[name][2]
    image, w = samara.tensor(x), samara.tensor(weight).clone()
    function = function_for(weight.shape)
    for _ in range(2):  # a form may be kept from the second use on
        function(image, w, **options)
    count = _core.derived_form_count()
    kept = function(image, w, **options)
    assert _core.derived_form_count() == count
    w.mul_(2.0)
    close(values(function(image, w, **options)), 2 * values(kept))
    w[0].fill_(0.0)  # through a view
    assert not values(function(image, w, **options))[:, 0].any()
    w.data = samara.tensor(weight).clone()
    assert np.array_equal(values(function(image, w, **options)), values(kept))


def test_gradients_use_the_newest_weights() -> None:
    rng = np.random.default_rng(0)
    x = samara.tensor(rng.normal(size=(2, 16, 9, 9)).astype(np.float32), requires_grad=True)
    w = samara.tensor(rng.normal(size=(16, 16, 3, 3)).astype(np.float32)).clone()
    for stride in (1, 2):
        for _ in range(3):
            (before,) = grad(samara.conv2d(x, w, stride=stride).sum(), [x])
        w.mul_(3.0)
        (after,) = grad(samara.conv2d(x, w, stride=stride).sum(), [x])
        close(values(after), 3 * values(before))


@pytest.mark.parametrize("name", ["3x3", "1x1", "3x3 strided", "5x5", "depthwise"])
def test_memory_that_others_write_is_packed_each_time(name: str) -> None:
    x, weight, _ = (a.astype(np.float32) for a in arrays(name))
    options = SHAPES[name][2]
    image, function = samara.tensor(x), function_for(weight.shape)
    borrowed = samara.from_numpy(weight)
    own = samara.tensor(weight).clone()
    expected = [values(function(image, w, **options)) for w in (borrowed, own, borrowed, own)]
    shown = own.numpy()
    for factor in (2.0, 3.0):
        weight *= factor
        shown *= factor
        for w in (borrowed, own):
            y = values(function(image, w, **options))
            close(y, reference(x.astype(float), weight.astype(float), **options))
    del shown
    assert not np.array_equal(values(function(image, own, **options)), expected[1])


# --- fused inference -----------------------------------------------------------------------------


@each_shape
def test_fused_inference(name: str) -> None:
    x, weight, bias = (a.astype(np.float32) for a in arrays(name))
    options = SHAPES[name][2]
    plain = reference(x.astype(float), weight.astype(float), bias.astype(float), **options)
    residual = np.random.default_rng(3).normal(size=plain.shape)
    tensors = [samara.tensor(a) for a in (x, weight, bias)]
    more = samara.tensor(residual.astype(np.float32))
    for relu in (False, True):
        for with_bias in (None, tensors[2]):
            for add in (None, more, channels_last(more)):
                y = convolution_fused(*tensors[:2], with_bias, add, relu=relu, **options)
                expected = plain - (0 if with_bias is not None else _column(bias, plain.ndim))
                expected = expected + (0 if add is None else residual)
                close(values(y), np.maximum(expected, 0) if relu else expected)
    limited = convolution_fused(*tensors, more, relu=True, limit=1.5, **options)
    close(values(limited), np.clip(plain + residual, 0, 1.5))


def _column(bias: Array, rank: int) -> Array:
    return bias.astype(float).reshape(-1, *(1,) * (rank - 2))


def test_fused_inference_has_no_gradient() -> None:
    x, w = samara.ones(1, 2, 5, 5), samara.ones(3, 2, 3, 3, requires_grad=True)
    with pytest.raises(GradientError, match=r"requires grad.*no_grad"):
        convolution_fused(x, w)
    with samara.no_grad():
        assert convolution_fused(x, w, relu=True).shape == (1, 3, 3, 3)
    with pytest.raises(ShapeError, match=r"residual has shape \(1, 3, 3, 4\)"):
        convolution_fused(x, w.detach(), None, samara.ones(1, 3, 3, 4))


# --- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["3x3", "1x1", "first layer", "depthwise", "signal", "volume"])
def test_an_empty_batch(name: str) -> None:
    x, weight, bias = (a.astype(np.float32) for a in arrays(name))
    leaves = [samara.tensor(a, requires_grad=True) for a in (x[:0], weight, bias)]
    y = function_for(weight.shape)(*leaves, **SHAPES[name][2])
    full = reference(x, weight, **SHAPES[name][2])
    assert y.shape == (0, *full.shape[1:])
    for leaf, g in zip(leaves, grad(y.sum(), leaves), strict=True):
        assert g.shape == leaf.shape and not values(g).any()


def test_no_channels() -> None:
    y = samara.conv2d(samara.ones(2, 0, 5, 5), samara.ones(3, 0, 3, 3), samara.ones(3) * 2)
    assert y.shape == (2, 3, 3, 3) and (values(y) == 2).all()
    assert samara.conv2d(samara.ones(2, 4, 5, 5), samara.ones(0, 4, 3, 3)).shape == (2, 0, 3, 3)


def test_non_finite_values_stay_where_they_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 32, 24, 24)).astype(np.float32)
    weight = rng.normal(size=(32, 32, 3, 3)).astype(np.float32)
    clean = values(samara.conv2d(samara.tensor(x), samara.tensor(weight), padding=1))
    x[1, 5, 10, 12] = np.nan
    y = values(samara.conv2d(samara.tensor(x), samara.tensor(weight), padding=1))
    touched = np.isnan(y)
    assert touched[1, :, 9:12, 11:14].all() and touched.sum() == 32 * 9
    close(y[~touched], clean[~touched])


def test_one_dtype() -> None:
    x, w = samara.ones(1, 2, 5, 5), samara.ones(3, 2, 3, 3)
    with pytest.raises(DTypeError, match="x has dtype float32 and weight float64"):
        samara.conv2d(x, w.to(samara.float64))
    with pytest.raises(DTypeError, match="bias float16"):
        samara.conv2d(x, w, samara.ones(3, dtype=samara.float16))
    with pytest.raises(DTypeError, match="x has dtype complex64"):
        samara.conv2d(x.to(samara.complex64), w.to(samara.complex64))


def test_sizes_beyond_what_can_be_held() -> None:
    x, w = samara.ones(1, 1, 1, 1), samara.ones(1, 1, 1, 1)
    with pytest.raises((ShapeError, MemoryError, ArgumentError)):
        samara.conv2d(x, w, padding=2**31)
    with pytest.raises(ArgumentError, match="Expected integers from 0 to 2147483648"):
        samara.conv2d(x, w, padding=2**40)
    with pytest.raises(ArgumentError, match="Expected integers from 1 to"):
        samara.conv2d(x, w, dilation=2**62)
    with pytest.raises(ArgumentError, match="groups is"):
        samara.conv2d(x, w, groups=2**62)
    with pytest.raises(ShapeError, match="up to 2147483648"):
        samara.conv2d(samara.ones(1, 1, 1, 1).expand(1, 1, 2**40, 1), w)
    with pytest.raises(ShapeError, match="reaches over"):
        samara.conv2d(x, samara.ones(1, 1, 2, 2), dilation=2**31, padding=5)


def test_second_order_in_float32() -> None:
    """A penalty on the gradient, by kernels that the checks in float64 do not reach."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 16, 12, 12)), rng.normal(size=(16, 16, 3, 3))
    results = []
    for dtype in (samara.float64, samara.float32):
        image, weight = (samara.tensor(a, dtype=dtype, requires_grad=True) for a in (x, w))
        y = samara.conv2d(image, weight, stride=2, padding=1)
        (dx,) = grad((y * y).sum(), [image], create_graph=True)
        results.append(grad((dx * dx).sum(), [image, weight]))
    for wide, narrow in zip(*results, strict=True):
        close(values(narrow), values(wide))


# --- processors and processes --------------------------------------------------------------------

PROGRAM = """
import numpy as np, samara
from tests.ops import test_convolution as t
for name in t.SHAPES:
    t.test_values(name, "float32")
    t.test_gradients_agree_with_those_in_float64(name)
"""


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_every_instruction_set(isa: str) -> None:
    environment = {**os.environ, "SAMARA_ISA": isa}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment)


def test_a_child_of_fork_convolves() -> None:
    x, weight, _ = (a.astype(np.float32) for a in arrays("dilated"))
    options = SHAPES["dilated"][2]

    def sums() -> float:
        return float(samara.conv2d(samara.tensor(x), samara.tensor(weight), **options).sum().item())

    expected = sums()
    child = os.fork()
    if child == 0:
        os._exit(0 if sums() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
