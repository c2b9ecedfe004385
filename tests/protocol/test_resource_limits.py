"""Limits of a replica: what users write, and what it means."""

from __future__ import annotations

import msgspec
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [("512m", 512 * 1024**2), ("2g", 2 * 1024**3), ("1.5 GiB", 3 * 1024**3 // 2), ("7000k", 7_168_000), (10**8, 10**8)],
)
def test_memory_is_bytes_or_text(written: object, size_bytes: int) -> None:
    assert ResourceLimits(memory=written).memory_bytes == size_bytes


@pytest.mark.parametrize("memory", ["", "lots", "512x", "-1g", "1m", 0, True, "5"])
def test_memory_that_makes_no_sense_is_refused(memory: object) -> None:
    with pytest.raises(InvalidRequestError, match="512m"):
        ResourceLimits(memory=memory)


@pytest.mark.parametrize(
    "limits", [{"cpus": 0}, {"cpus": -1}, {"cpus": float("nan")}, {"cpus": True}, {"processes": 0}]
)
def test_other_limits_that_make_no_sense_are_refused(limits: dict) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(limits))):
        ResourceLimits(**limits)


def test_limits_survive_the_way_through_json() -> None:
    limits = ResourceLimits(memory="512m", cpus=0.5, processes=64)
    assert msgspec.json.decode(msgspec.json.encode(limits), type=ResourceLimits) == limits
    assert msgspec.json.decode(b"{}", type=ResourceLimits) == NO_LIMITS
