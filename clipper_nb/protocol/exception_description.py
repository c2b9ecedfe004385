"""Describes an exception of the user's code, in a way that cannot fail. (pure)

The exception is user code too: its text may raise, never return or be huge, its class may hide its name, and the
source that its traceback quotes may be gone.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from clipper_nb.protocol.hints import find_hint

LONGEST_MESSAGE = 10_000
LONGEST_TRACEBACK = 100_000

_name_of_type: Any = type.__dict__["__name__"].__get__
"""Reads the name that Python itself keeps, whatever a metaclass says."""


@dataclass(frozen=True)
class ExceptionDescription:
    """An exception as text, each part bounded; the message ends with a hint if there is one."""

    type_name: str
    message: str
    traceback_text: str


def describe_exception(exc: BaseException) -> ExceptionDescription:
    """Return the description of *exc*; a part that cannot be read says so."""
    type_name = _name_of_type(type(exc))
    message = " ".join(filter(None, [_message(exc), find_hint(exc)]))
    return ExceptionDescription(type_name, message, _traceback(exc) or f"{type_name}: {message}")


def _message(exc: BaseException) -> str:
    try:
        return _shorten("".join((str(exc),)), LONGEST_MESSAGE)  # a plain str, even if it was a subclass's
    except BaseException as failure:
        return f"(its text cannot be read: that raises {_name_of_type(type(failure))})"


def _traceback(exc: BaseException) -> str | None:
    try:
        return _shorten("".join(traceback.format_exception(exc)), LONGEST_TRACEBACK)
    except BaseException:
        return None


def _shorten(text: str, limit: int) -> str:
    """Return *text* without its middle if it is too long: the important parts are at its ends."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
