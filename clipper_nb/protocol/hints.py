"""Hints about exceptions of the user's code that come from its running elsewhere than in the notebook. (pure)"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType

from clipper_nb.protocol.environment import NO_NETWORK

_LONGEST_CHAIN = 10
_NOT_IN_MAIN = (
    re.compile(r"Can't get attribute '(?P<name>[\w.]+)' on <module '[\w.]*(?:__main__|__mp_main__|child_main)'"),
    re.compile(r"module '__(?:mp_)?main__' has no attribute '(?P<name>\w+)'"),
)
_READ_ONLY = re.compile(r"\breadonly array\b|\b(?:array|buffer|destination|source) is read-?only\b")
"""The words of NumPy, Cython and Numba; a file system may be read-only, too."""
_OF_A_LIST = re.compile(
    r"^list indices must be|\b(?:not|got) '?list'?$|: 'list'$|'list' and '|and 'list'$|\bto list$|\"list\"\) to |"
    r"instances of 'list'|multiply sequence by non-int"
)
"""The words of Python where a list stands in place of a number, a text or a dict."""

_MAIN_HINT = (
    "(A replica's __main__ has the classes and functions that the deployed function uses: let the function, or "
    "setup=, use '{0}' by its name.)"
)
_FILE_HINT = "(Files of the notebook travel only when they are named: deploy with files=[{0!r}].)"
_VARIABLE_HINT = (
    "(The replica's environment has no such variable: set it in the notebook before the deploy, and deploy with "
    "environment_variables=[{0!r}].)"
)
_NETWORK_HINT = "(The replica's container has no network: deploy with network_access=True if its function may use it.)"
_RECORD_HINT = (
    "(The function gets a list of inputs, also for one, and returns a list with an output for each: "
    "[f(x) for x in inputs].)"
)
_INPUT_HINT = "(Inputs are read-only arrays: change a copy, x.copy().)"


def find_hint(exc: BaseException) -> str:
    """Return a hint for an exception that was raised in a replica, or for one that it was raised from; else ``""``."""
    try:
        return next((hint for each in _chain(exc) for find in _FINDERS if (hint := find(each))), "")
    except BaseException:  # the exception is user code, too
        return ""


def find_input_hint(exc: BaseException) -> str:
    """Return the hint for an exception of code that changes its inputs, or takes one for all; else ``""``."""
    try:
        return _INPUT_HINT if _READ_ONLY.search(str(exc)) else _hint_about_record(exc)
    except BaseException:
        return ""


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
    # os.environ raises its own KeyError; the code of the module os is frozen, so it has no file.
    is_of_os = any(trace.tb_next is None and trace.tb_frame.f_globals is vars(os) for trace in _trace(exc))
    return _VARIABLE_HINT.format(exc.args[0]) if is_of_os else ""


def _hint_about_network(exc: BaseException) -> str:
    if NO_NETWORK not in os.environ or not issubclass(type(exc), OSError):
        return ""
    is_unreachable = OSError.__dict__["errno"].__get__(exc) == errno.ENETUNREACH
    return _NETWORK_HINT if is_unreachable or issubclass(type(exc), socket.gaierror) else ""


def _hint_about_record(exc: BaseException) -> str:
    """Return the hint for a function that treats the list of its inputs as one of them."""
    frames = [trace.tb_frame for trace in _trace(exc) if not _is_ours(trace.tb_frame)]
    if not frames:
        return ""
    inputs = [value for value in _arguments(frames[0]) if type(value) is list]
    if issubclass(type(exc), AttributeError):
        refused = [getattr(exc, "obj", None)]
    elif type(exc) is TypeError and _OF_A_LIST.search(str(exc)):
        is_of_inputs = len(frames) > 1 or not _has_loop(frames[0].f_code)  # in a loop it may be about another list
        refused = _arguments(frames[-1]) if is_of_inputs else []
    else:
        refused = []
    return _RECORD_HINT if any(value is each for value in refused for each in inputs) else ""


def _arguments(frame: FrameType) -> list[object]:
    """Return what a function was called with, as far as it still has it."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    return [frame.f_locals[name] for name in names if name in frame.f_locals]


def _has_loop(code: CodeType) -> bool:
    import dis  # a replica that never fails like this does not need it

    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return any(each.opname == "FOR_ITER" for each in dis.get_instructions(code)) or any(map(_has_loop, inner))


def _trace(exc: BaseException) -> Iterator[TracebackType]:
    trace = exc.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("clipper_nb.")


_FINDERS: tuple[Callable[[BaseException], str], ...] = (
    _hint_about_main,
    _hint_about_file,
    _hint_about_variable,
    _hint_about_network,
    find_input_hint,
)
