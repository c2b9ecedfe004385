"""Which versions fit to each other."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from clipper_nb.protocol.model_environment import describe_environment, find_conflicts


@pytest.mark.parametrize(
    ("notebook", "other"),
    [
        ({}, {"Python": "3.11.7"}),
        ({"Python": "3.11.7"}, {"Python": "3.11.2"}),
        ({"torch": "2.5.0+cpu"}, {"torch": "2.5.1"}),
        ({"pandas": "2.2.3"}, {}),  # whoever needs it says so
        ({"pandas": "2.2.3"}, {"pandas": "2"}),
        ({"numpy": "2.1.0rc1"}, {"numpy": "2.01"}),
    ],
)
def test_versions_that_fit(notebook: dict[str, str], other: dict[str, str]) -> None:
    assert find_conflicts(notebook, other) == {}


@pytest.mark.parametrize(
    ("notebook", "other"),
    [("3.11.7", "3.12.0"), ("3.1.7", "3.11.7"), ("1.26.4", "2.26.4"), ("2.5.0+cpu", "2.6.0+cpu"), ("2.5.0", "1")],
)
def test_versions_that_conflict_are_returned_with_both_sides(notebook: str, other: str) -> None:
    there, here = {"x": notebook, "same": "1.0"}, {"x": other, "same": "1.0"}
    assert find_conflicts(there, here) == {"x": (notebook, other)}


def test_missing_distribution_is_left_out() -> None:
    assert describe_environment(["numpy", "no-such-distribution"]) == {
        "Python": platform.python_version(),
        "numpy": np.__version__,
    }
