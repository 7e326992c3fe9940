"""Fourier transforms: sizes of every kind, layouts, exactness, threads, mistakes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samara
from samara.errors import ArgumentError, DTypeError, SamaraError

FFT = samara.fft
RNG = np.random.default_rng(0)
NORMS = ["backward", "ortho", "forward"]


def signal(*shape: int, complex_: bool = True) -> np.ndarray:
    x = RNG.normal(size=shape)
    return x + 1j * RNG.normal(size=shape) if complex_ else x


def close(result: samara.Tensor, expected: np.ndarray, bound: float = 1e-13) -> None:
    assert result.shape == expected.shape
    size = float(np.abs(expected).max(initial=0))
    assert np.abs(result.numpy() - expected).max(initial=0) <= bound * max(size, 1e-300)


# Powers of two, products of small primes, primes, and lengths past the vectorised ones.
LENGTHS = [
    *range(1, 40),
    64,
    97,
    128,
    210,
    211,
    256,
    360,
    512,
    1000,
    1024,
    1009,
    2048,
    4099,
    100_003,
]
LENGTHS += [2**17, 3**10]


@pytest.mark.parametrize("n", LENGTHS)
def test_every_length(n):
    z, x = signal(n), signal(n, complex_=False)
    close(FFT.fft(samara.tensor(z)), np.fft.fft(z))
    close(FFT.ifft(samara.tensor(z)), np.fft.ifft(z))
    close(FFT.rfft(samara.tensor(x)), np.fft.rfft(x))
    close(FFT.irfft(FFT.rfft(samara.tensor(x)), n), x)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12, 17])
@pytest.mark.parametrize("lines", [1, 7, 8, 9, 16, 33])
def test_lines_in_the_lanes_of_a_vector(n, lines):
    """Whole vectors of lines and those left over, along both axes."""
    for dtype, bound in (("complex128", 1e-13), ("complex64", 1e-5)):
        z = signal(lines, n).astype(dtype)
        close(FFT.fft(samara.tensor(z)), np.fft.fft(z), bound)
        close(FFT.fft(samara.tensor(z.T.copy()), axis=0), np.fft.fft(z).T, bound)
        close(FFT.rfft(samara.tensor(z.real.copy())), np.fft.rfft(z.real), bound)
        close(FFT.irfft(samara.tensor(z), 2 * n - 1), np.fft.irfft(z, 2 * n - 1), bound)


def test_against_sums_in_high_precision():
    n = 24
    z = signal(n)
    with mpmath.workdps(40):
        root = [mpmath.expjpi(mpmath.mpf(-2 * k) / n) for k in range(n)]
        exact = [
            complex(mpmath.fsum(mpmath.mpc(z[j]) * root[j * k % n] for j in range(n)))
            for k in range(n)
        ]
    close(FFT.fft(samara.tensor(z)), np.array(exact), 1e-15)


def test_float32_error_grows_like_the_logarithm():
    for n in (2**10, 2**16, 3**9):
        z = signal(n).astype(np.complex64)
        error = FFT.fft(samara.tensor(z)).numpy() - np.fft.fft(z.astype(np.complex128))
        rms = math.sqrt(np.mean(np.abs(error) ** 2) / n)
        assert rms < 2.0**-24 * math.log2(n)


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    data=st.data(),
    norm=st.sampled_from(NORMS),
)
def test_axes_lengths_and_norms_against_numpy(shape, data, norm):
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True))
    s = [data.draw(st.integers(1, 7)) for _ in axes]
    z = signal(*shape)
    x = samara.tensor(z)
    close(FFT.fftn(x, s, axes, norm), np.fft.fftn(z, s, axes, norm), 1e-12)
    close(FFT.ifftn(x, s, axes, norm), np.fft.ifftn(z, s, axes, norm), 1e-12)
    close(FFT.rfftn(x.real, s, axes, norm), np.fft.rfftn(z.real, s, axes, norm), 1e-12)
    close(FFT.irfftn(x, s, axes, norm), np.fft.irfftn(z, s, axes, norm), 1e-12)
    n, axis = s[0], axes[0]
    close(FFT.hfft(x, n, axis, norm), np.fft.hfft(z, n, axis, norm), 1e-12)
    close(FFT.ihfft(x.real, n, axis, norm), np.fft.ihfft(z.real, n, axis, norm), 1e-12)


@given(
    axes=st.permutations(range(3)),
    steps=st.lists(st.sampled_from([1, 2, -1]), min_size=3, max_size=3),
)
def test_strided_inputs(axes, steps):
    z = signal(4, 6, 5)
    key = tuple(slice(None, None, step) for step in steps)
    view = z.transpose(axes)[key]
    x = samara.tensor(z).permute(*axes)[key]
    for axis in range(3):
        close(FFT.fft(x, axis=axis), np.fft.fft(view, axis=axis))
    close(FFT.rfftn(x.real), np.fft.rfftn(view.real))


def test_inverse_pairs():
    z, x = samara.tensor(signal(3, 8, 5)), samara.tensor(signal(3, 8, 5, complex_=False))
    for norm in NORMS:
        close(FFT.ifft2(FFT.fft2(z, norm=norm), norm=norm), z.numpy())
        close(FFT.irfftn(FFT.rfftn(x, norm=norm), x.shape, norm=norm), x.numpy())
        close(FFT.hfftn(FFT.ihfftn(x, norm=norm), x.shape, norm=norm), x.numpy())
        close(FFT.irfft2(FFT.rfft2(x, norm=norm), x.shape[-2:], norm=norm), x.numpy())
        close(FFT.hfft2(FFT.ihfft2(x, norm=norm), x.shape[-2:], norm=norm), x.numpy())
    assert FFT.ifftshift(FFT.fftshift(x)).tolist() == x.tolist()


def test_imaginary_parts_that_do_not_count():
    spectrum = signal(5)
    other = spectrum.copy()
    other[0] += 3j
    other[-1] += 5j
    one, two = (FFT.irfft(samara.tensor(a), 8).tolist() for a in (spectrum, other))
    assert one == two


def test_bits_do_not_depend_on_threads():
    z = samara.tensor(signal(90, 700).astype(np.complex64))
    count = samara.thread_count()
    try:
        results = []
        for threads in (1, 3):
            samara.set_thread_count(threads)
            results.append([FFT.fftn(z).numpy(), FFT.rfft(z.real, axis=0).numpy()])
    finally:
        samara.set_thread_count(count)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_many_lengths_one_after_the_other():
    """More than are remembered, again and again."""
    for n in [*range(30, 60), *range(30, 60)]:
        z = signal(n)
        close(FFT.fft(samara.tensor(z)), np.fft.fft(z))


def test_gradient_of_a_power_spectrum():
    """Parseval: sum |X_k|^2 = n sum x_j^2."""
    for n in (7, 8):
        x = samara.tensor(signal(n, complex_=False), requires_grad=True)
        (g,) = samara.grad((abs(FFT.fft(x)) ** 2).sum(), x)
        close(g, 2 * n * x.detach().numpy())
        half = abs(FFT.rfft(x)) ** 2
        twice = [2.0] * (n // 2 + 1)
        twice[0] = 1.0
        if n % 2 == 0:
            twice[-1] = 1.0
        (g,) = samara.grad((half * samara.tensor(twice, dtype=half.dtype)).sum(), x)
        close(g, 2 * n * x.detach().numpy())


def test_dtypes():
    assert FFT.fft(samara.ones(4)).dtype == samara.complex64
    assert FFT.fft(samara.ones(4, dtype=samara.float64)).dtype == samara.complex128
    assert FFT.fft(samara.arange(4)).dtype == samara.complex64
    assert FFT.irfft(samara.ones(4, dtype=samara.complex128)).dtype == samara.float64
    assert FFT.fftfreq(4).dtype == samara.float32
    assert FFT.fftfreq(4, dtype=samara.float64).dtype == samara.float64


def test_empty_stacks_and_lines_that_grow_from_nothing():
    assert FFT.fft(samara.zeros(0, 4)).shape == (0, 4)
    assert FFT.rfft(samara.zeros(3, 0), 4).tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (DTypeError, "complex64", lambda: FFT.rfft(samara.ones(4, dtype=samara.complex64))),
        (DTypeError, "float16", lambda: FFT.fft(samara.ones(4, dtype=samara.float16))),
        (ArgumentError, "-1 points", lambda: FFT.fft(samara.ones(4), n=-1)),
        (ArgumentError, "twice", lambda: FFT.fftn(samara.ones(4, 4), axes=(0, 0))),
        (IndexError, "out of range", lambda: FFT.fft(samara.ones(4), dim=3)),
        (ArgumentError, "no axis", lambda: FFT.rfftn(samara.ones(4), axes=())),
        (ArgumentError, "norm is 'unit'", lambda: FFT.ifft(samara.ones(4), norm="unit")),
        (DTypeError, "axis", lambda: FFT.fft(samara.ones(4), axis=(0,))),
        (DTypeError, "n", lambda: FFT.fft(samara.ones(4), n=2.5)),
        (DTypeError, "tensor", lambda: FFT.fft([1.0, 2.0])),
    ],
)
def test_mistakes(error, match, call):
    with pytest.raises(SamaraError, match=match) as caught:
        call()
    assert isinstance(caught.value, error)
    assert "Fix:" in str(caught.value)
