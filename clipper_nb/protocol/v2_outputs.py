"""Outputs of a model as tensors of the Open Inference Protocol (V2), in JSON or binary. (pure)

An output is a number, a boolean, a text, or a list of them, nested if it is regular; the outputs of one request become
one tensor if they have the same kind and shape. All others are sent as JSON text.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from clipper_nb.protocol.non_finite import parse_json

BOOL: Final = "BOOL"
INT64: Final = "INT64"
FP64: Final = "FP64"
TEXT: Final = "text"
JSON: Final = "JSON"
"""The kinds of an element; the last two are sent as BYTES."""

_EXACT_UP_TO: Final = 2**53
_encode: Final = msgspec.json.Encoder().encode
_KINDS: Final[dict[type, str]] = {bool: BOOL, int: INT64, float: FP64, str: TEXT}
_ROWS_A_STEP: Final = 256
_CODES: Final = {INT64: "q", FP64: "d"}
_LENGTH: Final = struct.Struct("<I").pack
_IS_BIG_ENDIAN: Final = sys.byteorder != "little"


class Answer(NamedTuple):
    """One output, read as a part of a tensor."""

    kind: str
    dimensions: tuple[int, ...]
    values: Any
    """The element, or a flat list of the elements; of JSON the value."""
    text: str
    """The output as the model sent it."""


class Row(NamedTuple):
    """One input's answer: an output, or the default output and why."""

    answer: Answer
    reason: str | None = None
    explanation: str | None = None


class DefaultMisfitError(Exception):
    """A default output is no element of the tensor that the other outputs make."""

    def __init__(self, row: Row) -> None:
        super().__init__(f"{row.explanation} The default output is no value of the tensor, so there is no answer.")
        assert row.reason is not None
        self.reason: str = row.reason


class Tensor(NamedTuple):
    """An output tensor."""

    kind: str
    shape: tuple[int, ...]
    rows: Sequence[Any]
    """Of each row the element, or a list of them; texts for JSON."""

    @property
    def datatype(self) -> str:
        """The name of its datatype."""
        return self.kind if self.kind in (BOOL, INT64, FP64) else "BYTES"


# --- reading


def read_output(text: str) -> Answer:
    """Return a model's output as a part of a tensor."""
    try:
        value = parse_json(text.encode())
    except (ValueError, RecursionError):
        return Answer(TEXT, (), text, text)
    kind = _KINDS.get(type(value))
    if kind is not None:
        if kind is INT64 and not -(2**63) <= value < 2**63:
            kind = JSON
        return Answer(kind, (), value, text)
    if type(value) is list:
        elements: list[Any] = []
        dimensions = _flatten(value, elements)
        if dimensions is not None:
            kind = _common_kind(elements)
            if kind is not None:
                return Answer(kind, dimensions, elements, text)
    return Answer(JSON, (), value, text)


def _flatten(value: list[Any], elements: list[Any]) -> tuple[int, ...] | None:
    """Add the elements of a nested list; return its dimensions, or ``None`` if it is not regular."""
    if not value or type(value[0]) is not list:
        elements += value
        return (len(value),)
    inner: tuple[int, ...] | None = None
    for part in value:
        if type(part) is not list:
            return None
        dimensions = _flatten(part, elements)
        if dimensions is None or (inner is not None and dimensions != inner):
            return None
        inner = dimensions
    assert inner is not None
    return (len(value), *inner)


def _common_kind(elements: list[Any]) -> str | None:
    types = {*map(type, elements)}
    if len(types) == 1:
        kind = _KINDS.get(types.pop())
        if kind is INT64 and not (min(elements) >= -(2**63) and max(elements) < 2**63):
            return None
        return kind
    if types == {int, float} and _are_exact(elements):
        return FP64
    return FP64 if not types else None


def _are_exact(elements: Iterable[Any]) -> bool:
    return all(type(number) is float or -_EXACT_UP_TO <= number <= _EXACT_UP_TO for number in elements)


# --- combining


def make_tensors(rows: Sequence[Row], wanted: Iterable[str] = ()) -> dict[str, Tensor]:
    """Return the tensors of a reply by their names: the outputs, and which of them are default outputs, if any is.

    Parameters
    ----------
    rows : sequence of Row
    wanted : iterable of str, optional
        The names that the client asked for; by default ``output``.

    Raises
    ------
    DefaultMisfitError
        A default output is no element of the tensor that the others make.
    """
    if len(rows) == 1 and rows[0].reason is None and not (wanted and [*wanted] != ["output"]):  # the usual case
        answer = rows[0].answer
        return {"output": Tensor(answer.kind, (1, *answer.dimensions), [_fit(rows[0], answer.kind, answer.dimensions)])}
    found: dict[str, Tensor] = {}
    names = set(wanted) or {"output"}
    if any(row.reason is not None for row in rows):
        names |= {"default", "default_reason"}
    if "output" in names or names & {"default", "default_reason"}:
        found["output"] = _outputs(rows)
    if "default" in names:
        found["default"] = Tensor(BOOL, (len(rows),), [row.reason is not None for row in rows])
    if "default_reason" in names:
        found["default_reason"] = Tensor(TEXT, (len(rows),), [row.reason or "" for row in rows])
    return {name: tensor for name, tensor in found.items() if name in names}


def _outputs(rows: Sequence[Row]) -> Tensor:
    answers = [row.answer for row in rows if row.reason is None]
    if not answers:
        for row in rows:
            if row.answer.text.strip() == "null":  # no value of any tensor
                raise DefaultMisfitError(row)
        answers = [row.answer for row in rows]
    kind, dimensions = _combine(answers)
    if kind is not JSON and len(answers) == len(rows):
        values = [row.answer.values for row in rows]
    else:
        values = [_fit(row, kind, dimensions) for row in rows]
    return Tensor(kind, (len(rows), *dimensions), values)


def _combine(answers: Sequence[Answer]) -> tuple[str, tuple[int, ...]]:
    """Return the kind and the shape that all the answers have, or can have without a loss."""
    kinds = {answer.kind for answer in answers}
    shapes = {answer.dimensions for answer in answers}
    if not answers:
        return FP64, ()
    if len(shapes) > 1:
        return JSON, ()
    [dimensions] = shapes
    if len(kinds) == 1:
        [kind] = kinds
        return kind, dimensions
    if kinds == {INT64, FP64} and all(
        _are_exact(answer.values if dimensions else [answer.values]) for answer in answers
    ):
        return FP64, dimensions
    return JSON, ()


def _fit(row: Row, kind: str, dimensions: tuple[int, ...]) -> Any:
    """Return a row's part of a tensor."""
    answer = row.answer
    if kind is JSON:
        return _as_json(answer)
    if answer.dimensions == dimensions:
        if answer.kind is kind or (kind is FP64 and answer.kind is INT64):
            return answer.values
        if kind is TEXT and not dimensions and answer.kind is not JSON:
            return answer.text
        if kind is INT64 and answer.kind is FP64 and not dimensions and answer.values.is_integer():
            return int(answer.values)
    raise DefaultMisfitError(row)


def _as_json(answer: Answer) -> str:
    return _encode(answer.text).decode() if answer.kind is TEXT and answer.values is answer.text else answer.text


# --- formatting


def format_binary(tensor: Tensor) -> Iterator[bytes]:
    """Yield a tensor's bytes, some rows at a time."""
    kind, is_scalar = tensor.kind, len(tensor.shape) == 1
    for start in range(0, len(tensor.rows), _ROWS_A_STEP):
        rows = tensor.rows[start : start + _ROWS_A_STEP]
        elements = rows if is_scalar else [element for row in rows for element in row]
        if kind is BOOL:
            yield bytes(elements)
        elif kind in _CODES:
            numbers = array(_CODES[kind], elements)
            if _IS_BIG_ENDIAN:
                numbers.byteswap()
            yield numbers.tobytes()
        else:
            yield b"".join(_LENGTH(len(text)) + text for text in (element.encode() for element in elements))


def format_json(tensor: Tensor) -> Iterator[bytes]:
    """Yield the elements of a tensor's flat ``data``, some rows at a time, with commas between them."""
    is_scalar = len(tensor.shape) == 1
    for start in range(0, len(tensor.rows), _ROWS_A_STEP):
        rows = tensor.rows[start : start + _ROWS_A_STEP]
        elements = rows if is_scalar else [element for row in rows for element in row]
        text = _encode(elements) if tensor.kind is not FP64 else _format_floats(elements)
        if len(text) > 2:
            yield text[1:-1]


def _format_floats(elements: Sequence[Any]) -> bytes:
    """Return JSON of floats; what JSON has no number for is written as text, as in all our replies."""
    text = _encode(elements)
    if b"null" not in text:
        return text
    return _encode([_format_float(number) for number in elements])


def _format_float(number: Any) -> Any:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
