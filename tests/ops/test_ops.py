"""Every record passes every check of samara.testing: values, layouts, gradients, errors, forms."""

from __future__ import annotations

import pytest

import samara
from samara.ops import RECORDS, Record
from samara.testing.operations import CHECKS, check_device

each_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())


@pytest.fixture(scope="module")
def null_device() -> str:
    """A device whose memory only kernels can reach."""
    samara._core.register_host_backed_device("null")
    return "null"


@each_record
@pytest.mark.parametrize("check", CHECKS)
def test_operation(record: Record, check: str) -> None:
    CHECKS[check](record)


@each_record
def test_other_device(record: Record, null_device: str) -> None:
    check_device(record, null_device)
