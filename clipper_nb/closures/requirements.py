"""Finds the distributions that modules come from, pinned to the versions that are installed here."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clipper_nb.protocol.installed_distributions import InstalledDistributions, installed_distributions

_OURS = "clipper-nb"
_OF_PYTHON = frozenset(sys.stdlib_module_names) | {"__main__"}


@dataclass(frozen=True)
class Requirements:
    """The distributions to install where a function runs.

    Attributes
    ----------
    direct : dict
        Version by name of each distribution that it uses itself.
    pinned : list of str
        These and all that they require, as pip requirements.
    unpinnable : dict
        Distributions that it uses but pip could not find elsewhere, each with the reason.
    pickled : dict
        Those whose objects travel with it, each with a module that it has.
    """

    direct: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[str, ...] = ()
    unpinnable: Mapping[str, str] = field(default_factory=dict)
    pickled: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: Requirements) -> Requirements:
        """Return the requirements of both."""
        return Requirements(
            {**self.direct, **other.direct},
            tuple(sorted({*self.pinned, *other.pinned})),
            {**self.unpinnable, **other.unpinnable},
            {**self.pickled, **other.pickled},
        )


NO_REQUIREMENTS = Requirements()


def find_requirements(modules: Iterable[str], of_objects: Iterable[str] = ()) -> Requirements:
    """Return what *modules*, full names of imported ones, need to be installed; Python's own need nothing.

    *of_objects* are the modules of them that the classes of objects come from.
    """
    tops = {module.partition(".")[0] for module in modules} - _OF_PYTHON
    installed = installed_distributions()
    direct: dict[str, str] = {}
    for top in sorted(tops):
        for name in _distributions_of(top, modules, installed):
            found = installed.find(name)
            if found is not None and canonical_name(name) != _OURS:
                direct[canonical_name(name)] = found.version
    everything: dict[str, str] = {}
    unpinnable: dict[str, str] = {}
    for name in direct:
        _add_with_requirements(name, installed, everything, unpinnable)
    pinned = tuple(f"{name}=={version}" for name, version in sorted(everything.items()) if name not in unpinnable)
    pickled: dict[str, str] = {}
    for module in sorted(of_objects):
        top = module.partition(".")[0]
        for name in _distributions_of(top, [module], installed) if top in tops else ():
            if canonical_name(name) in direct:
                pickled.setdefault(canonical_name(name), module)
    return Requirements(direct, pinned, unpinnable, pickled)


def canonical_name(name: str) -> str:
    """Return the one name that all spellings of a distribution's name share."""
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def _distributions_of(top: str, modules: Iterable[str], installed: InstalledDistributions) -> Sequence[str]:
    """Return the distributions of a top-level module; of a namespace that many share, those that were used."""
    found = installed.owners(top)
    if len(found) < 2:
        return found
    files = {path for name in modules if name.partition(".")[0] == top and (path := _file_of(name))}
    owners = [name for name in found if any(str(file.locate()) in files for file in _files_of(name))]
    return owners or found


def _files_of(name: str) -> list[importlib.metadata.PackagePath]:
    return importlib.metadata.files(name) or []


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def _add_with_requirements(
    name: str, installed: InstalledDistributions, found: dict[str, str], unpinnable: dict[str, str]
) -> None:
    if name in found:
        return
    distribution = installed.find(name)
    if distribution is None:
        return  # needed on another platform, or optional
    found[name] = distribution.version
    if distribution.origin is not None:
        unpinnable[name] = _why_unpinnable(distribution.origin)
    for required in _required(distribution.requires):
        _add_with_requirements(required, installed, found, unpinnable)


@functools.lru_cache(maxsize=1000)
def _required(requirements: tuple[str, ...]) -> Sequence[str]:
    """Return the names of the distributions that are required here, without extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    names = []
    for text in requirements:
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names.append(canonical_name(requirement.name))
    return names


def _why_unpinnable(direct_url: str) -> str:
    """Return why pip could not install the same elsewhere: it came from a direct URL (PEP 610)."""
    origin = json.loads(direct_url)
    if "vcs_info" in origin:
        return f"installed from {origin['vcs_info'].get('vcs', 'version control')}, {origin['url']}"
    if origin.get("dir_info", {}).get("editable"):
        return f"installed as editable, from {origin['url']}"
    return f"installed from {origin['url']}"
