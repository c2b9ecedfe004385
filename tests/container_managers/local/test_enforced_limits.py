"""What is said of limits that an embedded cluster does not, or not exactly, enforce."""

from __future__ import annotations

import pytest

from clipper_nb import ResourceLimits
from clipper_nb.container_managers.local.enforced_limits import unenforced_limits


@pytest.mark.parametrize(
    ("limits", "on_linux", "elsewhere"),
    [
        ({}, [], []),
        ({"memory": 1 << 30}, [], ["memory=1073741824 is not enforced on this system"]),
        ({"cpus": 2}, [], ["cpus=2 is not enforced on this system"]),
        ({"cpus": 0.5}, ["cpus=0.5 is held to 1 whole core"], ["cpus=0.5 is not enforced on this system"]),
        ({"cpus": 1.5}, ["cpus=1.5 is held to 2 whole cores"], ["cpus=1.5 is not enforced on this system"]),
        ({"processes": 9}, ["processes=9 is not enforced"], ["processes=9 is not enforced"]),
    ],
)
def test_limits_that_are_not_enforced_are_named(limits: dict, on_linux: list[str], elsewhere: list[str]) -> None:
    assert unenforced_limits(ResourceLimits(**limits), "linux") == on_linux
    assert unenforced_limits(ResourceLimits(**limits), "darwin") == elsewhere
