"""What ``make test`` leaves to ``make test-all``."""

from __future__ import annotations

import pytest

from tests.support.selection import is_left_out


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        ({"cluster", "docker"}, False),
        ({"cluster", "docker", "same_on_docker"}, True),
        ({"cluster", "docker", "same_on_docker", "also_on_docker"}, False),
        ({"cluster", "same_on_docker"}, False),
        (set(), False),
    ],
)
def test_same_on_docker_tests_are_left_out_on_docker_only(markers: set[str], expected: bool) -> None:
    assert is_left_out(markers) is expected
