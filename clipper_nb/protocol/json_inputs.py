"""Inputs of type ``json``: read from their text, and written as text. (pure)

On the wire they are JSON as the client sent it. Whole numbers of any size stay whole. NaN and the infinities are texts,
which our own clients mark (``non_finite.py``), so that a function gets floats from them again.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.json_values import MAX_DEPTH, NoJsonError, json_encoder, to_json_value
from clipper_nb.protocol.non_finite import quote_non_finite, unquoted

MAX_CHECKED_SIZE_BYTES: Final = 64 * 1024
"""Larger inputs are not parsed as a whole where that would block other queries."""
_MARK: Final = b'"\t'
_read: Final = msgspec.json.Decoder().decode
_finite_json: Final = json_encoder(allow_nan=False)
_json: Final = json_encoder(allow_nan=True)


class UnreadableJsonError(ValueError):
    """A text is not JSON, or not one that every reader understands alike.

    Attributes
    ----------
    path : str
        The part that is wrong: ``"$.age"``, or ``"$"``.
    """

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason)
        self.path = path


def read_json(text: bytes | memoryview) -> Any:
    """Return the value of one input.

    Raises
    ------
    UnreadableJsonError
        It is not JSON in UTF-8, is nested too deeply, or has a number that no float holds.
    """
    try:
        value = _read(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        reason, _, path = str(exc).partition(" - at `")
        raise UnreadableJsonError(reason, path.rstrip("`") or "$") from exc
    found = bytes(text)
    if found.count(b"[") + found.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise UnreadableJsonError(f"JSON is nested more than {MAX_DEPTH} levels deep")
    return json.loads(unquoted(found.decode())) if _MARK in found else value


def write_json(value: Any) -> bytes:
    """Return a value of :func:`as_json_input` as text, also as a part of a list or dict; NaN and infinities are marked.

    Raises
    ------
    InvalidInputError
        It has a text that is no Unicode.
    """
    try:
        try:
            return _finite_json(value).encode()
        except ValueError:
            return quote_non_finite(_json(value)).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidInputError(f"The input cannot be written as JSON: {exc}.") from exc


def as_json_input(value: Any) -> Any:
    """Return a notebook's input made of what JSON has, by the rules for outputs.

    Raises
    ------
    InvalidInputError
        A part of it has no JSON; or it is a data frame or a Series, which could become several things.
    """
    if hasattr(type(value), "columns"):
        raise InvalidInputError(
            "A data frame is no single input. Use predict_batch(), where each row is an object; or send "
            "df.to_dict('records') for a list of objects."
        )
    if hasattr(type(value), "to_dict") and hasattr(type(value), "tolist"):
        raise InvalidInputError(
            "A Series is no single input: it could be an object or a list. Send row.to_dict() or row.tolist()."
        )
    try:
        plain = to_json_value(value)
    except NoJsonError as exc:
        where = f"at {''.join(exc.path[:4])} " if exc.path else ""
        raise InvalidInputError(f"An input of type json {where}{exc}.".replace("return ", "send ")) from exc
    if isinstance(plain, float) and not math.isfinite(plain):
        raise InvalidInputError(f"An input of type json is {plain} alone, for which JSON has no number. Send None.")
    return plain


def _depth(value: Any) -> int:
    """Return how many lists and objects are around the innermost part."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, (list, dict))]:
        depth += 1
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return depth
