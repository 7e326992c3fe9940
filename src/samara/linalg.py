"""Linear algebra: the Array API's extension `linalg` and the functions of `torch.linalg`.

Factorizations run on LAPACK, which is opened at the first call that needs it.
"""

from __future__ import annotations

from samara.errors import LinAlgError
from samara.ops import functions

__all__ = ["LinAlgError"]

_functions = functions("linalg")
__all__ += sorted(_functions)
globals().update(_functions)
