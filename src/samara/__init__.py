"""Samara: fit numeric models from arrays and tables, and see whether they learn.

>>> x = samara.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0, 6.0]

Functions follow the Python Array API standard, methods follow PyTorch; where one name means two
things, `axis=` gives the standard's result and `dim=` PyTorch's.
"""

from __future__ import annotations

import importlib
from typing import Any

try:
    import samara._core as _core
except ImportError as _error:  # pragma: no cover - depends on the machine
    if "libgomp" in str(_error):
        raise ImportError(
            "samara needs the OpenMP runtime libgomp.so.1, which is not installed. "
            "Install it with your system's packages (Debian: libgomp1, Fedora: libgomp)."
        ) from _error
    raise
from samara import _einops, errors, random
from samara._core import (
    Device,
    DType,
    Operation,
    Tensor,
    bfloat16,
    bool,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    memory_statistics,
    reset_peak_memory,
    set_thread_count,
    thread_count,
    trim_memory,
    uint8,
    uint16,
    uint32,
    uint64,
)
from samara._core import DType as dtype
from samara.autograd import (
    checkpoint,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    value_and_grad,
)
from samara.device import current_device, device, is_available
from samara.dtypes import (
    can_cast,
    finfo,
    get_default_dtype,
    iinfo,
    isdtype,
    promote_types,
    set_default_dtype,
)
from samara.inspection import NamespaceInfo as __array_namespace_info__
from samara.inspection import result_type
from samara.ops import functions as _functions
from samara.ops.generators import Generator, default_generator
from samara.ops.vocabulary import Layout as layout
from samara.ops.vocabulary import MemoryFormat as memory_format
from samara.ops.vocabulary import (
    Size,
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    strided,
)
from samara.random import seed
from samara.tensor import as_tensor, asarray, from_dlpack, from_numpy
from samara.tensor import tensor as tensor

__version__ = "0.1.0"
__array_api_version__ = "2025.12"

# PyTorch's names of the dtypes.
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128

e = 2.718281828459045
inf = 1e999
nan = inf - inf
newaxis = None
pi = 3.141592653589793

globals().update(_functions())
_einops.register()

# Loaded at first use, so that `import samara` stays light.
_LAZY_MODULES = (
    "autograd",
    "backends",
    "cuda",
    "data",
    "fft",
    "jit",
    "linalg",
    "nn",
    "ops",
    "optim",
    "sklearn",
    "special",
    "testing",
    "train",
    "utils",
)
_LAZY_NAMES = {
    "csv": "samara.data",
    "History": "samara.train",
    "batches": "samara.train",
    "check_learns": "samara.train",
    "fit": "samara.train",
    "load": "samara.train",
    "load_weights": "samara.nn.weights",
    "save_weights": "samara.nn.weights",
}


def __getattr__(name: str) -> Any:
    """Imports the heavy parts when they are asked for."""
    if name in _LAZY_MODULES:
        return importlib.import_module(f"samara.{name}")
    if name in _LAZY_NAMES:
        found = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'samara' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, those loaded at first use included."""
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES})
