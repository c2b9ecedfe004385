"""Which distribution a module would be imported from: ``xgboost-cpu`` has the modules of ``xgboost``.

In a version's own environment, which sees the notebook's packages below its own, both may be installed; then the name
says nothing about what is imported.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path

from clipper_nb.protocol.installed_distributions import (
    InstalledDistribution,
    InstalledDistributions,
    installed_distributions,
)

_BUILDS = {"cpu", "gpu", "lts", "headless", "binary", "nightly"}
"""Words at the end of a distribution's name that tell one build of a library from another."""


@functools.lru_cache(maxsize=4096)
def library_name(distribution: str) -> str:
    """Return the name that the builds of one library share: ``"xgboost"`` for ``"xgboost-cpu"``. (pure)"""
    words = _words(distribution)
    while len(words) > 1 and words[-1] in _BUILDS:
        words.pop()
    return "-".join(words)


def installed_version(
    name: str, module: str | None = None, installed: InstalledDistributions | None = None
) -> str | None:
    """Return the version of a distribution, or ``None`` if it is not installed.

    With a module of it, the version of the distribution that this module would be imported from, followed by that one's
    name in parentheses if it is another. No module is imported. *installed* has what is installed now, if the caller
    has just read that.
    """
    installed = installed or installed_distributions()
    file_and_folder = _find_file(module) if module else None
    if file_and_folder is not None:
        owner = installed.owner_of(name, file_and_folder[0], partial(_find_owner, name, *file_and_folder, installed))
        if owner is not None:
            is_same = _words(owner.name) == _words(name)
            return owner.version if is_same else f"{owner.version} ({owner.name})"
    found = installed.find(name)
    return None if found is None else found.version


def _find_owner(name: str, file: Path, folder: Path, installed: InstalledDistributions) -> InstalledDistribution | None:
    """Return the distribution in *folder* that has a module's file; of several, the one that was installed last."""
    infos = [Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".dist-info")]
    owners = [info for info in infos if library_name(info.name.partition("-")[0]) == library_name(name)]
    if len(owners) != 1:
        line = f"\n{file.relative_to(folder).as_posix()},"
        owners = [info for info in owners or infos if line in _record(info)]
    return installed.read(max(owners, key=lambda info: info.stat().st_mtime)) if owners else None


def _find_file(module: str) -> tuple[Path, Path] | None:
    """Return the file of the module, or of a package above it, and the folder that Python finds it from."""
    names = module.split(".")
    try:
        spec = importlib.util.find_spec(names[0])
    except ValueError:  # a module that something made without a spec
        return None
    for depth in range(1, len(names) + 1):
        if spec is None:
            return None
        if spec.has_location and spec.origin:
            file = Path(spec.origin)
            return file, file.parents[depth - 1 + (file.name == "__init__.py")]
        spec = PathFinder.find_spec(".".join(names[: depth + 1]), spec.submodule_search_locations)
    return None


def _record(info: Path) -> str:
    try:
        return "\n" + (info / "RECORD").read_text()
    except OSError:
        return ""


def _words(name: str) -> list[str]:
    return re.split(r"[-_.]+", name.lower())
