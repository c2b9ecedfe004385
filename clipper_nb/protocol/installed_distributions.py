"""The distributions that are installed here: read once, and again after something was installed or removed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path

_INFO_SUFFIXES = (".dist-info", ".egg-info", ".egg-link", ".egg")
_SETTLED_AFTER_NS = 100_000_000
"""A file system's clock may tick so slowly that a folder which changed just now changes again at the same time."""

Stamp = tuple[object, ...]
"""Equal only if the same distributions are installed in the same folders, with the same metadata."""


@dataclass(frozen=True)
class InstalledDistribution:
    """One distribution, as its metadata describe it."""

    name: str
    version: str
    requires: tuple[str, ...]
    origin: str | None
    """The text of ``direct_url.json`` (PEP 610), if it did not come from an index."""


class InstalledDistributions:
    """What was installed when this was created, read when it is asked for and then kept.

    Eggs are read each time: of a package in development, setuptools writes their files in place.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, InstalledDistribution | None] = {}
        self._by_folder: dict[str, InstalledDistribution | None] = {}
        self._owners: dict[str, list[str]] = {}
        self._owners_of_files: dict[tuple[str, Path], InstalledDistribution | None] = {}

    def find(self, name: str) -> InstalledDistribution | None:
        """Return the distribution of that name, in any spelling, which an import would find first."""
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key not in self._by_name:
            try:
                found = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                self._by_name[key] = None
                return None
            if _is_egg(found):
                return _read(found)
            self._by_name[key] = _read(found)
        return self._by_name[key]

    def read(self, info_folder: Path) -> InstalledDistribution | None:
        """Return the distribution that a ``.dist-info`` folder describes."""
        key = str(info_folder)
        if key not in self._by_folder:
            self._by_folder[key] = _read(Distribution.at(key))
        return self._by_folder[key]

    def owner_of(
        self, name: str, file: Path, find: Callable[[], InstalledDistribution | None]
    ) -> InstalledDistribution | None:
        """Return what *find* has found for a distribution's name and a file of it: it is called once."""
        if (name, file) not in self._owners_of_files:
            self._owners_of_files[name, file] = find()
        return self._owners_of_files[name, file]

    def owners(self, top: str) -> Sequence[str]:
        """Return the names of the distributions that have a top-level module or package."""
        if top not in self._owners:
            self._owners[top] = _names_of(self._by_top.get(top, ()))
        return list(dict.fromkeys([*self._owners[top], *_names_of(egg for egg in self._eggs if top in _tops_of(egg))]))

    @cached_property
    def _eggs(self) -> Sequence[Distribution]:
        return [distribution for distribution in importlib.metadata.distributions() if _is_egg(distribution)]

    @cached_property
    def _by_top(self) -> Mapping[str, Sequence[Distribution]]:
        found: dict[str, list[Distribution]] = {}
        for distribution in importlib.metadata.distributions():
            for top in () if _is_egg(distribution) else _tops_of(distribution):
                found.setdefault(top, []).append(distribution)
        return found


_known: tuple[Stamp, InstalledDistributions] | None = None
_known_lock = threading.Lock()
"""Python's finders forget their lists for one thread at a time: two of them raise a KeyError."""


def installed_distributions() -> InstalledDistributions:
    """Return the distributions that are installed now: those known already, unless their folders have changed."""
    global _known
    stamp = _stamp()
    with _known_lock:
        if _known is None or _known[0] != stamp:
            importlib.invalidate_caches()  # Python's own finders keep lists of these folders, too
            _known = stamp, InstalledDistributions()
        return _known[1]


def _stamp() -> Stamp:
    # A folder without metadata adds nothing: each replica has one of its own in front of the others.
    return tuple(infos for folder in sys.path if len(infos := _infos_now(folder or os.curdir)) > 1)


def _infos_now(folder: str) -> Stamp:
    stamp = _folder_stamp(folder)
    is_settled = bool(stamp) and time.time_ns() - stamp[-1] > _SETTLED_AFTER_NS
    return _infos_in(folder, *stamp) if is_settled else _infos_in.__wrapped__(folder)


def _folder_stamp(path: str) -> tuple[int, ...]:
    """Return what changes when an entry of a folder is created, removed or replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns


@functools.lru_cache(maxsize=1000)
def _infos_in(folder: str, *_stamp: int) -> Stamp:
    """Return the folder, and the metadata in it. pip and others create them anew, also for the same version."""
    infos: list[object] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        infos = [
            (entry.name, _folder_stamp(entry.path)) for entry in entries if entry.name.endswith(_INFO_SUFFIXES)
        ]  # fmt: skip
    return folder, *infos


def _is_egg(distribution: Distribution) -> bool:
    return distribution.read_text("METADATA") is None


def _read(distribution: Distribution) -> InstalledDistribution | None:
    """Return what the metadata say; ``None`` for those that a broken installation left."""
    is_egg = _is_egg(distribution)
    files = ("PKG-INFO", "") if is_egg else ("METADATA",)
    text = next(filter(None, map(distribution.read_text, files)), "")
    head = HeaderParser().parsestr(text.partition("\n\n")[0])  # without the description, which is most of it
    if head["Name"] is None or head["Version"] is None:
        return None
    requires = distribution.requires if is_egg else head.get_all("Requires-Dist")
    return InstalledDistribution(
        head["Name"], head["Version"], tuple(requires or ()), distribution.read_text("direct_url.json")
    )


def _names_of(distributions: Iterable[Distribution]) -> list[str]:
    return [found.name for found in map(_read, distributions) if found is not None]


def _tops_of(distribution: Distribution) -> set[str]:
    """Return a distribution's top-level modules and packages: those that it declares, or those among its files."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return set(declared)
    record = distribution.read_text("RECORD")
    paths = [str(path) for path in distribution.files or ()] if record is None else record.splitlines()
    return {top for path in paths if (top := _top_of(path.lstrip('"')))}


def _top_of(path: str) -> str | None:
    first, _, below = path.partition("/")
    top = first if below else inspect.getmodulename(first.partition(",")[0])
    return None if top is None or "." in top else top
