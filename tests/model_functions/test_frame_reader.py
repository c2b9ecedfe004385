"""Objects become a data frame like the sample, and nothing in it is changed on the way."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb.closures.frame_schema import frame_schema
from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.frame_reader import FrameReader
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_schema import compile_schema

LEVELS = pd.CategoricalDtype(["small", "large", "huge"], ordered=True)
COLUMNS: dict[str, pd.Series] = {
    "int64": pd.Series([1, 2**62 + 1], dtype="int64"),
    "int8": pd.Series([-128, 127], dtype="int8"),
    "uint64": pd.Series([0, 2**64 - 1], dtype="uint64"),
    "float64": pd.Series([0.1, np.nan]),
    "float32": pd.Series([0.5, np.nan], dtype="float32"),
    "bool": pd.Series([True, False]),
    "Int64": pd.Series([2**53 + 1, None], dtype="Int64"),
    "Float64": pd.Series([1.5, None], dtype="Float64"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "text": pd.Series(["é", None], dtype="str"),
    "string": pd.Series(["a", None], dtype="string"),
    "object": pd.Series([["a", 1], {"b": None}], dtype="object"),
    "category": pd.Series(["large", None], dtype=LEVELS),
    "numbers": pd.Series([4, 8], dtype=pd.CategoricalDtype([4, 6, 8])),
    "local": pd.Series(pd.to_datetime(["2024-02-29T12:00:00.123456789", None])),
    "seconds": pd.Series(pd.to_datetime(["2024-02-29T12:00:00", None])).astype("datetime64[s]"),
    "zoned": pd.Series(pd.to_datetime(["2024-03-31T03:30:00+02:00", None])).dt.tz_convert("Europe/Zurich"),
    "utc": pd.Series(pd.to_datetime(["2024-02-29T12:00:00Z", None])),
    "duration": pd.Series(pd.to_timedelta(["1h", None])),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_column_arrives_as_the_notebook_has_it(name: str) -> None:
    sample = pd.DataFrame({name: COLUMNS[name], "other": [1.0, 2.0]})
    rows = json.loads(json.dumps(format_batch(InputType.JSON, sample)))
    validator = compile_schema(frame_schema(sample))
    assert [list(validator.iter_errors(row)) for row in rows] == [[], []]
    reader = pickle.loads(pickle.dumps(FrameReader(sample.iloc[:0])))
    pd.testing.assert_frame_equal(reader.read(rows), sample, check_exact=True)
    pd.testing.assert_frame_equal(reader.read(rows[:1]), sample.iloc[:1], check_exact=True)
    pd.testing.assert_frame_equal(reader.read([]), sample.iloc[:0])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("int64", 2.0, 2),
        ("float64", "Infinity", np.inf),
        ("float64", 3, 3.0),
        ("zoned", "2024-07-01T12:00:00", pd.Timestamp("2024-07-01T12:00:00", tz="Europe/Zurich")),
        ("zoned", "2024-07-01T12:00:00Z", pd.Timestamp("2024-07-01T14:00:00", tz="Europe/Zurich")),
        ("local", "2024-07-01", pd.Timestamp("2024-07-01")),
    ],
)
def test_other_spelling_of_a_value_is_the_same(name: str, value: Any, expected: Any) -> None:
    sample = pd.DataFrame({name: COLUMNS[name]})
    assert compile_schema(frame_schema(sample)).is_valid({name: value})
    assert FrameReader(sample.iloc[:0]).read([{name: value, "ignored": 1}])[name][0] == expected


BAD: list[tuple[str, Any, str]] = [
    ("int64", None, "no missing value"),
    ("int64", 1.5, "a whole number from"),
    ("int64", 2**63, "a whole number from"),
    ("int64", True, "a whole number from"),
    ("int8", 128, "from -128 to 127"),
    ("bool", None, "no missing value"),
    ("bool", 1, "true or false"),
    ("float64", "1.5", "a number"),
    ("float64", True, "a number"),
    ("text", 1, "a text"),
    ("category", "tiny", "none of the sample's categories"),
    ("numbers", True, "none of the sample's categories"),
    ("numbers", [4], "none of the sample's categories"),
    ("local", "2024-02-29T12:00:00Z", "without one"),
    ("local", "soon", "ISO 8601"),
    ("zoned", 5, "ISO 8601"),
    ("duration", "an hour", "ISO 8601"),
]
ONLY_HERE: list[tuple[str, Any, str]] = [
    ("float32", 1e39, "out of range"),
    ("float64", 2**53 + 1, "more digits than a double"),
    ("Float64", 10**400, "more digits than a double"),
    ("zoned", "2024-03-31T02:30:00", "nonexistent|NonExistent"),
    ("zoned", "2024-10-27T02:30:00", "mbiguous|dst"),
    ("seconds", "2024-02-29T12:00:00.5", "losslessly"),
    ("local", "2024-02-30", ""),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD + ONLY_HERE)
def test_value_that_would_change_is_refused(name: str, value: Any, words: str) -> None:
    column = COLUMNS[name]
    # Texts of pandas 2 are objects, a dtype that changes no value: the schema alone refuses others.
    sample = pd.DataFrame({name: column.astype("string") if column.dtype == object else column})
    good = format_batch(InputType.JSON, sample)[0]
    with pytest.raises(InvalidInputError, match=rf"Input 1: '{name}' is .* does not fit a column of dtype .*({words})"):
        FrameReader(sample.iloc[:0]).read([good, {name: value}])


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_schema_refuses_it_before_the_replica(name: str, value: Any, words: str) -> None:
    assert not compile_schema(frame_schema(pd.DataFrame({name: COLUMNS[name]}))).is_valid({name: value})


@pytest.mark.parametrize("row", [{}, {"b": 1}, [1], None])
def test_row_without_a_column_is_refused(row: Any) -> None:
    with pytest.raises(InvalidInputError, match="Input 0 must be an object with 'a'"):
        FrameReader(pd.DataFrame({"a": [1]}).iloc[:0]).read([row])
