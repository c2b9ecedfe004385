"""Rows of data frames as inputs: the same from each library."""

from __future__ import annotations

import datetime
import importlib
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.frame_rows import find_columns, rows_as_text, rows_as_vectors
from clipper_nb.protocol.input_types import InputType

Columns = Mapping[str, list[Any]]


def _polars(columns: Columns) -> Any:
    pytest.importorskip("polars")
    return importlib.import_module("polars").DataFrame(columns)


@pytest.fixture(
    params=[
        pytest.param(pd.DataFrame, id="pandas"),
        pytest.param(_polars, id="polars"),
        pytest.param(pa.table, id="table"),
        pytest.param(pa.RecordBatch.from_pydict, id="record batch"),
    ]
)
def frame(request: pytest.FixtureRequest) -> Callable[[Columns], Any]:
    """Return a function that makes a data frame of some library."""
    return request.param


def _columns(value: Any) -> Any:
    columns = find_columns(value)
    assert columns is not None
    return columns


def test_numeric_rows_are_vectors_in_the_order_of_columns(frame: Callable[[Columns], Any]) -> None:
    columns = _columns(frame({"b": [1, 2], "a": [0.5, None]}))
    first, (whole, missing) = rows_as_vectors(InputType.DOUBLES, columns)
    assert first == [1, 0.5]
    assert whole == 2
    assert missing in (None, "NaN")  # pandas has no other


def test_rows_are_json_objects_for_strings(frame: Callable[[Columns], Any]) -> None:
    day = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
    columns = {"wt": [2.5, None], "gear": ["four", None], "é": [True, False], "n": [1, 2], "at": [day, None]}
    assert [json.loads(row) for row in rows_as_text(_columns(frame(columns)))] == [
        {"wt": 2.5, "gear": "four", "é": True, "n": 1, "at": "2024-02-29T12:00:00+00:00"},
        {"wt": None, "gear": None, "é": False, "n": 2, "at": None},
    ]


@pytest.mark.parametrize(
    ("cells", "words"),
    [(["x", "y"], "has 'x' .*in row 0"), ([True, False], "has True"), ([datetime.date(2024, 2, 29)], "has datetime")],
)
def test_column_that_is_not_numeric_is_named(frame: Callable[[Columns], Any], cells: list[Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"Column 'b' {words}.*'json'"):
        rows_as_vectors(InputType.DOUBLES, _columns(frame({"a": [1.0] * len(cells), "b": cells})))


def test_whole_numbers_have_no_missing_row(frame: Callable[[Columns], Any]) -> None:
    assert rows_as_vectors(InputType.INTEGERS, _columns(frame({"a": [1, 2]}))) == [[1], [2]]
    with pytest.raises(InvalidInputError, match=r"Column 'a' .*is missing"):
        rows_as_vectors(InputType.INTEGERS, _columns(frame({"a": [1, None]})))
    with pytest.raises(InvalidInputError, match=r"Column 'a' has 1\.0 \(float\) in row 0"):
        rows_as_vectors(InputType.INTEGERS, _columns(frame({"a": [1.0, 2.0]})))


@pytest.mark.parametrize(
    ("cell", "json_value"),
    [
        (math.nan, None), (pd.NA, None), (pd.NaT, None), (math.inf, "Infinity"), (np.float32(0.5), 0.5),
        (np.array([1.0, -np.inf, np.nan]), [1.0, "-Infinity", None]),
        ({"a": np.int64(1), "b": (pd.NA,)}, {"a": 1, "b": [None]}),
        (Decimal("1.10"), "1.10"), (datetime.date(2024, 2, 29), "2024-02-29"), (datetime.timedelta(hours=1), "PT3600S"),
        (pd.Timestamp("2024-02-29T12:00:00.123456789"), "2024-02-29T12:00:00.123456789"), (b"ab", "YWI="),
        (np.datetime64("2024-02-29T12:00:00.000000001"), "2024-02-29T12:00:00.000000001"),
        (np.timedelta64(90, "s"), "PT1M30S"), (pd.Timedelta("1D 1ns"), "P1DT0.000000001S"),
        (np.array(["2024-02-29"] * 2, dtype="datetime64[D]"), ["2024-02-29"] * 2),
    ],
)  # fmt: skip
def test_cell_becomes_json(cell: Any, json_value: Any) -> None:
    cells = pd.Series([None, "other"], dtype=object)
    cells[0] = cell
    first, _ = rows_as_text(_columns(pd.DataFrame({"c": cells})))
    assert json.loads(first) == {"c": json_value}


def test_frame_of_pandas_with_odd_columns_is_read() -> None:
    frame = pd.DataFrame(
        {"c": pd.Categorical(["low"]), "n": pd.array([1], "Int64"), "at": [pd.Timestamp("2024-02-29")]}
    )
    frame[("a", 1)] = 0.5
    assert rows_as_text(_columns(frame)) == [
        '{"c":"low","n":1,"at":"2024-02-29T00:00:00","(\'a\', 1)":0.5}'
    ]  # fmt: skip
    assert rows_as_vectors(InputType.FLOATS, _columns(pd.DataFrame(np.ones((2, 2))))) == [[1.0, 1.0], [1.0, 1.0]]


def test_two_columns_of_one_name_are_no_json_object() -> None:
    twice = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(InvalidInputError, match="Two columns have the name 'a'"):
        rows_as_text(_columns(twice))
    assert rows_as_vectors(InputType.DOUBLES, _columns(twice)) == [[1.0, 2.0]]


def test_cell_without_json_is_refused_with_its_row() -> None:
    with pytest.raises(InvalidInputError, match="Row 1 of the data frame cannot be written as JSON"):
        rows_as_text(_columns(pd.DataFrame({"c": [1, object()]})))


@pytest.mark.parametrize("value", [[1], np.ones((2, 2)), pd.Series([1]), pa.array([1]), {"a": [1]}, "text", None])
def test_other_values_are_no_data_frames(value: Any) -> None:
    assert find_columns(value) is None
