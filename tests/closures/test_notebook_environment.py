"""Versions that a pickle depends on, and requirements that contradict them."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest

from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.errors import IncompatibleEnvironmentError, InvalidRequestError

ENVIRONMENT = {"Python": "3.11.7", "numpy": "2.1.3", "scikit-learn": "1.6.1"}


def test_only_what_is_used_matters() -> None:
    assert notebook_environment(["scikit-learn", "tornado"]) == {
        "Python": platform.python_version(),
        "cloudpickle": version("cloudpickle"),
        "scikit-learn": version("scikit-learn"),
    }


@pytest.mark.parametrize(
    "packages",
    [
        None,
        [],
        ["pandas==1.0"],
        ["scikit-learn"],
        ["scikit_learn==1.6.0"],
        ["numpy>=1.0", "numpy==2.*"],
        ["./numpy-1.0.whl"],
    ],
)
def test_requirements_that_fit(packages: list[str] | None) -> None:
    refuse_other_versions("m:1", ENVIRONMENT, packages)


def test_another_version_is_refused_with_both_sides() -> None:
    with pytest.raises(IncompatibleEnvironmentError) as raised:
        refuse_other_versions("m:1", ENVIRONMENT, ["Scikit_Learn[x]==1.5.2 ; python_version > '3'", "numpy == 1.26.*"])
    assert raised.value.conflicts == {"numpy": ("2.1.3", "1.26"), "scikit-learn": ("1.6.1", "1.5.2")}
    assert str(raised.value).splitlines()[1:4] == [
        "                  notebook  pkgs_to_install",
        "    numpy         2.1.3     1.26",
        "    scikit-learn  1.6.1     1.5.2",
    ]


def test_packages_that_are_not_a_list_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="pkgs_to_install must be a list"):
        refuse_other_versions("m:1", ENVIRONMENT, "numpy==1.0")
