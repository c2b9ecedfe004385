"""Finds parts of a variable, and their access paths: ``['lock']``, ``.options[0]``."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from clipper_nb.closures.pickler import travels_by_name

_MAX_PARTS = 100_000
_MAX_KEY_LENGTH = 40


class Part(NamedTuple):
    """A part of a variable, its access path, and the library's object whose private attributes contain it, if any."""

    path: str
    value: Any
    owner: Part | None = None


def find_parts(value: Any, wanted: set[int]) -> Iterator[Part]:
    """Yield the parts of a variable whose ids are *wanted*, the nearest first."""
    waiting = deque([Part("", value)] if wanted else [])
    seen: dict[int, Any] = {}  # an id is valid only while its object lives
    while waiting and len(seen) < _MAX_PARTS:
        part = waiting.popleft()
        if id(part.value) in seen:
            continue
        seen[id(part.value)] = part.value
        if id(part.value) in wanted:
            yield part
        else:
            waiting.extend(
                Part(f"{part.path}{label}", inner, _owner(part, label)) for label, inner in _parts(part.value)
            )


def _owner(part: Part, label: str) -> Part | None:
    """Return the library's object whose private attributes contain this attribute of *part*; user classes have none."""
    cls = type(part.value)
    if cls.__module__ == "builtins":
        return part.owner
    if not travels_by_name(cls):
        return None
    is_private = label.startswith("._") and not label.startswith(".__")
    return part.owner or (part if is_private else None)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield items and attributes; of functions only attributes, since their variables are found separately.

    Containers are copied first: the notebook's threads keep running, and may add items meanwhile.
    """
    if isinstance(value, (str, bytes, int, float, ModuleType)):
        return
    if isinstance(value, dict):
        yield from ((f"[{_format_key(key)}]", item) for key, item in list(value.items()))
    elif isinstance(value, (list, tuple, deque)):
        names = getattr(value, "_fields", ())
        yield from ((f".{names[i]}" if names else f"[{i}]", item) for i, item in enumerate(list(value)))
    elif isinstance(value, (set, frozenset)):
        yield from ((" (an element)", item) for item in list(value))
    elif isinstance(value, functools.partial):
        yield from ((".args", value.args), (".keywords", value.keywords), (".func", value.func))
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    yield from _attributes(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, type) and travels_by_name(value):
        return
    for name, part in _dict_of(value).items():
        if name != "__wrapped__" or not isinstance(value, FunctionType):
            yield f".{name}", part
    cls = type(value)
    for base in value.__mro__[1:] if isinstance(value, type) else cls.__mro__:
        belongs_to_value = not travels_by_name(base) and base.__module__ != "builtins"
        for name, part in list(vars(base).items()):
            if type(part).__name__ == "member_descriptor":
                if "__slots__" in vars(base):  # not those of Python itself, such as __globals__ of a function
                    yield f".{name}", getattr(value, name, None)
            elif belongs_to_value:
                yield f".{name}", part


def _dict_of(value: Any) -> dict[str, Any]:
    try:
        return dict(value.__dict__)
    except Exception:  # it has none, or is a proxy of an object that is gone
        return {}


def _format_key(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= _MAX_KEY_LENGTH else f"{text[:_MAX_KEY_LENGTH]}…"
