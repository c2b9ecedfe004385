"""Versions of the notebook that a pickle depends on: sent to replicas, and compared with what the user asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from clipper_nb.closures.requirements import Requirements, canonical_name
from clipper_nb.cluster.argument_checks import check_packages
from clipper_nb.errors import IncompatibleEnvironmentError
from clipper_nb.protocol.installed_library import library_name
from clipper_nb.protocol.model_environment import CHECKED_PACKAGES, describe_environment, find_conflicts

_HINT = "Ask for the notebook's versions, or install those in the notebook and fit the model with them."


def notebook_environment(requirements: Requirements, *also: str) -> dict[str, str]:
    """Return the versions that a replica must have for a function that has such requirements, and needs *also*."""
    wanted = {"cloudpickle", *requirements.direct, *also}
    return describe_environment([*(name for name in CHECKED_PACKAGES if name in wanted), *requirements.pickled])


def refuse_other_versions(model_id: str, environment: dict[str, str], packages: Sequence[str] | None) -> None:
    """Raise ``IncompatibleEnvironmentError`` when the user's requirements name another version: before any build.

    Another build of a library, such as ``xgboost-cpu`` for ``xgboost``, is compared too.
    """
    named = list(_named_versions(check_packages(packages)))
    conflicts: dict[str, tuple[str, str]] = {}
    for ours, version in environment.items():
        for name, other in named:
            if library_name(name) == library_name(ours):
                told = other if canonical_name(name) == ours else f"{other} ({name})"
                conflicts.update(find_conflicts({ours: version}, {ours: told}))
    if conflicts:
        raise IncompatibleEnvironmentError(model_id, conflicts, sides=("notebook", "pkgs_to_install"), hint=_HINT)


def _named_versions(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and version of each requirement that pins one: ``name==version``, or a wheel."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    for package in packages:
        try:
            requirement = Requirement(package)
        except InvalidRequirement:  # a file, or an address
            try:
                name, version, *_ = parse_wheel_filename(PurePath(package).name)
            except InvalidWheelFilename:
                continue
            yield str(name), str(version)
            continue
        for specifier in requirement.specifier:
            if specifier.operator in ("==", "==="):
                yield requirement.name, specifier.version.removesuffix(".*")
