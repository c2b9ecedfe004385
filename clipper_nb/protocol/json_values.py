"""Values as JSON has them, by their types: what a model may return, down to the last element. (pure)"""

from __future__ import annotations

import datetime
import json
import json.encoder
from collections import UserString
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from clipper_nb.protocol.library_times import iso_duration, iso_time
from clipper_nb.protocol.library_values import unwrapped, unwrapped_by_method

MAX_DEPTH = 100
"""How deeply lists and objects may be nested: every JSON parser reads that."""
_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))
_KEYS_AS_THEY_ARE = frozenset((str,))
_VIEWS = (KeysView, ValuesView, ItemsView)
_ADVICE = {
    "complex": "return [z.real, z.imag]",
    "complexfloating": "return [z.real, z.imag]",
    "longdouble": "return float(x), or x.astype(float) of an array",
    "Fraction": "return float(x), or text: str(x)",
    "Period": "return text: str(x), or x.start_time",
    "Interval": "return text: str(x), or [x.left, x.right]",
    "PurePath": "return text: str(x)",
    "_IPAddressBase": "return text: str(x)",
    "SimpleNamespace": "return vars(x)",
    "bytes": 'return text: base64.b64encode(x).decode("ascii")',
    "memoryview": "return bytes(x)",
    "set": "return a list, in the order that it should have",
    "generator": "return a list",
}


class NoJsonError(Exception):
    """A value, or a part of it, has no JSON.

    Attributes
    ----------
    path : list of str
        Where the part is: ``["['scores']", "[0]"]``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []


def json_encoder(*, allow_nan: bool) -> Callable[[Any], str]:
    """Return what writes values of :func:`to_json_value`; without *allow_nan* NaN and infinities raise ``ValueError``.

    ``JSONEncoder.encode()`` creates an encoder in C for each call, which takes longer than writing a short list.
    """
    create: Any = getattr(json.encoder, "c_make_encoder", None)
    if create is None:
        return json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=allow_nan).encode
    write = create(
        None, json.JSONEncoder().default, json.encoder.encode_basestring, None, ": ", ", ", False, False, allow_nan
    )
    return lambda value: "".join(write(value, 0))


def to_json_value(value: Any, depth: int = 0) -> Any:
    """Return *value* made of text, numbers, booleans, ``None``, lists and dicts with keys of text.

    Raises
    ------
    NoJsonError
        It has a part whose type has no JSON; the error says what to return.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if depth > MAX_DEPTH:
        raise NoJsonError(f"is nested more than {MAX_DEPTH} levels deep, or contains itself; return a flatter value")
    if kind is list or kind is tuple:
        return _list(value, depth)
    if kind is dict:
        return _object(value, depth)
    return _by_class(value, depth)


def _by_class(value: Any, depth: int) -> Any:
    """Return a value of any other class; a class that is several kinds is the first of these."""
    plain = unwrapped(value)
    if plain is not value:
        return _unless_alike(value, plain, depth)
    if isinstance(value, Enum):
        return to_json_value(value.value, depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, UserString):
        return value.data
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, (bytes, bytearray)):
        return _text_of(bytes(value))
    text = _standard_text(value)
    if text is not None:
        return text
    members = _members(value)
    if members is not None:
        return _object(members, depth)
    if isinstance(value, _VIEWS):
        return _list(list(value), depth)
    if isinstance(value, Set):
        return _in_order(_list(list(value), depth), value)
    if isinstance(value, memoryview):
        raise _no_json(value)
    if isinstance(value, Sequence):
        return _list(list(value), depth)
    return _unless_alike(value, unwrapped_by_method(value), depth)


def _unless_alike(value: Any, plain: Any, depth: int) -> Any:
    if type(plain) is type(value):  # a longdouble, whose tolist() returns a longdouble
        raise _no_json(value)
    return to_json_value(plain, depth + 1)


def _list(values: Sequence[Any], depth: int) -> Sequence[Any]:
    if _AS_THEY_ARE.issuperset(map(type, values)):
        return values
    return [_part(value, index, depth) for index, value in enumerate(values)]


def _object(members: Mapping[Any, Any], depth: int) -> Mapping[str, Any]:
    if _KEYS_AS_THEY_ARE.issuperset(map(type, members)) and _AS_THEY_ARE.issuperset(map(type, members.values())):
        return members
    found: dict[str, Any] = {}
    for key, value in members.items():
        name = _key(key, depth)
        if name in found:
            raise NoJsonError(f"has two keys that are {json.dumps(name)} as text; rename one")
        found[name] = _part(value, key, depth)
    return found


def _part(value: Any, where: Any, depth: int) -> Any:
    try:
        return to_json_value(value, depth + 1)
    except NoJsonError as exc:
        exc.path.insert(0, f"[{where!r}]")
        raise


def _key(key: Any, depth: int) -> str:
    """Return a key as text: that of a JSON value for numbers, booleans and ``None``."""
    plain = to_json_value(key, depth + 1)
    if isinstance(plain, (list, tuple, dict)):
        raise NoJsonError(f"has a key of type {type(key).__name__}; use text as keys")
    return plain if isinstance(plain, str) else json.dumps(plain)


def _standard_text(value: Any) -> str | None:
    """Return a date, time or duration as ISO 8601, UTC as ``Z``, and a number or name as text; else ``None``."""
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, datetime.time) and value.tzinfo is not None and value.utcoffset() is None:
        raise NoJsonError(f"is a time in {value.tzinfo}, which has no offset without a date; return a datetime")
    if isinstance(value, (datetime.datetime, datetime.time)):
        return iso_time(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return iso_duration(value // datetime.timedelta(microseconds=1), 10**6)
    return None


def _members(value: Any) -> Mapping[Any, Any] | None:
    """Return the fields of a record, by name; ``None`` for a value that is none."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {} if config.tag_field is None else {config.tag_field: config.tag}
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        found = {encoded: getattr(value, name) for encoded, name in names}
        return tag | {name: member for name, member in found.items() if member is not msgspec.UNSET}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in type(value).__attrs_attrs__}
    return None


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NoJsonError(f"is bytes that are not UTF-8; {_ADVICE['bytes']}") from None


def _in_order(values: Sequence[Any], of: Any) -> list[Any]:
    refusal = NoJsonError(f"is a {type(of).__name__} whose elements have no order; {_ADVICE['set']}")
    if any(value != value for value in values):  # among NaN's neighbours the order would depend on the process
        raise refusal
    try:
        return sorted(values)
    except TypeError:
        raise refusal from None


def _no_json(value: Any) -> NoJsonError:
    names = [kind.__name__ for kind in type(value).__mro__]
    if isinstance(value, Iterator):
        names.append("generator")
    advice = next((_ADVICE[name] for name in names if name in _ADVICE), "return a number, text, list or dict")
    return NoJsonError(f"is of type {type(value).__name__}, which has no JSON; {advice}")
