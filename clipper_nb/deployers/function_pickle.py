"""Pickles a function of the notebook with everything that another process will not have.

What is defined in cells travels by value anyway. So does what lies in modules of the user's own, which are not
installed: the other process could not import them. Installed packages travel by name.
"""

from __future__ import annotations

import contextlib
import functools
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import cloudpickle

from clipper_nb.errors import InvalidRequestError, SerializationError


def pickle_function(func: Callable[..., Any]) -> bytes:
    """Return *func* pickled.

    Raises
    ------
    InvalidRequestError
        It is not callable.
    SerializationError
        Something that it captured cannot be pickled; the sentence says what.
    """
    if not callable(func):
        raise InvalidRequestError(f"func must be a function that takes a list of inputs, not {type(func).__name__}.")
    with _user_modules_by_value():
        try:
            pickled: bytes = cloudpickle.dumps(func)
        except Exception as exc:  # whatever the objects' own __reduce__ raise
            name = getattr(func, "__name__", type(func).__name__)
            raise SerializationError(
                f"Function '{name}' cannot be pickled: {type(exc).__name__}: {exc}. It, or something that it uses from "
                f"the notebook, cannot leave this process{_culprits(func)}. Open files, connections, locks and threads "
                "must be made inside the function."
            ) from exc
    return pickled


@contextlib.contextmanager
def _user_modules_by_value() -> Iterator[None]:
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
    """Whether a loaded module is a file of the user's own: neither installed, nor Python's, nor ours."""
    if not isinstance(module, ModuleType) or name == "__main__" or name.partition(".")[0] == "clipper_nb":
        return False
    path = getattr(module, "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return False
    return not os.path.realpath(path).startswith(_installed_folders())


@functools.cache
def _installed_folders() -> tuple[str, ...]:
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    folders.update(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def _culprits(func: Callable[..., Any]) -> str:
    """Return the names of captured variables that cannot be pickled, as part of a sentence."""
    captured: dict[str, Any] = {}
    code = getattr(func, "__code__", None)
    if code is not None:
        captured.update({name: func.__globals__[name] for name in code.co_names if name in func.__globals__})
        cells = getattr(func, "__closure__", None) or ()
        for name, cell in zip(code.co_freevars, cells, strict=False):
            with contextlib.suppress(ValueError):
                captured[name] = cell.cell_contents
    culprits = []
    for name, value in captured.items():
        try:
            cloudpickle.dumps(value)
        except Exception:
            culprits.append(f"'{name}' ({type(value).__name__})")
    return f"; look at {', '.join(sorted(culprits))}" if culprits else ""
