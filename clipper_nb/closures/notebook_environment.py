"""Versions of the notebook that a pickle depends on: sent to replicas, and compared with what the user asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clipper_nb.closures.requirements import canonical_name
from clipper_nb.cluster.argument_checks import check_packages
from clipper_nb.errors import IncompatibleEnvironmentError
from clipper_nb.protocol.model_environment import CHECKED_PACKAGES, describe_environment, find_conflicts

_HINT = "Ask for the notebook's versions, or install those in the notebook and fit the model with them."


def notebook_environment(used: Iterable[str]) -> dict[str, str]:
    """Return the versions that a replica must have for a function that uses the distributions *used*."""
    wanted = {"cloudpickle", *used}
    return describe_environment(name for name in CHECKED_PACKAGES if name in wanted)


def refuse_other_versions(model_id: str, environment: dict[str, str], packages: Sequence[str] | None) -> None:
    """Raise ``IncompatibleEnvironmentError`` when the user's requirements name another version: before any build."""
    conflicts = find_conflicts(environment, _named_versions(check_packages(packages)))
    if conflicts:
        raise IncompatibleEnvironmentError(model_id, conflicts, sides=("notebook", "pkgs_to_install"), hint=_HINT)


def _named_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the version, by name, of each requirement that pins one: ``name==version``."""
    from packaging.requirements import InvalidRequirement, Requirement

    named = {}
    for package in packages:
        try:
            requirement = Requirement(package)
        except InvalidRequirement:  # a file, or an address
            continue
        for specifier in requirement.specifier:
            if specifier.operator in ("==", "==="):
                named[canonical_name(requirement.name)] = specifier.version.removesuffix(".*")
    return named
