"""Where the LAPACK library lies. The core asks at the first call that needs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from samara.errors import MissingLibraryError

__all__ = ["locate"]

PACKAGE = "scipy_openblas32"


def locate() -> str:
    """The path of the shared library of `scipy-openblas32`.

    The package is found but not imported: importing it would open the library for the whole
    process. Raises MissingLibraryError when it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = () if spec is None else spec.submodule_search_locations or ()
    for folder in folders:
        found = sorted(Path(folder, "lib").glob("libscipy_openblas*"))
        if found:
            return str(found[0])
    raise MissingLibraryError(
        "linalg: LAPACK is not installed. Expected the package scipy-openblas32, which has it. "
        "Fix: pip install scipy-openblas32."
    )
