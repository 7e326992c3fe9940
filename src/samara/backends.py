"""PyTorch's switches of the libraries below it, for scripts that set them.

Samara chooses its kernels itself and gives the same bits on every run, so they change nothing.

>>> import samara
>>> samara.backends.cudnn.benchmark = True
>>> samara.backends.mps.is_available()
False
"""

from __future__ import annotations

from typing import Any

from samara.errors import ArgumentError

__all__ = ["cuda", "cudnn", "mkldnn", "mps"]


class _Backend:
    """Switches by name; another name is an error."""

    _name: str
    _there: bool

    def __init__(self, name: str, there: bool, **switches: Any) -> None:
        self.__dict__.update(switches, _name=name, _there=there)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__ or name.startswith("_"):
            known = sorted(key for key in self.__dict__ if not key.startswith("_"))
            raise ArgumentError(
                f"backends.{self._name}: {name!r} is no switch. Expected one of "
                f"{', '.join(known) or 'none'}. Fix: correct the name."
            )
        self.__dict__[name] = value

    def is_available(self) -> bool:
        """Whether the library is in use."""
        return self._there

    is_built = is_available

    def __repr__(self) -> str:
        return f"<samara.backends.{self._name}>"


cudnn = _Backend(
    "cudnn", False, enabled=True, benchmark=False, deterministic=True, allow_tf32=False
)
mps = _Backend("mps", False)
mkldnn = _Backend("mkldnn", True, enabled=True)
cuda = _Backend(
    "cuda",
    False,
    matmul=_Backend(
        "cuda.matmul",
        False,
        allow_tf32=False,
        allow_fp16_reduced_precision_reduction=False,
        allow_bf16_reduced_precision_reduction=False,
    ),
)
