"""`samara.nn` under PyTorch's longer names: `nn.modules.Module`, `nn.modules.utils._pair`.

>>> import samara
>>> samara.nn.modules.Linear is samara.nn.Linear
True
"""

from __future__ import annotations

import importlib
from typing import Any

from samara.nn.module import Module
from samara.nn.modules import utils

__all__ = ["Module", "utils"]


def __getattr__(name: str) -> Any:
    """What `samara.nn` calls so."""
    return getattr(importlib.import_module("samara.nn"), name)
