"""How tensors are printed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from samara.errors import ArgumentError
from samara.lookup import choose

__all__ = ["array_text", "set_printoptions"]

_DEFAULT: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 75,
    "sci_mode": None,
}
_PROFILES: dict[str, dict[str, Any]] = {
    "default": _DEFAULT,
    "short": {**_DEFAULT, "precision": 2, "edgeitems": 2},
    "full": {**_DEFAULT, "threshold": math.inf},
}
_options = dict(_DEFAULT)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How `print` and `repr` show tensors, from now on; what is None stays as it is.

    precision: digits after the point; threshold: more elements than this are summed up, by
    edgeitems at each end of an axis; linewidth: characters in a line; profile: "default", "short"
    or "full", before the others; sci_mode: always or never with exponents (by the values where no
    call says).

    Raises ArgumentError for an unknown profile and negative numbers. Source: PyTorch,
    `torch.set_printoptions`.

    >>> import samara
    >>> samara.set_printoptions(precision=2)
    >>> samara.tensor([3.14159])
    tensor([3.14])
    >>> samara.set_printoptions(profile="default")
    """
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen = {} if profile is None else choose("set_printoptions: profile", profile, _PROFILES)
    for name, value in given.items():
        if value is not None and not value >= 0:
            raise ArgumentError(
                f"set_printoptions: {name} is {value}. Expected 0 or more. "
                f"Fix: {name}={_DEFAULT[name]} is the default."
            )
    _options.update(chosen)
    _options.update({name: value for name, value in given.items() if value is not None})
    if sci_mode is not None:
        _options["sci_mode"] = bool(sci_mode)


def array_text(array: np.ndarray[Any, Any], prefix: str) -> str:
    """An array as it is printed behind a prefix.

    >>> import numpy as np
    >>> array_text(np.array([1.0, 0.12345]), "")
    '[1.    , 0.1235]'
    """
    digits, scientific = _options["precision"], _options["sci_mode"]
    formatter: Any = {}
    if scientific:
        formatter["float_kind"] = lambda x: np.format_float_scientific(x, digits, unique=False)
    elif scientific is not None:
        formatter["float_kind"] = lambda x: np.format_float_positional(x, digits, unique=False)
    return np.array2string(
        array,
        separator=", ",
        prefix=prefix,
        precision=digits,
        # NumPy knows whole numbers only; no array has more elements than this one.
        threshold=int(min(_options["threshold"], 2**62)),
        edgeitems=_options["edgeitems"],
        max_line_width=_options["linewidth"],
        floatmode="maxprec",
        formatter=formatter or None,
    )
