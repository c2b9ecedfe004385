"""Chooses the packages of an image: those that the user asked for, and those that the deployer found. (pure)"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.installed_library import library_name


def choose_packages(
    asked: Sequence[str], found: Sequence[str], unpinnable: Mapping[str, str], in_base: Collection[str]
) -> list[str]:
    """Return the pip requirements of an image.

    Parameters
    ----------
    asked : list of str
        The user's; they take the place of found ones of the same name, or of another build of the library.
    found : list of str
        ``name==version`` of what the function uses.
    unpinnable : dict
        Packages that it uses but pip cannot install elsewhere, each with the reason.
    in_base : collection of str
        Requirements that the base image has in exactly these versions.

    Raises
    ------
    InvalidRequestError
        The function uses something that cannot be installed, and the user names nothing in its place.
    """
    names = {_name(requirement) for requirement in asked}
    missing = {name: why for name, why in unpinnable.items() if _name(name) not in names}
    if missing:
        which = ", ".join(f"'{name}' ({why})" for name, why in missing.items())
        raise InvalidRequestError(
            f"The function uses packages that pip cannot install in the image: {which}. Pass each as a wheel, a folder "
            "or a requirement in pkgs_to_install, or capture_packages=False if the base image has them."
        )
    there = {requirement.lower() for requirement in in_base}
    return [*asked, *(pin for pin in found if _name(pin) not in names and pin.lower() not in there)]


def _name(requirement: str) -> str:
    """Return the library's name in a requirement, or in the name of a wheel, an archive or a folder."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return library_name(Requirement(requirement).name)
    except InvalidRequirement:
        return library_name(PurePath(requirement).name.partition("-")[0])
