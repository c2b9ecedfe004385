"""JSON rows as columns of a data frame: what fits, and what is said of what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.data_frame_rows import Instant, read_rows
from clipper_nb.protocol.columns import Column


def _read(kind: Any, *values: Any, levels: tuple[str, ...] = ()) -> list[Any]:
    (column,) = read_rows([json.dumps({"x": value, "other": 1}) for value in values], [Column("x", kind, levels)])
    return column


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("integer", [3, 3.0, -2147483647, None], [3, 3, -2147483647, None]),
        ("double", [0.1, 3, "Inf", "-Inf", None], [0.1, 3.0, float("inf"), float("-inf"), None]),
        ("logical", [True, False, None], [True, False, None]),
        ("character", ["", "naïve", None], ["", "naïve", None]),
        ("factor", ["b", "a", None], [2, 1, None]),
        ("Date", ["1970-01-02", "2024-02-29T00:00:00.000", None], [1.0, 19782.0, None]),
        (
            "POSIXct",
            ["1970-01-01T00:01:00Z", "1970-01-01T01:00:00.25+01:00", "1970-01-02 00:00", "1970-01-02", None],
            [Instant(60.0, False), Instant(0.25, False), Instant(86400.0, True), Instant(86400.0, True), None],
        ),
    ],
)
def test_values_of_each_type(kind: str, values: list[Any], expected: list[Any]) -> None:
    assert _read(kind, *values, levels=("a", "b")) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 2.5), ("integer", 2**31), ("integer", -(2**31)), ("integer", True), ("integer", "3"),
        ("integer", float("inf")), ("integer", float("nan")), ("double", "0.1"), ("double", True), ("double", [1.0]),
        ("double", 10**400), ("logical", 1), ("logical", "TRUE"), ("character", 1), ("character", "a\0b"),
        ("factor", "c"), ("factor", 1), ("factor", ["a"]), ("Date", "2023-02-29"), ("Date", 19782),
        ("Date", "2024-02-29T12:00:00"), ("Date", "29.02.2024"), ("POSIXct", 0), ("POSIXct", "noon"),
        ("POSIXct", "2024-02-29T25:00:00Z"), ("POSIXct", "2024-02-30"),
    ],
)  # fmt: skip
def test_wrong_type_is_refused_with_row_column_and_value(kind: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        _read(kind, None, value, levels=("a", "b"))
    assert str(caught.value).startswith("Row 2: column 'x' must be ")
    assert json.dumps(value, ensure_ascii=False)[:40] in str(caught.value)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ('{"y": 1}', "Row 1 has no column 'x' (NA is written null); it has: y."),
        ("{}", "Row 1 has no column 'x' (NA is written null); it has: none."),
        ("[1]", "Row 1 must be a JSON object of column names and values, not [1]."),
        ("1,2", "Row 1 is not JSON"),
        ("[" * 100_000, "Row 1 is not JSON"),
    ],
)
def test_invalid_row_is_refused(row: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_rows([row], [Column("x", "double")])
    assert str(caught.value).startswith(sentence)


def test_long_values_are_shortened_in_errors() -> None:
    with pytest.raises(InvalidInputError) as caught:
        _read("double", "x" * 1000)
    assert len(str(caught.value)) < 150
