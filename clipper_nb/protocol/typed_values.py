"""Reads JSON, or plain values, as records: the same in one thread and in several.

msgspec (0.22.0) looks at a record's type when it is first read, and runs Python code meanwhile. A thread that reads the
type at that moment finds it half described, which ends the process with a segmentation fault. So each type is first
looked at by one thread alone. Decoders that a module makes when it is imported need no such care.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

_T = TypeVar("_T")
_described: set[Any] = set()
_lock = threading.Lock()


@overload
def read_json(text: bytes | str, kind: type[_T]) -> _T: ...
@overload
def read_json(text: bytes | str, kind: Any) -> Any: ...
def read_json(text: bytes | str, kind: Any) -> Any:
    """Return JSON as a value of that type; raises what ``msgspec.json.decode`` does."""
    _describe_once(kind)
    return msgspec.json.decode(text, type=kind)


@overload
def read_value(value: Any, kind: type[_T]) -> _T: ...
@overload
def read_value(value: Any, kind: Any) -> Any: ...
def read_value(value: Any, kind: Any) -> Any:
    """Return plain values, as JSON has them, as one of that type; raises what ``msgspec.convert`` does."""
    _describe_once(kind)
    return msgspec.convert(value, kind)


def describe(kind: Any) -> None:
    """Have msgspec look at a type, and at those that it is made of; raises ``TypeError`` if it cannot be read."""
    with _lock:
        msgspec.json.Decoder(kind)


def _describe_once(kind: Any) -> None:
    if kind not in _described:
        describe(kind)
        _described.add(kind)
