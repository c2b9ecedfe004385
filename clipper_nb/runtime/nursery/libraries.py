"""The libraries that a nursery has imported: which they are, and whether their files are still the same."""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

_SITE_FOLDERS = ("site-packages", "dist-packages")
_STANDARD_LIBRARY = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))

Stamp = tuple[int, int]
"""Time of the last change, in nanoseconds, and size."""


def import_all(names: Iterable[str]) -> None:
    """Import modules; leave out those that cannot be imported by their name."""
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as exc:  # whatever a library raises: the model that needs it will report it
            logger.info("%s is not imported ahead: %s: %s", name, type(exc).__name__, exc)


def installed_modules(names: Iterable[str], modules: Mapping[str, ModuleType]) -> list[str]:
    """Return those of *names* that come from installed libraries; never a user's own."""
    wanted = [name for name in names if name in modules]
    return [name for name in wanted if _is_installed(name, modules[name])]


def imported_since(last: str, modules: dict[str, ModuleType]) -> list[str]:
    """Return the names that came after *last*, in order.

    Older ones are not touched: to count a reference to a name is to write to memory that a fork shares.
    """
    try:
        return _names_after(last, reversed(modules))
    except RuntimeError:  # another thread imports something
        return _names_after(last, reversed(list(modules)))


def _names_after(last: str, latest_first: Iterable[str]) -> list[str]:
    return list(itertools.takewhile(lambda name: name != last, latest_first))[::-1]


def users_modules(modules: Mapping[str, ModuleType], names: Iterable[str]) -> dict[str, ModuleType]:
    """Return those of *names* that are not installed: what the model brought along."""
    new = [name for name in names if name in modules]
    installed = set(installed_modules(new, modules))
    return {name: modules[name] for name in new if name not in installed and _file(modules[name])}


def find_shadows(folder: Path, modules: Mapping[str, Any]) -> list[str]:
    """Return the modules in *folder* whose name an imported module has that comes from elsewhere."""
    try:
        names = {name.partition(".")[0] for name in os.listdir(folder)}
    except OSError:
        return []
    return sorted(name for name in names if name in modules and name != "__pycache__")


def stamp_all(modules: Mapping[str, ModuleType]) -> dict[str, Stamp]:
    """Return the stamps of the modules' files, and of the folders in which packages are installed."""
    files = {file for module in list(modules.values()) if (file := _file(module))}
    folders = {path for path in sys.path if Path(path).name in _SITE_FOLDERS}
    return {path: stamp for path in files | folders if (stamp := _stamp(path)) is not None}


def find_changed(stamps: Mapping[str, Stamp]) -> str | None:
    """Return a file that has changed since it was stamped, or ``None``."""
    return next((path for path, stamp in stamps.items() if _stamp(path) != stamp), None)


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def _is_installed(name: str, module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    file = _file(module)
    if spec is None or file is None or spec.name != name:
        return False
    return file.startswith(_STANDARD_LIBRARY) or any(f"{os.sep}{name}{os.sep}" in file for name in _SITE_FOLDERS)


def _file(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return file if type(file) is str else None
