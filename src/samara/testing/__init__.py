"""Checks for operations and gradients, of this package and of others; needs no test framework."""

from samara.testing.compare import CheckError, check_values, ulp_error
from samara.testing.differentiate import GradientReport, gradcheck
from samara.testing.layouts import broadcast_layout, layouts
from samara.testing.operations import CHECKS, opcheck

__all__ = [
    "CHECKS",
    "CheckError",
    "GradientReport",
    "broadcast_layout",
    "check_values",
    "gradcheck",
    "layouts",
    "opcheck",
    "ulp_error",
]
