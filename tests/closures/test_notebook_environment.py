"""Versions that a pickle depends on, and requirements that contradict them."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest

from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.closures.requirements import Requirements
from clipper_nb.errors import IncompatibleEnvironmentError, InvalidRequestError

ENVIRONMENT = {"Python": "3.11.7", "numpy": "2.1.3", "scikit-learn": "1.6.1"}


def test_only_what_is_used_or_travels_matters() -> None:
    requirements = Requirements(
        {"scikit-learn": "", "tornado": "", "packaging": ""}, pickled={"packaging": "packaging.x"}
    )
    assert notebook_environment(requirements, "pandas") == {
        "Python": platform.python_version(),
        **{name: version(name) for name in ("cloudpickle", "pandas", "scikit-learn", "packaging")},
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
        ["numpy-cpu==2.1"],
        ["numpy-tools==1.0", "dist/numpy-2.1.9-py3-none-any.whl"],
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


@pytest.mark.parametrize(
    ("ours", "asked", "told"),
    [
        ("xgboost", "xgboost-cpu==2.1.4", "2.1.4 (xgboost-cpu)"),
        ("xgboost-cpu", "xgboost==2.1.4", "2.1.4 (xgboost)"),
        ("xgboost-cpu", "XGBoost_CPU==2.1.4", "2.1.4"),
        ("xgboost", "wheels/xgboost_cpu-2.1.4-py3-none-any.whl", "2.1.4 (xgboost-cpu)"),
        ("opencv-python", "opencv-python-headless==4.9.0.80", "4.9.0.80 (opencv-python-headless)"),
    ],
)
def test_another_build_of_the_library_is_compared_too(ours: str, asked: str, told: str) -> None:
    with pytest.raises(IncompatibleEnvironmentError) as raised:
        refuse_other_versions("m:1", {ours: "3.2.0"}, [asked])
    assert raised.value.conflicts == {ours: ("3.2.0", told)}
    refuse_other_versions("m:1", {ours: told}, [asked])


def test_packages_that_are_not_a_list_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="pkgs_to_install must be a list"):
        refuse_other_versions("m:1", ENVIRONMENT, "numpy==1.0")
