"""The user's own modules, which are not installed: no other process could import them, so they travel by value."""

from __future__ import annotations

import contextlib
import functools
import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterator
from types import ModuleType

import cloudpickle

_registry_lock = threading.RLock()
"""cloudpickle has one registry for the whole process: one thread's end would take another's modules out of it."""


@contextlib.contextmanager
def user_modules_by_value() -> Iterator[None]:
    """Let the user's own modules travel within the ``with``; other threads wait for its end."""
    with _registry_lock:
        registered: list[ModuleType] = []
        already = cloudpickle.list_registry_pickle_by_value()
        for name, module in list(sys.modules.items()):
            if name not in already and is_user_module(name, module):
                with contextlib.suppress(ValueError):
                    cloudpickle.register_pickle_by_value(module)
                    registered.append(module)
        try:
            yield
        finally:
            for module in registered:
                with contextlib.suppress(ValueError):
                    cloudpickle.unregister_pickle_by_value(module)


def is_user_module(name: str, module: object) -> bool:
    """Return whether a loaded module is the user's own file: neither installed, nor Python's, nor of this package."""
    if not isinstance(module, ModuleType) or name == "__main__" or name.partition(".")[0] == "clipper_nb":
        return False
    # An installed package may have modules that are no files, and call them by any name: torch.ops is "_ops.py".
    package_file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    is_in_installed = package_file is not None and not is_user_file(package_file)
    return not is_in_installed and is_user_file(getattr(module, "__file__", None))


def is_user_file(path: object) -> bool:
    """Return whether a file with Python code is outside the folders of installed packages."""
    return isinstance(path, str) and path.endswith(".py") and not _is_installed(path)


@functools.lru_cache(maxsize=10_000)  # every deploy asks for thousands of modules
def _is_installed(path: str) -> bool:
    return os.path.realpath(path).startswith(_installed_folders())


@functools.cache
def _installed_folders() -> tuple[str, ...]:
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    folders.update(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)
