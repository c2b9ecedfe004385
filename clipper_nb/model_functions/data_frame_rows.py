"""JSON rows as columns of a data frame, each value checked against the sample's types. (pure)"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.columns import Column

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**31) + 1, 2**31 - 1
"""R's integer range; one below the smallest is its NA."""
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)([T ]00:00:00(\.0+)?Z?)?\Z", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?\Z", re.ASCII)
_EPOCH = datetime.date(1970, 1, 1)
_NOT_FINITE = {"NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")}
_VALUE_LENGTH = 60
_MAX_LEVELS = 20
_KINDS = {int: "the number", float: "the number", list: "the list", dict: "the object"}


class Instant(NamedTuple):
    """A time of day on a date."""

    seconds: float
    """Since the epoch, in UTC or on the clocks of the column's time zone."""
    is_local: bool
    """True if it is on the clocks of the column's time zone."""


def read_rows(rows: Sequence[Any], columns: Sequence[Column]) -> list[list[Any]]:
    """Return the values of each column, ``None`` for NA; factors are codes from 1, dates are days since the epoch.

    Rows are JSON texts, or the values that were read from them.

    Raises
    ------
    InvalidInputError
        A row is not a JSON object, has no value for a column, or a value of another type; the error names row, column
        and value.
    """
    read = [(column.name, _READERS[column.type], column) for column in columns]
    levels = {column.name: {level: code for code, level in enumerate(column.levels, 1)} for column in columns}
    values: list[list[Any]] = [[] for _ in columns]
    for number, text in enumerate(rows, 1):
        row = _parse_row(text, number)
        for (name, reader, column), into in zip(read, values, strict=True):
            if name not in row:
                raise InvalidInputError(
                    f"Row {number} has no column '{name}' (NA is written null); it has: {', '.join(row) or 'none'}."
                )
            value = row[name]
            try:
                into.append(None if value is None else reader(value, levels[name]))
            except ValueError:
                raise InvalidInputError(f"Row {number}: column '{name}' {_wrong(value, column)}") from None
    return values


def _parse_row(text: Any, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(f"Row {number} is not JSON ({exc}): {_shortened(text)}.") from None
    if not isinstance(row, dict):
        raise InvalidInputError(
            f"Row {number} must be a JSON object of column names and values, not {_shortened(row)}."
        )
    return row


def _wrong(value: Any, column: Column) -> str:
    if column.type != "factor":
        return f"must be {_EXPECTED[column.type]} or null, not {_shortened(value)}."
    levels = [json.dumps(level, ensure_ascii=False) for level in column.levels[:_MAX_LEVELS]]
    more = [f"… ({len(column.levels)} in all)"] if len(column.levels) > _MAX_LEVELS else []
    expected = f"must be one of the texts {', '.join([*levels, *more])}, or null"
    if isinstance(value, str):
        return (
            f"{expected}; got the new level {_shortened(value)}. The model must be fitted and deployed again with it."
        )
    as_text = json.dumps(value)
    advice = f" Send {json.dumps(as_text)}." if as_text in column.levels else ""
    return f"{expected}; got {_KINDS.get(type(value), 'the value')} {_shortened(value)}.{advice}"


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


def _integer(value: Any, _levels: Mapping[str, int]) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise ValueError
    if not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
        raise ValueError
    return int(value)


def _double(value: Any, _levels: Mapping[str, int]) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    try:
        return float(value)
    except OverflowError:
        raise ValueError from None


def _logical(value: Any, _levels: Mapping[str, int]) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _character(value: Any, _levels: Mapping[str, int]) -> str:
    if not isinstance(value, str) or "\0" in value:  # R's text ends there
        raise ValueError
    return value


def _factor(value: Any, levels: Mapping[str, int]) -> int:
    if not isinstance(value, str) or value not in levels:
        raise ValueError
    return levels[value]


def _date(value: Any, _levels: Mapping[str, int]) -> float:
    match = _DATE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return float((datetime.date.fromisoformat(match[1]) - _EPOCH).days)


def _time(value: Any, _levels: Mapping[str, int]) -> Instant:
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    date, minutes, seconds, fraction, zone = match.groups()
    read = datetime.datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}+00:00")
    offset_s = 0.0
    if zone not in (None, "Z"):
        sign = -1 if zone[0] == "-" else 1
        offset_s = sign * (3600.0 * int(zone[1:3]) + 60.0 * int(zone[-2:]))
    return Instant(read.timestamp() - offset_s + float(fraction or 0), is_local=zone is None)


_READERS: Mapping[str, Callable[[Any, Mapping[str, int]], Any]] = {
    "integer": _integer,
    "double": _double,
    "logical": _logical,
    "character": _character,
    "factor": _factor,
    "Date": _date,
    "POSIXct": _time,
}
_EXPECTED = {
    "integer": "a whole number of 32 bits",
    "double": "a number",
    "logical": "true or false",
    "character": "text",
    "Date": 'a date as "2024-02-29"',
    "POSIXct": 'a time as "2024-02-29T12:00:00Z"',
}
