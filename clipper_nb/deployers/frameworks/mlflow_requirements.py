"""The requirements of a model of MLflow, as its folder has them."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.closures.requirements import Requirements, canonical_name, find_requirements
from clipper_nb.protocol.installed_distributions import installed_distributions

_LIBRARIES = {"lightgbm": "libgomp1"}
"""Debian's package with the library of the system that a wheel lacks, by the name of the wheel."""


def find_system_packages(requirements: Requirements) -> list[str]:
    """Return the packages of Debian without which the requirements cannot be imported."""
    from packaging.requirements import Requirement

    names = {canonical_name(Requirement(each).name) for each in requirements.pinned}
    return [package for name, package in _LIBRARIES.items() if name in names]


def read_requirements(folder: Path) -> Requirements:
    """Return what ``requirements.txt`` of a model's folder names; without one, what MLflow itself needs.

    Where the notebook has only ``mlflow-skinny``, a replica gets that, in place of ``mlflow``. What is no name with
    versions (an option of pip, an address) cannot be installed without the caller's help.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    path = folder / "requirements.txt"
    if not path.is_file():
        return find_requirements(["mlflow"])
    is_skinny = installed_distributions().find("mlflow") is None
    pinned, unpinnable = [], {}
    for line in path.read_text().splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            unpinnable[text] = "a line of the model's requirements.txt"
            continue
        if canonical_name(requirement.name) == "mlflow" and is_skinny:
            requirement.name = "mlflow-skinny"
        if requirement.marker is None or requirement.marker.evaluate():
            requirement.marker = None
            pinned.append(str(requirement))
    return Requirements(pinned=tuple(sorted(pinned)), unpinnable=unpinnable)
