"""Discrete Fourier transforms: the Array API's extension `fft` and the functions of `torch.fft`."""

from __future__ import annotations

from samara.ops import functions

_functions = functions("fft")
__all__ = sorted(_functions)
globals().update(_functions)
