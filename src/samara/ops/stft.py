"""The short-time Fourier transform of signals, and its inverse by overlap and addition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.dtypes import COMPLEX, FLOAT
from samara.errors import ArgumentError, ShapeError
from samara.ops.checks import require_dtype
from samara.ops.creation import arange, ones, zeros
from samara.ops.gathering import index_add
from samara.ops.join import concat
from samara.ops.record import RECORDS, ErrorSample, Sample, composite
from samara.tensor import Tensor

_REAL = FLOAT[2:]


def _transform(name: str) -> Any:
    return RECORDS[f"fft.{name}"].function


def _sizes(place: str, n_fft: int, hop: int | None, win: int | None) -> tuple[int, int]:
    hop = n_fft // 4 if hop is None else hop
    win = n_fft if win is None else win
    if n_fft < 1 or hop < 1 or not 1 <= win <= n_fft:
        raise ArgumentError(
            f"{place}: n_fft is {n_fft}, hop_length {hop} and win_length {win}. Expected 1 or more "
            "of each, and win_length no larger than n_fft. Fix: correct them."
        )
    return hop, win


def _full_window(place: str, window: Tensor | None, win: int, n_fft: int, like: Tensor) -> Tensor:
    """The window with zeros around it up to n_fft."""
    if window is None:
        window = ones(win, dtype=like.dtype, device=like.device)
    if window.shape != (win,):
        raise ShapeError(
            f"{place}: window has shape {window.shape}. Expected ({win},), the win_length. "
            "Fix: make one of that length."
        )
    left = (n_fft - win) // 2
    if win == n_fft:
        return window
    parts = [
        zeros(left, dtype=window.dtype, device=window.device),
        window,
        zeros(n_fft - win - left, dtype=window.dtype, device=window.device),
    ]
    return concat(parts, 0)


def _framing_ref(n_fft: int, hop: int | None, win: int | None, window: Any) -> tuple[int, Any]:
    """The hop, and the window with zeros around it."""
    win = win or n_fft
    full = np.zeros(n_fft)
    left = (n_fft - win) // 2
    full[left : left + win] = 1.0 if window is None else np.real(window)
    return hop or n_fft // 4, full


def _stft_ref(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: Any = "reflect",
    normalized: bool = False,
    onesided: bool = True,
    return_complex: bool = True,
) -> Any:
    hop, full = _framing_ref(n_fft, hop_length, win_length, window)
    if center:
        around = [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)]
        x = np.pad(x, around, mode=pad_mode)
    count = 1 + (x.shape[-1] - n_fft) // hop
    frames = np.stack([x[..., i * hop : i * hop + n_fft] * full for i in range(count)], -1)
    made = (np.fft.rfft if onesided else np.fft.fft)(frames, axis=-2)
    return made / math.sqrt(n_fft) if normalized else made


@composite(
    "stft(x, n_fft: int, hop_length: int? = None, win_length: int? = None, "
    "window: Tensor? = None, center: bool = True, pad_mode: str = 'reflect', "
    "normalized: bool = False, onesided: bool = True, return_complex: bool = True)",
    doc="""Fourier transforms of windows of n_fft elements that start hop_length apart.

    x: [L] or [B, L] float; window: [win_length] -> [n_fft // 2 + 1, frames] complex, after [B]; all
    n_fft frequencies where not onesided. With center, x is padded by n_fft // 2 at both ends, so
    that frame t lies around t hop_length. hop_length is n_fft // 4 by default.

    Raises ShapeError for a signal or window of another shape, ArgumentError for lengths that do not
    fit. Source: PyTorch, `torch.stft`.

    >>> samara.stft(samara.zeros(64), 16).shape
    (9, 17)
    """,
    ref=_stft_ref,
    dtypes=_REAL,
    ulp=32,
    condition="max",
    samples=lambda rng: [
        Sample(rng.normal(size=24), 8),
        Sample(rng.normal(size=(2, 20)), 8, 3, 6, rng.uniform(0.2, 1, size=6)),
        Sample(rng.normal(size=16), 8, center=False, normalized=True),
        Sample(rng.normal(size=16), 8, onesided=False, pad_mode="constant"),
        Sample(rng.normal(size=1), 1, 1, center=False),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected .L. or .B, L.", np.ones((1, 2, 9)), 4),
        ErrorSample(ShapeError, "window has shape", np.ones(9), 4, window=np.ones(3)),
        ErrorSample(ArgumentError, "hop_length 0", np.ones(9), 4, 0),
        ErrorSample(ShapeError, "shorter than", np.ones(3), 8, center=False),
    ],
    methods=("stft",),
)
def stft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool = True,
    return_complex: bool = True,
) -> Tensor:
    from samara.ops.complex_numbers import view_as_real

    require_dtype("stft", x, _REAL)
    hop, win = _sizes("stft", n_fft, hop_length, win_length)
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"stft: x has shape {x.shape}. Expected [L] or [B, L]. Fix: flatten the channels into "
            "the batch."
        )
    full = _full_window("stft", window, win, n_fft, x)
    if center:
        pad = RECORDS["pad"].function
        rows = x.unsqueeze(0) if x.ndim == 1 else x
        rows = pad(rows, (n_fft // 2, n_fft // 2), mode=pad_mode)
        x = rows[0] if x.ndim == 1 else rows
    if x.shape[-1] < n_fft:
        raise ShapeError(
            f"stft: the signal has {x.shape[-1]} elements, shorter than n_fft, {n_fft}. Expected "
            "one frame or more. Fix: pad it, or take center=True."
        )
    frames = x.unfold(-1, n_fft, hop) * full
    made = _transform("rfft" if onesided else "fft")(frames).transpose(-2, -1)
    made = made / math.sqrt(n_fft) if normalized else made
    return made if return_complex else view_as_real(made)


def _istft_ref(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool = True,
    length: int | None = None,
) -> Any:
    hop, full = _framing_ref(n_fft, hop_length, win_length, window)
    frames = np.fft.irfft(x, n_fft, axis=-2) if onesided else np.fft.ifft(x, axis=-2).real
    frames = frames * (math.sqrt(n_fft) if normalized else 1.0)
    count = frames.shape[-1]
    total = np.zeros((*x.shape[:-2], n_fft + hop * (count - 1)))
    weight = np.zeros(total.shape[-1])
    for t in range(count):
        total[..., t * hop : t * hop + n_fft] += frames[..., t] * full
        weight[t * hop : t * hop + n_fft] += full**2
    start = n_fft // 2 if center else 0
    stop = total.shape[-1] - start if length is None else start + length
    return (total / np.where(weight > 0, weight, 1.0))[..., start:stop]


def _spectra(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@composite(
    "istft(x, n_fft: int, hop_length: int? = None, win_length: int? = None, "
    "window: Tensor? = None, center: bool = True, normalized: bool = False, "
    "onesided: bool = True, length: int? = None)",
    doc="""The signal whose `stft` is nearest to x in least squares.

    x: [n_fft // 2 + 1, frames] complex, or [B, ...]; window: [win_length] -> [L] or [B, L] float.
    The arguments are those of `stft`; `length` cuts the signal to its own length.

    Raises ShapeError for another number of frequencies, ArgumentError for a window that leaves
    places of the signal without weight. Source: Griffin, Lim, Signal Estimation from Modified
    Short-Time Fourier Transform, 1984.

    >>> x = samara.arange(32.0)
    >>> back = samara.istft(samara.stft(x, 8), 8, length=32)
    >>> (back - x).abs().max().item() < 1e-4
    True
    """,
    ref=_istft_ref,
    dtypes=COMPLEX,
    ulp=64,
    condition="max",
    samples=lambda rng: [
        Sample(_spectra(rng, 5, 4), 8),
        Sample(_spectra(rng, 2, 5, 4), 8, 3, 8, rng.uniform(0.5, 1, 8) + 0j, length=6),
        Sample(_spectra(rng, 5, 3), 8, center=False, normalized=True),
        Sample(_spectra(rng, 1, 1), 1, 1, center=False),
    ],
    errors=lambda: [
        ErrorSample(ShapeError, "Expected 5", np.ones((4, 3)) + 0j, 8),
        ErrorSample(ArgumentError, "hop_length 0", np.ones((5, 3)) + 0j, 8, 0),
    ],
    methods=("istft",),
)
def istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool = True,
    length: int | None = None,
) -> Tensor:
    require_dtype("istft", x, COMPLEX)
    hop, win = _sizes("istft", n_fft, hop_length, win_length)
    bins = n_fft // 2 + 1 if onesided else n_fft
    if x.ndim not in (2, 3) or x.shape[-2] != bins or not x.shape[-1]:
        raise ShapeError(
            f"istft: x has shape {x.shape}. Expected {bins} frequencies and a frame or more, "
            f"[{bins}, frames], for n_fft {n_fft}. Fix: pass the n_fft of the transform."
        )
    columns = x.transpose(-2, -1)
    if onesided:
        frames = _transform("irfft")(columns, n_fft)
    else:
        frames = _transform("ifft")(columns).real
    if window is not None and window.dtype in COMPLEX:
        window = window.real
    full = _full_window("istft", window, win, n_fft, frames)
    frames = frames * (full * math.sqrt(n_fft) if normalized else full)
    count = frames.shape[-2]
    total = n_fft + hop * (count - 1)
    step = arange(count, device=x.device).unsqueeze(1) * hop
    place = (step + arange(n_fft, device=x.device)).reshape(-1)
    start = n_fft // 2 if center else 0
    stop = total - start if length is None else min(start + length, total)
    batch = frames.shape[:-2]
    flat = frames.reshape((*batch, count * n_fft))
    target = zeros((*batch, total), dtype=frames.dtype, device=x.device)
    signal = index_add(target, len(batch), place, flat)
    weights = zeros(total, dtype=full.dtype, device=x.device)
    weights = index_add(weights, 0, place, (full * full).expand(count, n_fft).reshape(-1))
    used = weights.detach()[start:stop]
    if used.numel() and used.min().item() < 1e-11:
        raise ArgumentError(
            "istft: the windows leave places of the signal without weight. Expected windows that "
            "overlap. Fix: take a smaller hop_length, a window without zeros, or center=True."
        )
    made = signal[..., start:stop] / weights[start:stop]
    if length is not None and made.shape[-1] < length:
        rest = zeros((*batch, length - made.shape[-1]), dtype=made.dtype, device=x.device)
        made = concat([made, rest], -1)
    return made
