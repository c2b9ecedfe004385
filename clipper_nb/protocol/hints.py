"""Hints about exceptions of the user's code that come from its running elsewhere than in the notebook. (pure)"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

_LONGEST_CHAIN = 10
_NOT_IN_MAIN = (
    re.compile(r"Can't get attribute '(?P<name>[\w.]+)' on <module '[\w.]*(?:__main__|__mp_main__|child_main)'"),
    re.compile(r"module '__(?:mp_)?main__' has no attribute '(?P<name>\w+)'"),
)
_READ_ONLY = re.compile(r"\breadonly array\b|\b(?:array|buffer|destination|source) is read-?only\b")
"""The words of NumPy, Cython and Numba; a file system may be read-only, too."""

_MAIN_HINT = (
    "(A replica's __main__ has the classes and functions that the deployed function uses: let the function, or "
    "setup=, use '{0}' by its name.)"
)
_FILE_HINT = "(Files of the notebook travel only when they are named: deploy with files=[{0!r}].)"
_VARIABLE_HINT = (
    "(The replica's environment has no such variable: set it in the notebook before the deploy, and deploy with "
    "environment_variables=[{0!r}].)"
)
_INPUT_HINT = "(Inputs are read-only arrays: change a copy, x.copy().)"


def find_hint(exc: BaseException) -> str:
    """Return a hint for an exception that was raised in a replica, or for one that it was raised from; else ``""``."""
    try:
        return next((hint for each in _chain(exc) for find in _FINDERS if (hint := find(each))), "")
    except BaseException:  # the exception is user code, too
        return ""


def find_input_hint(exc: BaseException) -> str:
    """Return the hint for an exception of code that changes its inputs, wherever it was raised; else ``""``."""
    try:
        is_it = _READ_ONLY.search(str(exc)) is not None
    except BaseException:
        return ""
    return _INPUT_HINT if is_it else ""


def _chain(exc: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = exc
    for _ in range(_LONGEST_CHAIN):
        if each is None:
            return
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _hint_about_main(exc: BaseException) -> str:
    if not issubclass(type(exc), AttributeError):
        return ""
    found = next(filter(None, (pattern.search(str(exc)) for pattern in _NOT_IN_MAIN)), None)
    return _MAIN_HINT.format(found["name"]) if found else ""


def _hint_about_file(exc: BaseException) -> str:
    if not issubclass(type(exc), FileNotFoundError):
        return ""
    name = OSError.__dict__["filename"].__get__(exc)
    is_relative = type(name) is str and name != "" and not os.path.isabs(name)
    return _FILE_HINT.format(name) if is_relative else ""


def _hint_about_variable(exc: BaseException) -> str:
    if type(exc) is not KeyError or len(exc.args) != 1 or type(exc.args[0]) is not str:
        return ""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # os.environ raises its own KeyError; the code of the module os is frozen, so it has no file.
    is_of_os = trace is not None and trace.tb_frame.f_globals is vars(os)
    return _VARIABLE_HINT.format(exc.args[0]) if is_of_os else ""


_FINDERS: tuple[Callable[[BaseException], str], ...] = (
    _hint_about_main,
    _hint_about_file,
    _hint_about_variable,
    find_input_hint,
)
