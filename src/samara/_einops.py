"""Makes einops know tensors, whichever of the two is imported first.

einops finds libraries among the subclasses of its `AbstractBackend`. That class exists once einops
is imported, so a finder waits for that import, and leaves when it has happened.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from samara._core import Tensor

__all__ = ["register"]

_BACKENDS = "einops._backends"


def _define(module: Any) -> None:
    """Adds the backend to the module that holds einops' own."""
    import samara

    class SamaraBackend(module.AbstractBackend):  # type: ignore[misc]  # a class known at run time
        framework_name = "samara"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Tensor:
            return samara.from_numpy(x)

        def to_numpy(self, x: Tensor) -> Any:
            return x.detach().cpu().numpy()

        def arange(self, start: int, stop: int) -> Tensor:
            return samara.arange(start, stop)

        def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
            return samara.permute_dims(x, tuple(axes))

        def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Any:
            return getattr(samara, operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
            return samara.stack(tensors)

        def add_axis(self, x: Tensor, new_position: int) -> Tensor:
            return samara.expand_dims(x, new_position)

        def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
            shape = [-1] * n_axes
            for position, length in pos2len.items():
                x = samara.expand_dims(x, position)
                shape[position] = length
            return x.expand(shape)

        def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
            return samara.tile(x, tuple(repeats))

        def concat(self, tensors: list[Tensor], axis: int) -> Tensor:
            return samara.concat(tensors, axis=axis)

        def is_float_type(self, x: Tensor) -> bool:
            return x.dtype.is_floating_point or x.dtype.is_complex

        def einsum(self, pattern: str, *tensors: Tensor) -> Any:
            return samara.einsum(pattern, *tensors)

    # einops knows its backends by weak references alone.
    module.SamaraBackend = SamaraBackend


class _Loader(Loader):
    """Loads einops' backends as their own loader does, then adds Samara's."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _define(module)


class _Finder:
    """Waits for the import of einops' backends."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != _BACKENDS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def register() -> None:
    """Adds the backend now, or when einops is imported."""
    if _BACKENDS in sys.modules:
        _define(sys.modules[_BACKENDS])
    else:
        sys.meta_path.insert(0, _Finder())
