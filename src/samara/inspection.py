"""What the namespace offers, in the form the Python Array API standard asks for."""

from __future__ import annotations

from typing import Any

import samara._core as _core
from samara._core import Device, DType, Tensor
from samara.device import current_device
from samara.dtypes import ALL, isdtype, promote_types
from samara.errors import DTypeError

__all__ = ["NamespaceInfo", "result_type"]


class NamespaceInfo:
    """Capabilities, devices and dtypes (Array API 2025.12, `__array_namespace_info__`).

    >>> samara.__array_namespace_info__().default_device()
    device('cpu')
    """

    def capabilities(self) -> dict[str, Any]:
        """Optional features of the standard, and limits."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": 16,
        }

    def default_device(self) -> Device:
        """The device that new tensors take."""
        return current_device()

    def devices(self) -> list[Device]:
        """Devices that this process can use."""
        return [Device(name) for name in ("cpu", "cuda") if _core.device_available(name)]

    def default_dtypes(self, *, device: Device | None = None) -> dict[str, DType]:
        """The dtypes taken when nothing else decides."""
        real = _core.default_dtype()
        return {
            "real floating": real,
            "complex floating": (_core.complex128 if real is _core.float64 else _core.complex64),
            "integral": _core.int64,
            "indexing": _core.int64,
        }

    def dtypes(self, *, device: Device | None = None, kind: Any = None) -> dict[str, DType]:
        """The standard's dtypes by name, or those of one or several kinds.

        Not float16 and bfloat16, which the standard does not know: samara.dtypes.ALL has them.
        """
        return {
            dtype.name: dtype
            for dtype in ALL
            if dtype not in (_core.float16, _core.bfloat16)
            and (kind is None or isdtype(dtype, kind))
        }


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that tensors, dtypes and Python scalars have together.

    Scalars are weak. Source: Python Array API standard 2025.12, `result_type`.

    >>> samara.result_type(samara.int8, samara.float32), samara.result_type(samara.int8, 2)
    (samara.float32, samara.int8)
    """
    found: DType | None = None
    scalars = []
    for given in arrays_and_dtypes:
        if isinstance(given, (bool, int, float, complex)):
            scalars.append(given)
            continue
        dtype = given if isinstance(given, DType) else getattr(given, "dtype", None)
        if not isinstance(dtype, DType):
            raise DTypeError(
                f"result_type: a {type(given).__name__} was given. Expected tensors, dtypes and "
                "numbers. Fix: convert it first."
            )
        found = dtype if found is None else promote_types(found, dtype)
    if found is None:
        raise DTypeError(
            "result_type: only numbers were given. Expected at least one tensor or dtype. "
            "Fix: pass one."
        )
    carrier: Tensor = _core.Operation("zeros_like(x)", "zeros_like")(_empty(found))
    for scalar in scalars:
        carrier = carrier + scalar if not isinstance(scalar, bool) else carrier
    return carrier.dtype


def _empty(dtype: DType) -> Tensor:
    from samara.tensor import asarray

    return asarray([0], dtype=dtype)
